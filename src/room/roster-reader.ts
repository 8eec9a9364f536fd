/** A guest's side of the roster: pieces put together, the host's signature verified, what has changed. */
import type { Counters } from '../core/bounded.js'
import { toBase64 } from '../core/encoding.js'
import { DecodeError } from '../core/errors.js'
import type { Crypto } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import { isNewer, type Roster, type RosterMember, type RosterNumber, readRoster } from '../core/roster.js'
import { RosterAssembly, type RosterFragment } from './control.js'

export interface RosterReaderOptions {
  readonly crypto: Pick<Crypto, 'verify'>
  readonly room: RoomId
  /** This member's key: a roster that does not name it yet is not for it. */
  readonly self: Uint8Array
  readonly counters: Counters
}

export class RosterReader {
  readonly #options: RosterReaderOptions
  readonly #assembly = new RosterAssembly()
  #roster: Roster | undefined
  #byKey: ReadonlyMap<string, RosterMember> = new Map()

  constructor(options: RosterReaderOptions) {
    this.#options = options
  }

  /** Everybody, the host first; empty before there is a roster. */
  get members(): readonly RosterMember[] {
    return this.#roster?.members ?? []
  }

  /** The newest roster that is here; 0 and 0 where there is none yet. */
  get number(): RosterNumber {
    return this.#roster ?? { term: 0, version: 0 }
  }

  member(publicKey: Uint8Array): RosterMember | undefined {
    return this.#byKey.get(toBase64(publicKey))
  }

  /**
   * Takes a piece of a roster.
   * @returns the members whose coming or going a newer roster brought, those that are not on it any more
   *   included; undefined where it brought no newer roster
   */
  add(hostKey: Uint8Array, fragment: RosterFragment): readonly RosterMember[] | undefined {
    const bytes = this.#assembly.add(fragment)
    const roster = bytes && this.#read(hostKey, bytes)
    if (roster === undefined || (this.#roster !== undefined && !isNewer(roster, this.#roster)))
      return undefined
    const byKey = new Map(roster.members.map((member) => [toBase64(member.publicKey), member]))
    if (byKey.get(toBase64(this.#options.self))?.online !== true) return undefined
    const before = this.#byKey
    this.#roster = roster
    this.#byKey = byKey
    const isOnlineIn = (members: ReadonlyMap<string, RosterMember>, key: string): boolean =>
      members.get(key)?.online ?? false
    // A host that begins anew has nobody on its roster at first.
    const gone = Array.from(before).filter(([key, member]) => member.online && !isOnlineIn(byKey, key))
    const come = Array.from(byKey).filter(([key, member]) => member.online && !isOnlineIn(before, key))
    return [...gone.map(([, member]) => ({ ...member, online: false })), ...come.map(([, member]) => member)]
  }

  #read(hostKey: Uint8Array, bytes: Uint8Array): Roster | undefined {
    const { crypto, room, counters } = this.#options
    try {
      return readRoster(crypto, hostKey, room, bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      counters.count(error.code)
      return undefined
    }
  }
}
