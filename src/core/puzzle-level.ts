/**
 * How hard the puzzle of joins is: 0 bits while a host can check all that comes, and as hard as it takes while
 * it cannot. What each record was solved for shows how many would be left at any level, so the level is found
 * in one step, and stays while lowering it would bring the flood back.
 */
import { MaxPuzzleBits } from './puzzle.js'

/** The level changes this often at most. */
const IntervalMs = 2000
/** New records a second that are to be left. All of them could be joins that have to be answered. */
const RecordsPerSecond = 100
/** The first level: nothing to a guest, and 255 of 256 records to who does not solve it. */
const FirstBits = 8
/** It is lowered after so long a calm, by so many bits. */
const CalmMs = 10_000
const LowerBits = 4

export class PuzzleLevel {
  #bits = 0
  /** How many new records came, by the bits that they were solved for. */
  readonly #counts: number[] = new Array<number>(MaxPuzzleBits + 1).fill(0)
  /** Since when it has counted; undefined while there is nothing to count. */
  #since: number | undefined
  #isOverflowing = false
  #decidedAt = -Infinity
  #calmSince = 0

  get bits(): number {
    return this.#bits
  }

  /** A record that is new came, solved for so many bits. */
  count(now: number, bits: number): void {
    this.#since ??= now
    const index = Math.min(bits, MaxPuzzleBits)
    this.#counts[index] = (this.#counts[index] ?? 0) + 1
  }

  /** A record was lost though it was solved. @returns whether the level is another now */
  overflow(now: number): boolean {
    this.#isOverflowing = true
    return now >= this.#decidedAt + IntervalMs && this.#decide(now)
  }

  /** @returns whether the level is another now */
  handleTimeout(now: number): boolean {
    const due = this.pollTimeout()
    return due !== undefined && now >= due && this.#decide(now)
  }

  pollTimeout(): number | undefined {
    return this.#since === undefined ? undefined : this.#since + IntervalMs
  }

  #decide(now: number): boolean {
    const before = this.#bits
    const seconds = Math.max(100, now - (this.#since ?? now)) / 1000
    if (this.#isOverflowing) {
      const enough = this.#enough(RecordsPerSecond * seconds)
      this.#bits = Math.min(MaxPuzzleBits, Math.max(enough, before + 1, FirstBits))
      this.#calmSince = now
    } else {
      const enough = this.#enough((RecordsPerSecond / 2) * seconds)
      if (enough >= before) this.#calmSince = now
      if (now >= this.#calmSince + CalmMs) {
        this.#bits = Math.max(enough, before - LowerBits)
        this.#calmSince = now
      }
    }
    this.#counts.fill(0)
    this.#isOverflowing = false
    this.#decidedAt = now
    this.#since = this.#bits > 0 ? now : undefined
    return this.#bits !== before
  }

  /** The least level at which no more than `most` of the counted records would have been left. */
  #enough(most: number): number {
    let left = 0
    for (let bits = MaxPuzzleBits; bits >= 0; bits -= 1) {
      left += this.#counts[bits] ?? 0
      if (left > most) return Math.min(bits + 1, MaxPuzzleBits)
    }
    return 0
  }
}
