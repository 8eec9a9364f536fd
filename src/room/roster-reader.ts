/**
 * A guest's side of the roster: the host's signature, the number and the chain are verified, and what has changed
 * is told. What is forged, older than what is there, or another history than that is refused
 * (docs/protocol.md, Roster).
 */
import type { Counters } from '../core/bounded.js'
import { toBase64, toHex } from '../core/encoding.js'
import { DecodeError } from '../core/errors.js'
import type { Crypto } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import {
  isNewer,
  isSameRoster,
  MaxRosterMembers,
  type Roster,
  type RosterMember,
  type RosterNumber,
  readRoster,
} from '../core/roster.js'
import { applyChange, type LinkedChange, readChange } from '../core/roster-change.js'
import { RosterAssembly, type RosterFragment, type RosterStep } from './control.js'

/** Links remembered, to tell a repeated step from another of the same number. */
const MaxLinks = 64
/** Steps kept that came before those they follow. */
const MaxAhead = 16
/** What is on its way when a newer roster comes has come in this time. */
const OvertakenMs = 5000

export interface RosterReaderOptions {
  readonly crypto: Pick<Crypto, 'sha256' | 'verify'>
  readonly room: RoomId
  /** This member's key: a roster that does not name it yet is not for it. */
  readonly self: Uint8Array
  readonly counters: Counters
}

/** Why a roster is refused: the host is not what it should be, or somebody speaks for it. */
export type RosterFault = 'roster-forged' | 'roster-rolled-back' | 'roster-forked'

export interface RosterNews {
  /** Those that a newer roster has come or gone, those that are not on it any more included. */
  readonly changed: readonly RosterMember[]
  readonly isNewer: boolean
  /** What is to be said to the host: that this roster is here now, or that something before it is missing. */
  readonly reply: 'receipt' | 'state' | undefined
  readonly fault: RosterFault | undefined
}

/** Where the chain stands. */
type Head = RosterNumber & { readonly link: Uint8Array }

const Nothing: RosterNews = { changed: [], isNewer: false, reply: undefined, fault: undefined }

export class RosterReader {
  readonly #options: RosterReaderOptions
  readonly #assembly = new RosterAssembly()
  #head: Head | undefined
  #takenAt = 0
  #byKey: ReadonlyMap<string, RosterMember> = new Map()
  /** The links of the latest versions, in hex. */
  readonly #links = new Map<number, string>()
  /** By version, each verified. */
  readonly #ahead = new Map<number, LinkedChange>()

  constructor(options: RosterReaderOptions) {
    this.#options = options
  }

  /** Everybody, the host first; empty before there is a roster. */
  get members(): readonly RosterMember[] {
    return Array.from(this.#byKey.values())
  }

  /** The newest roster that is here; 0 and 0 where there is none yet. */
  get number(): RosterNumber {
    const { term, version } = this.#head ?? { term: 0, version: 0 }
    return { term, version }
  }

  member(publicKey: Uint8Array): RosterMember | undefined {
    return this.#byKey.get(toBase64(publicKey))
  }

  /** Takes a piece of a roster, or a step to the next one. */
  add(now: number, hostKey: Uint8Array, message: RosterFragment | RosterStep): RosterNews {
    const { crypto, room, counters } = this.#options
    try {
      if (message.type === 'roster-change') {
        return this.#takeChange(now, readChange(crypto, hostKey, room, message.bytes))
      }
      const bytes = this.#assembly.add(message)
      return bytes === undefined ? Nothing : this.#takeWhole(now, readRoster(crypto, hostKey, room, bytes))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      counters.count(error.code)
      return error.code === 'roster-signature-wrong' ? this.#refuse('roster-forged') : Nothing
    }
  }

  #takeWhole(now: number, roster: Roster): RosterNews {
    const held = this.#head
    const byKey = new Map(roster.members.map((member) => [toBase64(member.publicKey), member]))
    if (held !== undefined && !isNewer(roster, held)) return this.#judge(now, held, roster)
    if (byKey.get(toBase64(this.#options.self))?.online !== true || byKey.size > MaxRosterMembers)
      return Nothing
    if (held?.term !== roster.term) this.#forget()
    const changed = this.#become(now, roster, byKey)
    return { ...Nothing, changed: [...changed, ...this.#catchUp(now)], isNewer: true, reply: 'receipt' }
  }

  /** What to think of a signed roster that is no newer than the one that is here. */
  #judge(now: number, held: Head, roster: Roster): RosterNews {
    if (roster.term < held.term) return this.#refuse('roster-rolled-back')
    const known = this.#links.get(roster.version)
    if (known !== undefined && known !== toHex(roster.link)) return this.#refuse('roster-forked')
    const isHeld = roster.version === held.version
    if (isHeld && !isSameRoster(roster, { ...held, members: this.members }))
      return this.#refuse('roster-forked')
    if (isHeld) return { ...Nothing, reply: 'receipt' }
    return now - this.#takenAt >= OvertakenMs ? this.#refuse('roster-rolled-back') : Nothing
  }

  #takeChange(now: number, step: LinkedChange): RosterNews {
    const held = this.#head
    const { change, link } = step
    if (held === undefined || change.term > held.term) return { ...Nothing, reply: 'state' }
    if (change.term < held.term) return this.#refuse('roster-rolled-back')
    if (change.version <= held.version) {
      const known = this.#links.get(change.version)
      if (known !== undefined && known !== toHex(link)) return this.#refuse('roster-forked')
      return { ...Nothing, reply: 'receipt' }
    }
    if (change.version > held.version + 1) {
      if (this.#ahead.size < MaxAhead) this.#ahead.set(change.version, step)
      return { ...Nothing, reply: 'state' }
    }
    if (toHex(change.previous) !== toHex(held.link)) return this.#refuse('roster-forked')
    const changed = this.#follow(now, step)
    if (changed === undefined) return Nothing
    return { ...Nothing, changed: [...changed, ...this.#catchUp(now)], isNewer: true, reply: 'receipt' }
  }

  /** Takes the steps that have waited for the version that is here now. */
  #catchUp(now: number): readonly RosterMember[] {
    const all: RosterMember[] = []
    for (let held = this.#head; held !== undefined; held = this.#head) {
      const next = this.#ahead.get(held.version + 1)
      for (const version of this.#ahead.keys()) if (version <= held.version + 1) this.#ahead.delete(version)
      // One that does not follow is asked for again, and judged when it comes.
      if (next === undefined || toHex(next.change.previous) !== toHex(held.link)) break
      const changed = this.#follow(now, next)
      if (changed === undefined) break
      all.push(...changed)
    }
    return all
  }

  #follow(now: number, { change, link }: LinkedChange): readonly RosterMember[] | undefined {
    const byKey = applyChange(this.#byKey, change.members)
    if (byKey.size <= MaxRosterMembers) return this.#become(now, { ...change, link }, byKey)
    this.#options.counters.count('roster-too-large')
    return undefined
  }

  /** @returns whose coming or going is news, those that are not on the roster any more included */
  #become(
    now: number,
    { term, version, link }: Head,
    byKey: ReadonlyMap<string, RosterMember>,
  ): readonly RosterMember[] {
    const before = this.#byKey
    this.#head = { term, version, link }
    this.#byKey = byKey
    this.#takenAt = now
    this.#links.set(version, toHex(link))
    this.#links.delete(version - MaxLinks)
    const isOnlineIn = (members: ReadonlyMap<string, RosterMember>, key: string): boolean =>
      members.get(key)?.online ?? false
    // A host that begins anew has nobody on its roster at first.
    const gone = Array.from(before).filter(([key, member]) => member.online && !isOnlineIn(byKey, key))
    const come = Array.from(byKey).filter(([key, member]) => member.online && !isOnlineIn(before, key))
    return [...gone.map(([, member]) => ({ ...member, online: false })), ...come.map(([, member]) => member)]
  }

  #forget(): void {
    this.#links.clear()
    this.#ahead.clear()
  }

  #refuse(fault: RosterFault): RosterNews {
    this.#options.counters.count(fault)
    return { ...Nothing, fault }
  }
}
