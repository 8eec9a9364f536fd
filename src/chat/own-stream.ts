/** The stream that a replica writes, and how it finds out that it is not what it was (docs/protocol.md, Lost state). */
import type { Random } from '../core/ports.js'
import { type Entry, streamOf } from './entry.js'
import type { ChatLog } from './log.js'
import type { VectorLine } from './payload.js'

export class OwnStream {
  readonly incarnation: Uint8Array
  readonly name: string
  /** Whether it comes from the disk, which may have been put back to what it was once. */
  readonly #isLoaded: boolean
  /** Up to where it is known to be what others have, or was on disk at the start. */
  #confirmed: number

  private constructor(
    author: Uint8Array,
    incarnation: Uint8Array,
    loaded: { readonly have: number } | undefined,
  ) {
    this.incarnation = incarnation
    this.name = streamOf(author, incarnation)
    this.#isLoaded = loaded !== undefined
    this.#confirmed = loaded?.have ?? 0
  }

  static begin(author: Uint8Array, random: Random): OwnStream {
    return new OwnStream(author, random.bytes(8), undefined)
  }

  /** @param log what was on disk */
  static resume(author: Uint8Array, incarnation: Uint8Array, log: ChatLog): OwnStream {
    return new OwnStream(author, incarnation, { have: log.have(streamOf(author, incarnation)) })
  }

  /**
   * Compares it with what a neighbour says that it has of it. That another says so is no proof: of streams that
   * began after the start, it cannot be.
   * @returns whether our state is not what it was: another has more than we have, or something else
   */
  isLostBy({ stream, have, head }: VectorLine, log: ChatLog): boolean {
    if (stream !== this.name) return false
    const ours = log.hash(stream, have)
    if (ours?.startsWith(head) === true) {
      this.#confirmed = Math.max(this.#confirmed, have)
      return false
    }
    return this.#isLoaded && (ours !== undefined || have > log.have(stream))
  }

  /** Notes that an entry of it has come back from elsewhere: what it follows is known there. */
  noteReturned({ sequence }: Entry, log: ChatLog): void {
    if (sequence <= log.have(this.name)) this.#confirmed = sequence
  }

  /** Leaves it to whoever has more of it. @returns the texts that only we had, which are to be posted again */
  giveUp(log: ChatLog): readonly string[] {
    const confirmed = Math.max(this.#confirmed, log.base(this.name)?.sequence ?? 0)
    const texts: string[] = []
    for (let sequence = confirmed + 1; sequence <= log.have(this.name); sequence += 1) {
      const entry = log.entry(this.name, sequence)
      if (entry !== undefined) texts.push(entry.text)
    }
    log.truncate(this.name, confirmed)
    return texts
  }
}
