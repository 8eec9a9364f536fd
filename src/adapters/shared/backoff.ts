/** How long to wait before the next attempt: ever longer, and never all at the same moment. */
import type { Random } from '../../core/ports.js'

export interface BackoffLimits {
  readonly firstMs: number
  readonly longestMs: number
}

export class Backoff {
  readonly #random: Random
  readonly #limits: BackoffLimits
  #failures = 0

  constructor(random: Random, limits: BackoffLimits) {
    this.#random = random
    this.#limits = limits
  }

  /** The wait after a failure, in ms: twice as long as after the one before, less up to a half. */
  next(): number {
    const { firstMs, longestMs } = this.#limits
    const delayMs = Math.min(firstMs * 2 ** Math.min(this.#failures, 30), longestMs)
    this.#failures += 1
    return this.jittered(delayMs)
  }

  /** Half to whole, so that many who lost a backend at once do not come back at once. */
  jittered(delayMs: number): number {
    return delayMs * (0.5 + this.#random.fraction() / 2)
  }

  /** After a success. */
  reset(): void {
    this.#failures = 0
  }
}
