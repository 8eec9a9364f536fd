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
import {
  type Base,
  digestLine,
  digestOfLines,
  HeadBytes,
  MaxStreams,
  NoHead,
  type StreamState,
} from './vector.js'

/** How far beyond a gap entries are kept: a line's `beyond` has as many bits. */
export const Window = 32
/** Incarnations of one author: each is a lost state, which is rare. */
const MaxStreamsPerAuthor = 64
/**
 * How far what is not verified may be ahead of this log, in Lamport time: an entry whose parents nobody has, or
 * a base. Driving members' clocks to their end takes 2^24 such leaps. Where it is done all the same, the order
 * of what is said from then on is no longer causal; nothing else suffers.
 */
const MaxLamportLead = 2 ** 24
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

interface Stream {
  readonly key: string
  base: Base | undefined
  /** All that is here above the base; there may be gaps above `have`. */
  readonly entries: Map<number, Entry>
  have: number
  admitted: number
  /** What the log's digest has of it, where that has been asked for since it changed. */
  digestLine: Uint8Array | undefined
}

export class ChatLog {
  readonly #options: ChatLogOptions
  readonly #streams = new Map<string, Stream>()
  /** The same, ascending by name. */
  readonly #sorted: Stream[] = []
  readonly #streamsOfAuthor = new Map<string, number>()
  /** Streams with entries that are had and not admitted. */
  readonly #waiting = new Set<Stream>()
  /** Admitted entries in the log's order. */
  readonly #order: Entry[] = []
  readonly #admitted: Entry[] = []
  /** Lamport times of everything that an entry may name as its parent, by hash, and whose stream it is in. */
  readonly #lamports = new Map<string, { readonly lamport: number; readonly stream: string }>()
  /** Those of them that no admitted entry has named yet. */
  readonly #heads = new Set<string>()
  #clock = 0
  #digest: string | undefined

  constructor(options: ChatLogOptions) {
    this.#options = options
  }

  /** Over what this replica has of every stream, in hex. */
  get digest(): string {
    if (this.#digest === undefined) {
      const lines: Uint8Array[] = []
      for (const stream of this.#sorted) {
        if (stream.have === 0) continue
        stream.digestLine ??= digestLine(stream.key, this.state(stream.key))
        lines.push(stream.digestLine)
      }
      this.#digest = digestOfLines(this.#options.crypto, lines)
    }
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

  get streamCount(): number {
    return this.#streams.size
  }

  /** The highest sequence up to which everything is here, or was trimmed; 0 for an unknown stream. */
  have(stream: string): number {
    return this.#streams.get(stream)?.have ?? 0
  }

  /** The same, and which entry that is. */
  state(stream: string): StreamState {
    const have = this.have(stream)
    return { have, head: this.hash(stream, have)?.slice(0, 2 * HeadBytes) ?? NoHead }
  }

  /** Up to where entries were admitted, or trimmed. */
  admitted(stream: string): number {
    return this.#streams.get(stream)?.admitted ?? 0
  }

  /** The hash of an entry, where it is known. */
  hash(stream: string, sequence: number): string | undefined {
    const known = this.#streams.get(stream)
    return (
      known?.entries.get(sequence)?.hash ?? (known?.base?.sequence === sequence ? known.base.hash : undefined)
    )
  }

  /** Bit k: sequence have + 2 + k is here too. */
  beyond(stream: string): number {
    const known = this.#streams.get(stream)
    if (known === undefined) return 0
    let bits = 0
    for (let bit = 0; bit < Window; bit += 1) if (known.entries.has(known.have + 2 + bit)) bits |= 1 << bit
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
    const ours = this.hash(entry.stream, entry.sequence)
    if (ours !== undefined) return ours === entry.hash ? 'known' : 'chat-entry-fork'
    if (entry.sequence <= have) return 'known'
    if (entry.sequence > have + 1 + Window) return 'chat-entry-ahead'
    if (entry.sequence === have + 1 && !this.#continues(stream, entry)) return 'chat-entry-fork'
    if (stream === undefined && !this.#hasRoomFor(entry.stream)) return 'chat-streams'
    if (!verifyEntry(crypto, room, entry)) return 'chat-entry-forged'
    const refusal = this.#keep(entry)
    if (refusal !== undefined) return refusal
    this.#admitReady()
    if (this.#countWaiting() > MaxWaiting) this.release()
    const isHere = entry.sequence <= this.have(entry.stream) || this.#isBeyond(entry)
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
  position(key: string): Position {
    const have = this.have(key)
    const previous = this.hash(key, have)
    const parents = Array.from(this.#heads)
      .filter((hash) => hash !== previous)
      .sort((a, b) => this.#lamportOf(b) - this.#lamportOf(a))
      .slice(0, MaxParents)
      .sort()
    return { sequence: have + 1, previous, parents, lamport: this.#lamportAfter(previous, parents) }
  }

  /** Takes an entry of our own, made just now. */
  add(entry: Entry): void {
    this.#keep(entry)
    this.#admitReady()
  }

  /** Whether a Lamport time that cannot be verified is near enough to be taken. */
  isNear(lamport: number): boolean {
    return lamport <= this.#clock + MaxLamportLead
  }

  /** Gives up what comes before a base: nobody will send it. @returns whether anything has changed */
  skipTo(key: string, base: Base): boolean {
    let stream = this.#streams.get(key)
    if (base.sequence <= (stream?.have ?? 0)) return false
    if (stream === undefined && !this.#hasRoomFor(key)) return false
    stream ??= this.#addStream(key)
    // What is here is shown nevertheless.
    this.#releaseStream(stream)
    for (const [sequence, entry] of stream.entries) {
      if (sequence > base.sequence) continue
      this.#drop(stream, entry)
    }
    if (stream.base !== undefined) this.#forget(stream, stream.base.hash)
    stream.base = base
    stream.have = base.sequence
    stream.admitted = base.sequence
    // Its hash is not verified: it takes nothing from an entry that is.
    if (!this.#lamports.has(base.hash)) this.#know(stream, base)
    this.#changed(stream)
    this.#extend(stream)
    this.#admitReady()
    return true
  }

  /** Gives up what comes after a sequence: nobody else has it, and others have something else there. */
  truncate(key: string, sequence: number): void {
    const stream = this.#streams.get(key)
    if (stream === undefined || sequence < (stream.base?.sequence ?? 0) || sequence >= stream.have) return
    for (const [each, entry] of stream.entries) {
      if (each <= sequence) continue
      this.#drop(stream, entry)
      for (const hash of before(entry)) if (this.#lamports.has(hash)) this.#heads.add(hash)
    }
    stream.have = sequence
    stream.admitted = Math.min(stream.admitted, sequence)
    if (stream.admitted === stream.have) this.#waiting.delete(stream)
    this.#changed(stream)
  }

  /**
   * Admits what waits for parents, since those are not to be had: the replica it came from has nothing more
   * to give. Its parents were trimmed there, or it lies about them.
   * @param upTo admits no more of a stream than this
   */
  release(upTo: (stream: string) => number = () => Infinity): void {
    for (const entry of this.#allWaiting()) {
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
      this.#changed(stream)
      this.#waiting.add(stream)
    }
  }

  #continues(stream: Stream | undefined, entry: Entry): boolean {
    if (entry.sequence === 1) return true
    return stream !== undefined && this.hash(stream.key, entry.sequence - 1) === entry.previous
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
    const known = this.#lamportAfter(entry.previous, entry.parents)
    const isRight = before(entry).every((hash) => this.#lamports.has(hash))
      ? entry.lamport === known
      : entry.lamport >= known && (entry.lamport === known || this.isNear(entry.lamport))
    if (!isRight) {
      // Its author lies about its place. Neither it nor what follows it can ever be admitted.
      for (const sequence of stream.entries.keys()) {
        if (sequence >= entry.sequence) stream.entries.delete(sequence)
      }
      stream.have = stream.admitted
      this.#changed(stream)
      this.#waiting.delete(stream)
      return
    }
    stream.admitted = entry.sequence
    if (stream.admitted === stream.have) this.#waiting.delete(stream)
    for (const hash of before(entry)) this.#heads.delete(hash)
    this.#know(stream, entry)
    let at = this.#order.length
    for (let last = this.#order[at - 1]; last !== undefined && compareEntries(entry, last) < 0; ) {
      at -= 1
      last = this.#order[at - 1]
    }
    this.#order.splice(at, 0, entry)
    this.#admitted.push(entry)
  }

  #releaseStream(stream: Stream): void {
    while (stream.admitted < stream.have) {
      const next = stream.entries.get(stream.admitted + 1)
      if (next === undefined) break
      this.#admit(stream, next)
    }
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

  #countWaiting(): number {
    let count = 0
    for (const { have, admitted } of this.#waiting) count += have - admitted
    return count
  }

  #lamportOf(hash: string): number {
    return this.#lamports.get(hash)?.lamport ?? 0
  }

  /** The Lamport time of an entry, by what is known of those before it. At its end, time stands still. */
  #lamportAfter(previous: string | undefined, parents: readonly string[]): number {
    const times = parents.map((hash) => this.#lamportOf(hash))
    return Math.min(
      MaxTime,
      1 + Math.max(previous === undefined ? 0 : this.#lamportOf(previous), ...times, 0),
    )
  }

  /** By tenths, so that whoever keeps the log on disk need not write it anew for every entry. */
  #trim(): void {
    const { maxEntries } = this.#options
    if (this.#order.length <= maxEntries) return
    for (const entry of this.#order.splice(0, this.#order.length - Math.floor(maxEntries * 0.9))) {
      const stream = this.#streams.get(entry.stream)
      if (stream === undefined) continue
      if (stream.base !== undefined) this.#forget(stream, stream.base.hash)
      stream.base = baseOf(entry)
      stream.entries.delete(entry.sequence)
    }
  }

  #know({ key }: Stream, { hash, lamport }: Pick<Base, 'hash' | 'lamport'>): void {
    this.#lamports.set(hash, { lamport, stream: key })
    this.#heads.add(hash)
    this.#clock = Math.max(this.#clock, lamport)
  }

  #drop(stream: Stream, entry: Entry): void {
    stream.entries.delete(entry.sequence)
    this.#forget(stream, entry.hash)
    const index = this.#order.indexOf(entry)
    if (index >= 0) this.#order.splice(index, 1)
  }

  #changed(stream: Stream): void {
    this.#digest = undefined
    stream.digestLine = undefined
    this.#options.onChange?.(stream.key)
  }

  #forget({ key }: Stream, hash: string): void {
    if (this.#lamports.get(hash)?.stream !== key) return
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
    const entries = new Map<number, Entry>()
    const stream: Stream = { key, base: undefined, entries, have: 0, admitted: 0, digestLine: undefined }
    this.#streams.set(key, stream)
    let at = this.#sorted.length
    while (at > 0 && (this.#sorted[at - 1]?.key ?? '') > key) at -= 1
    this.#sorted.splice(at, 0, stream)
    const author = authorOf(key)
    this.#streamsOfAuthor.set(author, (this.#streamsOfAuthor.get(author) ?? 0) + 1)
    return stream
  }
}

/** The hashes that an entry names. */
function before({ previous, parents }: Entry): readonly string[] {
  return previous === undefined ? parents : [previous, ...parents]
}

function baseOf({ sequence, hash, lamport }: Entry): Base {
  return { sequence, hash, lamport }
}

/** Hex of the author's key, which a stream's name begins with. */
export function authorOf(stream: string): string {
  return stream.slice(0, 64)
}
