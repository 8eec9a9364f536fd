/**
 * Which of the hosts that claim a room a guest joins (docs/protocol.md, Choosing the host). Anybody can look for
 * another key whose hash contains a short room id, and be quicker than the true host.
 */
import { formatKey, keyHash } from './identity.js'
import type { Crypto } from './ports.js'
import { isWeakRoomId, type RoomId } from './room-id.js'

/** How long claims are collected where there may be several. */
const CollectMs = 2000
/** Claims that are told apart. Whoever makes more has made the room ambiguous anyway. */
const MaxClaims = 8
/** Digits of a key's hash that tell hosts of one room apart. */
const TellingDigits = 16

export interface HostChoiceOptions {
  readonly crypto: Pick<Crypto, 'sha512' | 'equal'>
  readonly room: RoomId
  /** The only key to take, where the guest was given one. */
  readonly hostKey?: Uint8Array | undefined
  /** The first digits of the hash of the key to take, where the guest was given those. */
  readonly hostDigits?: string | undefined
  /** The key that the room had before. */
  readonly pinnedKey?: Uint8Array | undefined
}

export type Decision =
  | { readonly type: 'take'; readonly publicKey: Uint8Array }
  | { readonly type: 'refuse'; readonly code: 'host-key-changed' | 'room-ambiguous'; readonly text: string }

export class HostChoice {
  readonly #options: HostChoiceOptions
  readonly #claims: Uint8Array[] = []
  #decideAt: number | undefined

  constructor(options: HostChoiceOptions) {
    this.#options = options
  }

  /**
   * Takes a beacon's key, which the room id is in the hash of.
   * @returns false where it is not the key that the guest was given, or one too many
   */
  claim(now: number, publicKey: Uint8Array): boolean {
    const { crypto, hostKey, hostDigits = '', pinnedKey } = this.#options
    if (hostKey !== undefined && !crypto.equal(hostKey, publicKey)) return false
    if (!keyHash(crypto, publicKey).startsWith(hostDigits)) return false
    if (!this.#claims.some((claim) => crypto.equal(claim, publicKey))) {
      const isPinned = pinnedKey !== undefined && crypto.equal(pinnedKey, publicKey)
      if (this.#claims.length >= MaxClaims && !isPinned) return false
      this.#claims.push(publicKey)
    }
    this.#decideAt ??= now + (this.#isToCollect() ? CollectMs : 0)
    return true
  }

  /** What to do by now; undefined for waiting. */
  decide(now: number): Decision | undefined {
    const { crypto, pinnedKey } = this.#options
    if (pinnedKey !== undefined && this.#claims.some((claim) => crypto.equal(claim, pinnedKey))) {
      return { type: 'take', publicKey: pinnedKey }
    }
    const [first, ...others] = this.#claims
    if (first === undefined || this.#decideAt === undefined || now < this.#decideAt) return undefined
    if (pinnedKey !== undefined) return this.#changed(pinnedKey, first)
    return others.length > 0 ? this.#ambiguous() : { type: 'take', publicKey: first }
  }

  pollTimeout(): number | undefined {
    return this.#decideAt
  }

  /** Whoever was given a key needs no second opinion, except that of the pin. */
  #isToCollect(): boolean {
    const { room, hostKey, hostDigits, pinnedKey } = this.#options
    return (
      pinnedKey !== undefined || (hostKey === undefined && hostDigits === undefined && isWeakRoomId(room))
    )
  }

  #changed(pinnedKey: Uint8Array, claimed: Uint8Array): Decision {
    const { room } = this.#options
    const keys = `it was ${formatKey(pinnedKey)}, and now is ${formatKey(claimed)}`
    return {
      type: 'refuse',
      code: 'host-key-changed',
      text: `Room ${room} has another host than before: ${keys}. Somebody may pose as the host`,
    }
  }

  #ambiguous(): Decision {
    const { crypto, room } = this.#options
    const names = this.#claims.map((claim) => `${room}/${keyHash(crypto, claim).slice(0, TellingDigits)}`)
    return {
      type: 'refuse',
      code: 'room-ambiguous',
      text: `Several hosts claim room ${room}. Ask the host which is its own, and join that: ${names.join(' or ')}`,
    }
  }
}
