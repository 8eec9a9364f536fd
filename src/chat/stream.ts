/** One stream of a log: what is here of one author's incarnation, in an unbroken chain of hashes. */
import { authorOf, compareEntries, type Entry } from './entry.js'
import { type Base, HeadBytes, NoHead, type StreamState } from './vector.js'

/** How far beyond a gap entries are kept: a line's `beyond` has as many bits. */
export const Window = 32

export class Stream {
  readonly name: string
  readonly author: string
  /** What was trimmed, or never given; undefined where all is here. */
  base: Base | undefined
  /** All that is here above the base; there may be gaps above `have`. */
  readonly entries: Map<number, Entry> = new Map()
  /** The highest sequence up to which everything is here, or was trimmed. */
  have = 0
  /** Up to where entries were admitted, or trimmed. */
  admitted = 0

  constructor(name: string) {
    this.name = name
    this.author = authorOf(name)
  }

  /** What is had, and which entry that is. */
  get state(): StreamState {
    return { have: this.have, head: this.hash(this.have)?.slice(0, 2 * HeadBytes) ?? NoHead }
  }

  /** Bit k: sequence have + 2 + k is here too. */
  get beyond(): number {
    // Most streams have no gap: then nothing lies above `have`.
    if (this.entries.size <= this.have - (this.base?.sequence ?? 0)) return 0
    let bits = 0
    for (let bit = 0; bit < Window; bit += 1) if (this.entries.has(this.have + 2 + bit)) bits |= 1 << bit
    return bits >>> 0
  }

  /** Whether entries are had and not admitted. */
  get isWaiting(): boolean {
    return this.admitted < this.have
  }

  /** The next entry to be admitted. */
  get next(): Entry | undefined {
    return this.isWaiting ? this.entries.get(this.admitted + 1) : undefined
  }

  /** The hash of an entry, where it is known. */
  hash(sequence: number): string | undefined {
    return this.entries.get(sequence)?.hash ?? (this.base?.sequence === sequence ? this.base.hash : undefined)
  }

  /** Whether an entry names the one before it here. */
  isContinuedBy({ sequence, previous }: Entry): boolean {
    return sequence === 1 || this.hash(sequence - 1) === previous
  }

  /** Moves `have` on by one, if the next entry has come; what does not continue the chain is dropped. */
  extend(): boolean {
    const next = this.entries.get(this.have + 1)
    if (next === undefined) return false
    if (!this.isContinuedBy(next)) {
      this.entries.delete(next.sequence)
      return false
    }
    this.have += 1
    return true
  }

  /** Begins at a base: nobody will send what comes before. */
  beginAt(base: Base): void {
    this.base = base
    this.have = base.sequence
    this.admitted = base.sequence
  }

  /** Forgets all that is not admitted. */
  dropWaiting(): void {
    for (const sequence of this.entries.keys()) if (sequence > this.admitted) this.entries.delete(sequence)
    this.have = this.admitted
  }
}

/** What is had of some streams and not admitted, in the log's order. */
export function waitingEntries(streams: Iterable<Stream>): Entry[] {
  const entries: Entry[] = []
  for (const { admitted, have, entries: here } of streams) {
    for (let sequence = admitted + 1; sequence <= have; sequence += 1) {
      const entry = here.get(sequence)
      if (entry !== undefined) entries.push(entry)
    }
  }
  return entries.sort(compareEntries)
}
