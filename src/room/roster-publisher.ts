/**
 * The host's side of the roster: changes numbered, chained, signed and gathered, sent until they are
 * acknowledged; the whole of it for those that lack too many (docs/protocol.md, Roster).
 */
import { earliest } from '../core/machine.js'
import type { Crypto } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import { isNewer, type RosterMember, type RosterNumber, writeRoster } from '../core/roster.js'
import { applyChange, changesBetween, NoLink, writeChange } from '../core/roster-change.js'
import { fragmentRoster, type RosterFragment, type RosterStep } from './control.js'
import { RosterReceipts } from './roster-receipts.js'

/** Changes that follow one another are gathered this long. */
const GatherMs = 250
/** The same for each member, where that is longer: what changes goes to all of them. */
const GatherMsPerMember = 10
/** Steps kept for those that lack some; who lacks more gets the whole roster. */
const MaxSteps = 64

export interface RosterPublisherOptions {
  readonly crypto: Pick<Crypto, 'sha256'>
  /** Makes an Ed25519 signature with the host's secret key. */
  readonly sign: (bytes: Uint8Array) => Uint8Array
  readonly room: RoomId
  /** Everybody, the host first. */
  readonly members: () => readonly RosterMember[]
  /** Sends to a member, named by its public key in base64. */
  readonly send: (now: number, member: string, message: RosterFragment | RosterStep) => void
}

export class RosterPublisher {
  readonly #options: RosterPublisherOptions
  readonly #receipts = new RosterReceipts()
  #term = 0
  #version = 0
  #link = NoLink
  /** The latest version's members. */
  #members: ReadonlyMap<string, RosterMember> = new Map()
  /** The latest steps, up to the latest version. */
  #steps: readonly Uint8Array[] = []
  /** The latest version, whole, once it was needed. */
  #whole: { readonly length: number; readonly fragments: readonly RosterFragment[] } | undefined
  #madeAt = -Infinity
  /** Whom the latest roster that went to everybody names. */
  #published: ReadonlySet<string> = new Set()
  #publishedAt = -Infinity
  #publishedVersion = 0
  #hasChanged = false
  /** Newcomers that have asked for a roster before there was one that names them: no other is for them. */
  readonly #waiting = new Map<string, RosterNumber>()

  constructor(options: RosterPublisherOptions) {
    this.#options = options
  }

  get number(): RosterNumber {
    return { term: this.#term, version: this.#version }
  }

  /** @param term the counter of the host's first epoch: a restarted host's rosters are newer than its earlier */
  start(now: number, term: number): void {
    this.#term = term
    this.#publish(now)
  }

  /** Notes that the members have changed. The first change goes out at once, those that follow are gathered. */
  change(now: number): void {
    this.#hasChanged = true
    if (now >= this.#publishAt) this.#publish(now)
  }

  /** Has a member on the roster that the others have, before they hear of it in another way. */
  introduce(now: number, member: string): void {
    if (this.#isOutdated && !this.#published.has(member)) this.#publish(now)
  }

  /** Answers a member that says which roster it has. @returns whether it lacks the newest */
  answer(now: number, member: string, has: RosterNumber): boolean {
    this.acknowledge(member, has)
    if (!isNewer(this.number, has)) return false
    if (!this.#isOnline(member)) this.#waiting.set(member, has)
    else if (this.#receipts.mayAnswer(now, member)) this.#send(now, member, has)
    return true
  }

  /** Notes which roster a member has. */
  acknowledge(member: string, has: RosterNumber): void {
    if (this.#isOnline(member)) this.#receipts.acknowledge(member, has)
  }

  handleTimeout(now: number): void {
    if (this.#isOutdated && now >= this.#publishAt) this.#publish(now)
    else if (this.#waiting.size > 0 && now >= this.#greetAt) this.#greet(now)
    for (const { member, has } of this.#receipts.takeOverdue(now)) {
      if (this.#isOnline(member)) this.#send(now, member, has)
    }
  }

  pollTimeout(): number | undefined {
    return earliest(
      this.#isOutdated ? this.#publishAt : undefined,
      this.#waiting.size > 0 ? this.#greetAt : undefined,
      this.#receipts.pollTimeout(),
    )
  }

  /** Whether not everybody was sent what there is. */
  get #isOutdated(): boolean {
    return this.#hasChanged || this.#version !== this.#publishedVersion
  }

  get #publishAt(): number {
    return this.#publishedAt + Math.max(GatherMs, this.#published.size * GatherMsPerMember)
  }

  get #greetAt(): number {
    return this.#madeAt + GatherMs
  }

  #isOnline(member: string): boolean {
    return this.#members.get(member)?.online === true
  }

  #publish(now: number): void {
    this.#make(now)
    this.#published = new Set(this.#members.keys())
    this.#publishedAt = now
    this.#publishedVersion = this.#version
    this.#waiting.clear()
    const [, ...guests] = this.#members
    for (const [key, { online }] of guests) {
      if (online) this.#send(now, key, this.#receipts.sent(key))
      else this.#receipts.forget(key)
    }
  }

  /** Newcomers have joined when they have a roster, and need not wait until it is time to send it to everybody. */
  #greet(now: number): void {
    this.#make(now)
    const waiting = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const [member, has] of waiting) if (this.#isOnline(member)) this.#send(now, member, has)
  }

  #make(now: number): void {
    const { crypto, sign, room, members } = this.#options
    this.#hasChanged = false
    this.#madeAt = now
    for (const changed of changesBetween(this.#members, members())) {
      this.#version += 1
      const written = writeChange(crypto, sign, room, {
        ...this.number,
        previous: this.#link,
        members: changed,
      })
      this.#link = written.link
      this.#members = applyChange(this.#members, changed)
      this.#steps = [...this.#steps, written.bytes].slice(-MaxSteps)
      this.#whole = undefined
    }
    for (const key of this.#receipts.members) if (!this.#members.has(key)) this.#receipts.forget(key)
  }

  /** Sends what a member lacks: the steps, or the whole where that is less or they are not there any more. */
  #send(now: number, member: string, has: RosterNumber | undefined): void {
    const { send } = this.#options
    const lacks = has?.term === this.#term ? this.#version - has.version : Infinity
    if (lacks <= 0) return
    this.#receipts.send(now, member, this.number)
    const whole = this.#wholeRoster()
    const steps = lacks <= this.#steps.length ? this.#steps.slice(-lacks) : undefined
    if (steps !== undefined && steps.reduce((length, step) => length + step.length, 0) < whole.length) {
      for (const bytes of steps) send(now, member, { type: 'roster-change', bytes })
    } else for (const fragment of whole.fragments) send(now, member, fragment)
  }

  #wholeRoster(): { readonly length: number; readonly fragments: readonly RosterFragment[] } {
    if (this.#whole === undefined) {
      const { sign, room } = this.#options
      const members = Array.from(this.#members.values())
      const bytes = writeRoster(sign, room, { ...this.number, link: this.#link, members })
      this.#whole = { length: bytes.length, fragments: fragmentRoster(this.number, bytes) }
    }
    return this.#whole
  }
}
