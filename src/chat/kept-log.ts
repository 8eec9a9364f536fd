/**
 * The log's copy on disk: what is new is there at once or a few ms later, before anybody is told that it is here. A disk
 * that fails is tried again; meanwhile the log goes on in memory.
 */
import { GonetError } from '../core/errors.js'
import type { Store } from '../core/ports.js'
import type { Entry } from './entry.js'
import { Journal, type JournalContent } from './journal.js'
import type { ChatLog } from './log.js'
import type { Base } from './vector.js'

/** What comes in is on disk at once; what comes in so soon after that is gathered. */
const FlushMs = 5
/** When a disk that failed is tried again. */
const FlushRetryMs = 5000

export interface KeptLogOptions {
  readonly store: Store
  readonly log: ChatLog
  /** What is kept beside the log, as it is now. */
  readonly beside: () => Pick<JournalContent, 'delivered' | 'incarnation'>
}

export class KeptLog {
  readonly #log: ChatLog
  readonly #journal: Journal
  readonly #beside: KeptLogOptions['beside']
  #flushAt: number | undefined
  #flushedAt = -Infinity
  /** Whether the disk lacks what appending cannot add. */
  #rewriteNeeded = false
  #hasFailed = false
  #isKept = true

  constructor({ store, log, beside }: KeptLogOptions) {
    this.#log = log
    this.#journal = new Journal(store)
    this.#beside = beside
  }

  /** Whether the disk has everything that is to be told, if there is one. */
  get isKept(): boolean {
    return this.#isKept
  }

  /**
   * Fills the log with what lies on disk.
   * @param decode undefined for what is no entry
   * @returns what lies beside it
   * @throws GonetError `store-failed`
   */
  load(decode: (bytes: Uint8Array) => Entry | undefined): Pick<JournalContent, 'delivered' | 'incarnation'> {
    const { entries, shown, bases, delivered, incarnation } = this.#journal.load()
    for (const [stream, base] of bases) this.#log.skipTo(stream, base)
    const seen = new Map(shown)
    const restored = entries.flatMap(({ bytes, waits }) => {
      const entry = decode(bytes)
      if (entry === undefined) return []
      const { stream, sequence } = entry
      if (!waits) seen.set(stream, Math.max(seen.get(stream) ?? 0, sequence))
      return [entry]
    })
    // What was shown before is not shown again; what waited is.
    this.#log.restore(restored, (stream) => seen.get(stream) ?? 0)
    return { delivered, incarnation }
  }

  /** Has an entry of our own on disk at once, before the log has it. @throws GonetError `store-failed` */
  addOwn(now: number, { incarnation, sequence, bytes }: Entry): void {
    try {
      // What comes to lie behind a torn record would be lost with it.
      if (this.#rewriteNeeded) this.#rewrite()
      if (sequence === 1) this.#journal.addIncarnation(incarnation)
      this.#journal.addEntry({ bytes, waits: false })
      this.#journal.flush()
    } catch (error) {
      // What waited beside it is not on disk either.
      this.needRewrite(now)
      throw error
    }
  }

  /** Notes an entry that the log has taken. */
  addEntry(now: number, { bytes, stream, sequence }: Entry): void {
    this.#journal.addEntry({ bytes, waits: this.#log.admitted(stream) < sequence })
    this.noteNews(now)
  }

  /** Notes that an entry which waited is admitted. */
  addShown(now: number, { stream, sequence }: Entry): void {
    this.#journal.addShown(stream, sequence)
    this.noteNews(now)
  }

  addBase(now: number, stream: string, base: Base): void {
    this.#journal.addBase(stream, base)
    this.noteNews(now)
  }

  addDelivered(now: number, stream: string, sequence: number): void {
    this.#journal.addDelivered(stream, sequence)
    this.noteNews(now)
  }

  /** Notes that what lies on disk is not what there is any more. */
  needRewrite(now: number): void {
    this.#rewriteNeeded = true
    this.noteNews(now)
  }

  noteNews(now: number): void {
    this.#flushAt ??= Math.max(now, this.#flushedAt + FlushMs)
  }

  /** Notes that something is to be told: not before the disk has it. */
  noteToTell(): void {
    this.#isKept = this.#flushAt === undefined || this.#hasFailed
  }

  /** Notes that what is to be told is on disk already. */
  noteKept(): void {
    this.#isKept = true
  }

  /** Has what is new on disk. @returns whether the disk works; undefined where it was not its time */
  handleTimeout(now: number, onFailure: (error: GonetError) => void): boolean | undefined {
    if (this.#flushAt === undefined || (this.#hasFailed && now < this.#flushAt)) return undefined
    this.#flushedAt = now
    this.flush(onFailure)
    if (this.#hasFailed) this.#flushAt = now + FlushRetryMs
    return !this.#hasFailed
  }

  pollTimeout(): number | undefined {
    return this.#flushAt
  }

  /** Has what is new on disk now. @param onFailure told of a disk that has begun to fail */
  flush(onFailure: (error: GonetError) => void): void {
    this.#flushAt = undefined
    try {
      const needed = this.#log.size + 2 * this.#log.streamCount
      if (this.#rewriteNeeded || this.#journal.records > 2 * needed + 1000) this.#rewrite()
      else this.#journal.flush()
      this.#hasFailed = false
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      if (!this.#hasFailed) onFailure(error)
      this.#hasFailed = true
      this.#rewriteNeeded = true
    }
    this.#isKept = true
  }

  #rewrite(): void {
    this.#journal.rewrite({
      entries: this.#log.entries.map(({ bytes, stream, sequence }) => ({
        bytes,
        waits: sequence > this.#log.admitted(stream),
      })),
      bases: this.#log.bases,
      ...this.#beside(),
    })
    this.#rewriteNeeded = false
  }
}
