/** When to try for another allocation: ever more slowly, at a time that no two clients share. */
import type { Random } from '../../core/ports.js'

const FirstRetryMs = 1000
const MaxRetryMs = 120_000
/** An allocation that has lived as long was a good one: the next is tried for at once, ms. */
const GoodLifeMs = 60_000
/** Beyond it the wait grows no more; it keeps the arithmetic small. */
const MaxFailures = 30

export class Backoff {
  readonly #random: Random
  #failures = 0
  #retryAt = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** When to try again. */
  get retryAt(): number {
    return this.#retryAt
  }

  /** An allocation has lived for this long: after a good one, the next failure is a first one. */
  lived(ageMs: number): void {
    if (ageMs >= GoodLifeMs) this.#failures = 0
  }

  /** What has failed may work now. */
  hurry(now: number): void {
    this.#failures = 0
    this.#retryAt = now
  }

  failed(now: number): void {
    const waitMs = Math.min(MaxRetryMs, FirstRetryMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, MaxFailures)
    this.#retryAt = now + waitMs * (0.75 + 0.5 * this.#random.fraction())
  }
}
