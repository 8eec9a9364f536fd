/** Saying goodbye: again and again until it is heard, and not for ever. */
const PatienceMs = 1000
const RepeatMs = 100

export class Farewell {
  readonly #until: number
  #nextAt: number

  constructor(now: number) {
    this.#until = now + PatienceMs
    this.#nextAt = now
  }

  /** Whether those that have not answered by now are not waited for any more. */
  isOver(now: number): boolean {
    return now >= this.#until
  }

  /** Whether to say it now; true once each time it is due. */
  isDue(now: number): boolean {
    if (now < this.#nextAt) return false
    this.#nextAt = now + RepeatMs
    return true
  }

  pollTimeout(): number {
    return Math.min(this.#nextAt, this.#until)
  }
}
