/**
 * The replicated log of one replica, without any network: what it has of each stream, and the order in which
 * entries are admitted (docs/protocol.md, Chat).
 *
 * An entry is *had* once it and all before it in its stream are here, in an unbroken chain of hashes. It is
 * *admitted* once its parents are too, so that nobody reads an answer before the question. The oldest
 * entries are trimmed; what was trimmed is remembered as the stream's base.
 */
import type { Crypto } from '../core/ports.js'
import { Ancestry } from './ancestry.js'
import { VectorDigest } from './digest.js'
import { authorOf, compareEntries, type Entry, verifyEntry } from './entry.js'
import { Stream, Window, waitingEntries } from './stream.js'
import { type Base, MaxStreams, NoHead, type StreamState } from './vector.js'

/** Incarnations of one author: each is a lost state, which is rare. */
const MaxStreamsPerAuthor = 64
/** When more entries than these wait for their parents, they wait no longer. */
const MaxWaiting = 1000

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
  /** Told of each stream of which there is something else than before. */
  readonly onChange?: (stream: string) => void
}

/** What an entry made now has before it. */
export interface Position {
  readonly sequence: number
  readonly previous: string | undefined
  readonly parents: readonly string[]
  readonly lamport: number
}

export class ChatLog {
  readonly #options: ChatLogOptions
  readonly #streams = new Map<string, Stream>()
  /** Their names, by author. */
  readonly #ofAuthor = new Map<string, Set<string>>()
  /** Streams with entries that are had and not admitted. */
  readonly #waiting = new Set<Stream>()
  /** Admitted entries in the log's order. */
  readonly #order: Entry[] = []
  /** Those that are still to be shown, in the order of admission. */
  readonly #admitted: Entry[] = []
  readonly #ancestry = new Ancestry()
  readonly #digest: VectorDigest

  constructor(options: ChatLogOptions) {
    this.#options = options
    this.#digest = new VectorDigest(options.crypto)
  }

  /** Over what this replica has of every stream, in hex. */
  get digest(): string {
    return this.#digest.value
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

  get streamCount(): number {
    return this.#streams.size
  }

  /** The streams of one author. */
  streamsOf(author: string): readonly string[] {
    return Array.from(this.#ofAuthor.get(author) ?? [])
  }

  /** The highest sequence up to which everything is here, or was trimmed; 0 for an unknown stream. */
  have(stream: string): number {
    return this.#streams.get(stream)?.have ?? 0
  }

  /** The same, and which entry that is. */
  state(stream: string): StreamState {
    return this.#streams.get(stream)?.state ?? { have: 0, head: NoHead }
  }

  /** Up to where entries were admitted, or trimmed. */
  admitted(stream: string): number {
    return this.#streams.get(stream)?.admitted ?? 0
  }

  /** The hash of an entry, where it is known. */
  hash(stream: string, sequence: number): string | undefined {
    return this.#streams.get(stream)?.hash(sequence)
  }

  /** Bit k: sequence have + 2 + k is here too. */
  beyond(stream: string): number {
    return this.#streams.get(stream)?.beyond ?? 0
  }

  base(stream: string): Base | undefined {
    return this.#streams.get(stream)?.base
  }

  entry(stream: string, sequence: number): Entry | undefined {
    return this.#streams.get(stream)?.entries.get(sequence)
  }

  /** Everything that is had: in the log's order, what waits last. */
  get entries(): readonly Entry[] {
    return [...this.#order, ...waitingEntries(this.#waiting)]
  }

  get bases(): ReadonlyMap<string, Base> {
    return this.tail(Infinity)
  }

  /** Where each stream would begin for a reader who is given the latest `count` entries only. */
  tail(count: number): ReadonlyMap<string, Base> {
    const bases = new Map<string, Base>()
    for (const { name, base } of this.#streams.values()) if (base !== undefined) bases.set(name, base)
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
    const ours = stream?.hash(entry.sequence)
    if (ours !== undefined) return ours === entry.hash ? 'known' : 'chat-entry-fork'
    if (entry.sequence <= have) return 'known'
    if (entry.sequence > have + 1 + Window) return 'chat-entry-ahead'
    if (entry.sequence > 1 && entry.sequence === have + 1 && stream?.isContinuedBy(entry) !== true) {
      return 'chat-entry-fork'
    }
    if (stream === undefined && !this.#hasRoomFor(entry.stream)) return 'chat-streams'
    if (!verifyEntry(crypto, room, entry)) return 'chat-entry-forged'
    const kept = this.#keep(entry)
    if (!kept.entries.has(entry.sequence)) return 'chat-entry-fork'
    this.#admitReady()
    if (this.#countWaiting() > MaxWaiting) this.release()
    const isHere = entry.sequence <= kept.have || kept.entries.has(entry.sequence)
    return isHere ? 'added' : 'chat-entry-lamport'
  }

  /** Takes entries that were here before. @param shown up to where those of a stream had been admitted */
  restore(entries: readonly Entry[], shown: (stream: string) => number): void {
    // They lie there as they came, which need not be in the order of their streams.
    for (const entry of entries.toSorted((a, b) => a.sequence - b.sequence)) {
      if (entry.sequence === this.have(entry.stream) + 1) this.#keep(entry)
    }
    this.release(shown)
    // Those are not admitted a second time.
    this.#admitted.length = 0
    this.#admitReady()
  }

  /** What an entry of this stream made now has before it. */
  position(stream: string): Position {
    const have = this.have(stream)
    const previous = this.hash(stream, have)
    const parents = this.#ancestry.parents(previous)
    return { sequence: have + 1, previous, parents, lamport: this.#ancestry.lamportAfter(previous, parents) }
  }

  /** Takes an entry of our own, made just now. */
  add(entry: Entry): void {
    this.#keep(entry)
    this.#admitReady()
  }

  /** Whether a Lamport time that cannot be verified is near enough to be taken. */
  isNear(lamport: number): boolean {
    return this.#ancestry.isNear(lamport)
  }

  /** Gives up what comes before a base: nobody will send it. @returns whether anything has changed */
  skipTo(name: string, base: Base): boolean {
    let stream = this.#streams.get(name)
    if (base.sequence <= (stream?.have ?? 0)) return false
    if (stream === undefined && !this.#hasRoomFor(name)) return false
    stream ??= this.#addStream(name)
    // What is here is shown nevertheless.
    for (let next = stream.next; next !== undefined; next = stream.next) this.#admit(stream, next)
    for (const [sequence, entry] of stream.entries) {
      if (sequence <= base.sequence) this.#drop(stream, entry)
    }
    if (stream.base !== undefined) this.#ancestry.forget(name, stream.base.hash)
    stream.beginAt(base)
    // Its hash is not verified: it takes nothing from an entry that is.
    if (!this.#ancestry.has(base.hash)) this.#ancestry.know(name, base)
    this.#changed(stream)
    this.#extend(stream)
    this.#admitReady()
    return true
  }

  /** Gives up what comes after a sequence: nobody else has it, and others have something else there. */
  truncate(name: string, sequence: number): void {
    const stream = this.#streams.get(name)
    if (stream === undefined || sequence < (stream.base?.sequence ?? 0) || sequence >= stream.have) return
    for (const [each, entry] of stream.entries) {
      if (each <= sequence) continue
      this.#drop(stream, entry)
      this.#ancestry.noteDropped(entry)
    }
    stream.have = sequence
    stream.admitted = Math.min(stream.admitted, sequence)
    this.#noteWaiting(stream)
    this.#changed(stream)
  }

  /**
   * Admits what waits for parents, since those are not to be had: the replica it came from has nothing more
   * to give. Its parents were trimmed there, or it lies about them.
   * @param upTo admits no more of a stream than this
   */
  release(upTo: (stream: string) => number = () => Infinity): void {
    for (const entry of waitingEntries(this.#waiting)) {
      const stream = this.#streams.get(entry.stream)
      if (stream?.admitted === entry.sequence - 1 && entry.sequence <= upTo(entry.stream)) {
        this.#admit(stream, entry)
      }
    }
    this.#trim()
  }

  /** The next entry to show, in the order of admission. */
  pollAdmitted(): Entry | undefined {
    return this.#admitted.shift()
  }

  /** Takes an entry into its stream; one that does not continue it is not there afterwards. */
  #keep(entry: Entry): Stream {
    const stream = this.#streams.get(entry.stream) ?? this.#addStream(entry.stream)
    stream.entries.set(entry.sequence, entry)
    this.#extend(stream)
    return stream
  }

  #extend(stream: Stream): void {
    let hasMore = false
    while (stream.extend()) hasMore = true
    if (!hasMore) return
    this.#waiting.add(stream)
    this.#changed(stream)
  }

  #admitReady(): void {
    for (let moved = true; moved; ) {
      moved = false
      for (const stream of this.#waiting) {
        const { next } = stream
        if (next === undefined || !next.parents.every((parent) => this.#ancestry.has(parent))) continue
        moved = true
        this.#admit(stream, next)
      }
    }
    this.#trim()
  }

  #admit(stream: Stream, entry: Entry): void {
    if (!this.#ancestry.isRight(entry)) {
      // Its author lies about its place. Neither it nor what follows it can ever be admitted.
      stream.dropWaiting()
      this.#noteWaiting(stream)
      this.#changed(stream)
      return
    }
    stream.admitted = entry.sequence
    this.#noteWaiting(stream)
    this.#ancestry.noteAdmitted(entry)
    this.#ancestry.know(stream.name, entry)
    // Most come last.
    let at = this.#order.length
    for (let last = this.#order[at - 1]; last !== undefined && compareEntries(entry, last) < 0; ) {
      at -= 1
      last = this.#order[at - 1]
    }
    this.#order.splice(at, 0, entry)
    this.#admitted.push(entry)
  }

  #noteWaiting(stream: Stream): void {
    if (!stream.isWaiting) this.#waiting.delete(stream)
  }

  #countWaiting(): number {
    let count = 0
    for (const { have, admitted } of this.#waiting) count += have - admitted
    return count
  }

  /** By tenths, so that whoever keeps the log on disk need not write it anew for every entry. */
  #trim(): void {
    const { maxEntries } = this.#options
    if (this.#order.length <= maxEntries) return
    for (const entry of this.#order.splice(0, this.#order.length - Math.floor(maxEntries * 0.9))) {
      const stream = this.#streams.get(entry.stream)
      if (stream === undefined) continue
      if (stream.base !== undefined) this.#ancestry.forget(stream.name, stream.base.hash)
      stream.base = baseOf(entry)
      stream.entries.delete(entry.sequence)
    }
  }

  #drop(stream: Stream, entry: Entry): void {
    stream.entries.delete(entry.sequence)
    this.#ancestry.forget(stream.name, entry.hash)
    const index = this.#order.indexOf(entry)
    if (index >= 0) this.#order.splice(index, 1)
  }

  #changed(stream: Stream): void {
    this.#digest.set(stream.name, stream.state)
    this.#options.onChange?.(stream.name)
  }

  #hasRoomFor(name: string): boolean {
    const ofAuthor = this.#ofAuthor.get(authorOf(name))?.size ?? 0
    return this.#streams.size < MaxStreams && ofAuthor < MaxStreamsPerAuthor
  }

  #addStream(name: string): Stream {
    const stream = new Stream(name)
    this.#streams.set(name, stream)
    const ofAuthor = this.#ofAuthor.get(stream.author) ?? new Set()
    this.#ofAuthor.set(stream.author, ofAuthor.add(name))
    return stream
  }
}

function baseOf({ sequence, hash, lamport }: Entry): Base {
  return { sequence, hash, lamport }
}
