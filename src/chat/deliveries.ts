/** Up to where every member online has each stream (docs/protocol.md, Delivered). */
import { authorOf } from './entry.js'
import type { ChatLog } from './log.js'

/** Another replica, as far as deliveries go. */
export interface Reader {
  /** Its member's key, in hex. */
  readonly author: string
  /** Up to where it is known to have a stream. */
  have(stream: string): number
}

export class Deliveries {
  readonly #log: ChatLog
  readonly #self: string
  readonly #readers: ReadonlyMap<string, Reader>
  /** By stream; a guest knows it of its own only. */
  readonly #delivered = new Map<string, number>()
  /** For each stream a reader that lacks what comes next: as long as it does, nobody else matters. */
  readonly #lacking = new Map<string, string>()

  /**
   * @param self this member's key, in hex
   * @param readers the neighbours, by id; looked at again whenever something is judged
   */
  constructor(log: ChatLog, self: string, readers: ReadonlyMap<string, Reader>) {
    this.#log = log
    this.#self = self
    this.#readers = readers
  }

  /** Up to where a stream is delivered. */
  of(stream: string): number {
    return this.#delivered.get(stream) ?? 0
  }

  /** The same of all streams of our own. */
  get own(): ReadonlyMap<string, number> {
    return new Map(Array.from(this.#delivered).filter(([stream]) => authorOf(stream) === this.#self))
  }

  /** Our own streams of which something is undelivered. */
  get undeliveredStreams(): readonly string[] {
    return this.#log.streamsOf(this.#self).filter((stream) => this.#undeliveredOf(stream) > 0)
  }

  /** How many entries of our own are undelivered. */
  get undelivered(): number {
    const streams = this.#log.streamsOf(this.#self)
    return streams.reduce((count, stream) => count + this.#undeliveredOf(stream), 0)
  }

  /** Takes what was known before. */
  restore(delivered: ReadonlyMap<string, number>): void {
    for (const [stream, sequence] of delivered) this.#delivered.set(stream, sequence)
  }

  /** For the hub: up to where every member online has a stream by now; no more than `of` where nothing is new. */
  judge(stream: string): number {
    const author = authorOf(stream)
    const before = this.of(stream)
    let have = this.#log.have(stream)
    if (have <= before || this.#isLacking(stream, before)) return before
    // Of a guest's message the hub itself is a reader; of its own it needs another.
    let isRead = author !== this.#self
    for (const [id, reader] of this.#readers) {
      if (reader.author === author) continue
      isRead = true
      const theirs = reader.have(stream)
      have = Math.min(have, theirs)
      // Of several the last: what is sent to it last comes back last.
      if (theirs <= before) this.#lacking.set(stream, id)
    }
    return isRead ? have : before
  }

  /** Notes that a stream is delivered up to there. @returns the ids of our own entries that are so now */
  set(stream: string, sequence: number): readonly string[] {
    const before = Math.max(this.of(stream), this.#log.base(stream)?.sequence ?? 0)
    this.#delivered.set(stream, sequence)
    this.#lacking.delete(stream)
    if (authorOf(stream) !== this.#self) return []
    const ids: string[] = []
    for (let each = before + 1; each <= sequence; each += 1) {
      const entry = this.#log.entry(stream, each)
      if (entry !== undefined) ids.push(entry.id)
    }
    return ids
  }

  #isLacking(stream: string, delivered: number): boolean {
    const reader = this.#readers.get(this.#lacking.get(stream) ?? '')
    return reader !== undefined && reader.author !== authorOf(stream) && reader.have(stream) <= delivered
  }

  /** What was trimmed counts no more. */
  #undeliveredOf(stream: string): number {
    const settled = Math.max(this.of(stream), this.#log.base(stream)?.sequence ?? 0)
    return Math.max(0, this.#log.have(stream) - settled)
  }
}
