/**
 * The replicated log of one replica, without any network: what it has of each stream, and the order in which
 * entries are admitted (docs/protocol.md, Chat).
 *
 * An entry is *had* once it and all before it in its stream are here, in an unbroken chain of hashes. It is
 * *admitted* once its parents are too, so that nobody reads an answer before the question. The oldest
 * entries are trimmed; what was trimmed is remembered as the stream's base.
 */
import type { Crypto } from '../core/ports.js'
import { compareEntries, type Entry, MaxParents, MaxTime, verifyEntry } from './entry.js'
import { type Base, digestOf, MaxStreams } from './vector.js'

/** How far beyond a gap entries are kept: a line's `beyond` has as many bits. */
export const Window = 32
/** Incarnations of one author: each is a lost state, which is rare. */
const MaxStreamsPerAuthor = 64
/**
 * How far an entry whose parents nobody has may be ahead of this log, in Lamport time. Members' clocks cannot
 * be driven to their end by it: 65,536 such leaps would be needed.
 */
const MaxLamportLead = 2 ** 32

/** Why an entry was not taken: the code under which it is counted. */
export type Refusal =
  | 'chat-entry-ahead'
  | 'chat-entry-forged'
  | 'chat-entry-fork'
  | 'chat-entry-lamport'
  | 'chat-streams'

export interface ChatLogOptions {
  readonly crypto: Pick<Crypto, 'sha256' | 'verify'>
  readonly room: string
  /** When there are more, the oldest tenth is trimmed. */
  readonly maxEntries: number
}

interface Stream {
  readonly key: string
  base: Base | undefined
  /** All that is here above the base; there may be gaps above `have`. */
  readonly entries: Map<number, Entry>
  have: number
  admitted: number
}

export class ChatLog {
  readonly #options: ChatLogOptions
  readonly #streams = new Map<string, Stream>()
  readonly #streamsOfAuthor = new Map<string, number>()
  /** Streams with entries that are had and not admitted. */
  readonly #waiting = new Set<Stream>()
  /** Admitted entries in the log's order. */
  readonly #order: Entry[] = []
  readonly #admitted: Entry[] = []
  /** Lamport times of everything that an entry may name as its parent, by hash. */
  readonly #lamports = new Map<string, number>()
  /** Those of them that no admitted entry has named yet. */
  readonly #heads = new Set<string>()
  #clock = 0
  #digest: string | undefined

  constructor(options: ChatLogOptions) {
    this.#options = options
  }

  /** Over what this replica has of every stream, in hex. */
  get digest(): string {
    this.#digest ??= digestOf(
      this.#options.crypto,
      Array.from(this.#streams.values(), ({ key, have }) => [key, have] as const),
    )
    return this.#digest
  }

  /** How many entries are kept, those that wait left out. */
  get size(): number {
    return this.#order.length
  }

  /** Whether entries wait for parents. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0
  }

  get streams(): Iterable<string> {
    return this.#streams.keys()
  }

  /** The highest sequence up to which everything is here, or was trimmed; 0 for an unknown stream. */
  have(stream: string): number {
    return this.#streams.get(stream)?.have ?? 0
  }

  /** Bit k: sequence have + 2 + k is here too. */
  beyond(stream: string): number {
    const known = this.#streams.get(stream)
    if (known === undefined) return 0
    let bits = 0
    for (const sequence of known.entries.keys()) {
      if (sequence > known.have + 1) bits |= 1 << (sequence - known.have - 2)
    }
    return bits >>> 0
  }

  base(stream: string): Base | undefined {
    return this.#streams.get(stream)?.base
  }

  entry(stream: string, sequence: number): Entry | undefined {
    return this.#streams.get(stream)?.entries.get(sequence)
  }

  /** Everything that is had: in the log's order, what waits last. */
  get entries(): readonly Entry[] {
    return [...this.#order, ...this.#allWaiting()]
  }

  get bases(): ReadonlyMap<string, Base> {
    return this.tail(Infinity)
  }

  /** Where each stream would begin for a reader who is given the latest `count` entries only. */
  tail(count: number): ReadonlyMap<string, Base> {
    const bases = new Map<string, Base>()
    for (const { key, base } of this.#streams.values()) if (base !== undefined) bases.set(key, base)
    for (const entry of this.#order.slice(0, Math.max(0, this.#order.length - count))) {
      bases.set(entry.stream, baseOf(entry))
    }
    return bases
  }

  /**
   * Takes an entry from elsewhere: what is wrong with it is found by the cheapest check first.
   * @returns `added`, `known`, or why it was refused
   */
  receive(entry: Entry): 'added' | 'known' | Refusal {
    const { crypto, room } = this.#options
    const stream = this.#streams.get(entry.stream)
    const have = stream?.have ?? 0
    if (entry.sequence <= have || stream?.entries.has(entry.sequence) === true) return 'known'
    if (entry.sequence > have + 1 + Window) return 'chat-entry-ahead'
    if (entry.sequence === have + 1 && !this.#continues(stream, entry)) return 'chat-entry-fork'
    if (stream === undefined && !this.#hasRoomFor(entry.stream)) return 'chat-streams'
    if (!verifyEntry(crypto, room, entry)) return 'chat-entry-forged'
    const refusal = this.#keep(entry)
    if (refusal !== undefined) return refusal
    this.#admitReady()
    const isHere = entry.sequence <= this.have(entry.stream) || this.#isBeyond(entry)
    return isHere ? 'added' : 'chat-entry-lamport'
  }

  /** Takes an entry that was here before. */
  restore(entry: Entry): void {
    if (entry.sequence === this.have(entry.stream) + 1) this.#keep(entry)
  }

  /** What an entry made now has before it. */
  position(): { readonly parents: readonly string[]; readonly lamport: number } {
    const latest = Array.from(this.#heads, (hash) => [hash, this.#lamports.get(hash) ?? 0] as const)
      .sort(([, a], [, b]) => b - a)
      .slice(0, MaxParents)
    const lamport = Math.min(MaxTime, 1 + Math.max(0, ...latest.map(([, time]) => time)))
    return { parents: latest.map(([hash]) => hash).sort(), lamport }
  }

  /** Takes an entry of our own, made just now. */
  add(entry: Entry): void {
    this.#keep(entry)
    this.#admitReady()
  }

  /** Gives up what comes before a base: nobody will send it. @returns whether anything has changed */
  skipTo(key: string, base: Base): boolean {
    let stream = this.#streams.get(key)
    if (base.sequence <= (stream?.have ?? 0)) return false
    if (stream === undefined && !this.#hasRoomFor(key)) return false
    stream ??= this.#addStream(key)
    for (const [sequence, entry] of stream.entries) {
      if (sequence > base.sequence) continue
      stream.entries.delete(sequence)
      this.#forget(entry.hash)
      const index = this.#order.indexOf(entry)
      if (index >= 0) this.#order.splice(index, 1)
    }
    if (stream.base !== undefined) this.#forget(stream.base.hash)
    stream.base = base
    stream.have = base.sequence
    stream.admitted = base.sequence
    this.#know(base)
    this.#digest = undefined
    this.#extend(stream)
    this.#admitReady()
    return true
  }

  /**
   * Admits what waits for parents, since those are not to be had: the replica it came from has nothing more
   * to give. Its parents were trimmed there, or it lies about them.
   */
  release(): void {
    for (const entry of this.#allWaiting()) {
      const stream = this.#streams.get(entry.stream)
      if (stream?.admitted === entry.sequence - 1) this.#admit(stream, entry)
    }
    this.#trim()
  }

  /** The next entry to show, in the order of admission. */
  pollAdmitted(): Entry | undefined {
    return this.#admitted.shift()
  }

  #keep(entry: Entry): Refusal | undefined {
    const stream = this.#streams.get(entry.stream) ?? this.#addStream(entry.stream)
    stream.entries.set(entry.sequence, entry)
    this.#extend(stream)
    return stream.entries.has(entry.sequence) ? undefined : 'chat-entry-fork'
  }

  /** Moves `have` on over what has come; what does not continue the chain is dropped. */
  #extend(stream: Stream): void {
    while (true) {
      const next = stream.entries.get(stream.have + 1)
      if (next === undefined) break
      if (!this.#continues(stream, next)) {
        stream.entries.delete(next.sequence)
        break
      }
      stream.have += 1
      this.#digest = undefined
      this.#waiting.add(stream)
    }
  }

  #continues(stream: Stream | undefined, entry: Entry): boolean {
    if (entry.sequence === 1) return true
    const before = stream?.entries.get(entry.sequence - 1)?.hash ?? stream?.base?.hash
    return before === entry.previous
  }

  #admitReady(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const stream of this.#waiting) {
        const next = stream.entries.get(stream.admitted + 1)
        if (next === undefined || !next.parents.every((parent) => this.#lamports.has(parent))) continue
        moved = true
        this.#admit(stream, next)
      }
    }
    this.#trim()
  }

  #admit(stream: Stream, entry: Entry): void {
    const before = entry.previous === undefined ? entry.parents : [entry.previous, ...entry.parents]
    const times = before.map((hash) => this.#lamports.get(hash))
    const known = 1 + Math.max(0, ...times.map((time) => time ?? 0))
    const isRight = times.includes(undefined)
      ? entry.lamport >= known && entry.lamport <= Math.max(this.#clock, known) + MaxLamportLead
      : entry.lamport === known
    if (!isRight) {
      // Its author lies about its place. Neither it nor what follows it can ever be admitted.
      for (const sequence of stream.entries.keys()) {
        if (sequence >= entry.sequence) stream.entries.delete(sequence)
      }
      stream.have = stream.admitted
      this.#digest = undefined
      this.#waiting.delete(stream)
      return
    }
    stream.admitted = entry.sequence
    if (stream.admitted === stream.have) this.#waiting.delete(stream)
    for (const hash of before) this.#heads.delete(hash)
    this.#know(entry)
    let at = this.#order.length
    for (let last = this.#order[at - 1]; last !== undefined && compareEntries(entry, last) < 0; ) {
      at -= 1
      last = this.#order[at - 1]
    }
    this.#order.splice(at, 0, entry)
    this.#admitted.push(entry)
  }

  #allWaiting(): Entry[] {
    const entries: Entry[] = []
    for (const stream of this.#waiting) {
      for (let sequence = stream.admitted + 1; sequence <= stream.have; sequence += 1) {
        const entry = stream.entries.get(sequence)
        if (entry !== undefined) entries.push(entry)
      }
    }
    return entries.sort(compareEntries)
  }

  /** By tenths, so that whoever keeps the log on disk need not write it anew for every entry. */
  #trim(): void {
    const { maxEntries } = this.#options
    if (this.#order.length <= maxEntries) return
    for (const entry of this.#order.splice(0, this.#order.length - Math.floor(maxEntries * 0.9))) {
      const stream = this.#streams.get(entry.stream)
      if (stream === undefined) continue
      if (stream.base !== undefined) this.#forget(stream.base.hash)
      stream.base = baseOf(entry)
      stream.entries.delete(entry.sequence)
    }
  }

  #know({ hash, lamport }: Pick<Base, 'hash' | 'lamport'>): void {
    this.#lamports.set(hash, lamport)
    this.#heads.add(hash)
    this.#clock = Math.max(this.#clock, lamport)
  }

  #forget(hash: string): void {
    this.#lamports.delete(hash)
    this.#heads.delete(hash)
  }

  #isBeyond({ stream, sequence }: Entry): boolean {
    return this.#streams.get(stream)?.entries.has(sequence) === true
  }

  #hasRoomFor(key: string): boolean {
    const ofAuthor = this.#streamsOfAuthor.get(authorOf(key)) ?? 0
    return this.#streams.size < MaxStreams && ofAuthor < MaxStreamsPerAuthor
  }

  #addStream(key: string): Stream {
    const stream: Stream = { key, base: undefined, entries: new Map(), have: 0, admitted: 0 }
    this.#streams.set(key, stream)
    const author = authorOf(key)
    this.#streamsOfAuthor.set(author, (this.#streamsOfAuthor.get(author) ?? 0) + 1)
    return stream
  }
}

function baseOf({ sequence, hash, lamport }: Entry): Base {
  return { sequence, hash, lamport }
}

/** Hex of the author's key, which a stream's name begins with. */
export function authorOf(stream: string): string {
  return stream.slice(0, 64)
}
