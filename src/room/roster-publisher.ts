/** The host's side of the roster: numbered, signed, its changes gathered, sent in pieces (docs/protocol.md). */
import { toBase64 } from '../core/encoding.js'
import { earliest } from '../core/machine.js'
import type { RoomId } from '../core/room-id.js'
import { isNewer, type RosterMember, type RosterNumber, writeRoster } from '../core/roster.js'
import { fragmentRoster, type RosterFragment } from './control.js'

/** Changes that follow one another are gathered this long. */
const GatherMs = 250
/** The same for each member, where that is longer: a roster grows with its members, and goes to all of them. */
const GatherMsPerMember = 10
/** A member that asks for a roster gets it this often at most. */
const RepeatMs = 200

export interface RosterPublisherOptions {
  /** Makes an Ed25519 signature with the host's secret key. */
  readonly sign: (bytes: Uint8Array) => Uint8Array
  readonly room: RoomId
  /** Everybody, the host first. */
  readonly members: () => readonly RosterMember[]
  /** Sends a piece to a member, named by its public key in base64. */
  readonly send: (now: number, member: string, fragment: RosterFragment) => void
}

export class RosterPublisher {
  readonly #options: RosterPublisherOptions
  #term = 0
  #version = 0
  #fragments: readonly RosterFragment[] = []
  #madeAt = -Infinity
  /** Whom the latest roster names as online, and whom the latest that went to everybody names. */
  #online: ReadonlySet<string> = new Set()
  #published: ReadonlySet<string> = new Set()
  #publishedAt = -Infinity
  #publishedVersion = 0
  #hasChanged = false
  /** Newcomers that have asked for a roster before there was one that names them: no other is for them. */
  readonly #waiting = new Set<string>()
  readonly #sentAt = new Map<string, number>()

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
    if (!isNewer(this.number, has)) return false
    if (!this.#online.has(member)) this.#waiting.add(member)
    else if (now >= (this.#sentAt.get(member) ?? -Infinity) + RepeatMs) this.#send(now, member)
    return true
  }

  handleTimeout(now: number): void {
    if (this.#isOutdated && now >= this.#publishAt) this.#publish(now)
    else if (this.#waiting.size > 0 && now >= this.#greetAt) this.#greet(now)
  }

  pollTimeout(): number | undefined {
    return earliest(
      this.#isOutdated ? this.#publishAt : undefined,
      this.#waiting.size > 0 ? this.#greetAt : undefined,
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

  #publish(now: number): void {
    const members = this.#make(now)
    this.#published = new Set(members.map(({ publicKey }) => toBase64(publicKey)))
    this.#publishedAt = now
    this.#publishedVersion = this.#version
    this.#waiting.clear()
    for (const { publicKey, online } of members.slice(1)) if (online) this.#send(now, toBase64(publicKey))
  }

  /** Newcomers have joined when they have a roster, and need not wait until it is time to send it to everybody. */
  #greet(now: number): void {
    this.#make(now)
    const waiting = Array.from(this.#waiting)
    this.#waiting.clear()
    for (const member of waiting) if (this.#online.has(member)) this.#send(now, member)
  }

  #make(now: number): readonly RosterMember[] {
    const { sign, room } = this.#options
    const members = this.#options.members()
    this.#hasChanged = false
    this.#madeAt = now
    this.#version += 1
    const online = members.filter((member) => member.online)
    this.#online = new Set(online.map(({ publicKey }) => toBase64(publicKey)))
    const roster = writeRoster(sign, room, { ...this.number, members })
    this.#fragments = fragmentRoster(this.number, roster)
    this.#sentAt.clear()
    return members
  }

  #send(now: number, member: string): void {
    this.#sentAt.set(member, now)
    for (const fragment of this.#fragments) this.#options.send(now, member, fragment)
  }
}
