/** A token bucket: `ratePerSecond` tokens a second, at most `burst` kept. Time comes in as an argument. */
export class TokenBucket {
  readonly #ratePerMs: number
  readonly #burst: number
  #tokens: number
  #at: number | undefined

  constructor(ratePerSecond: number, burst: number) {
    this.#ratePerMs = ratePerSecond / 1000
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes one token, or none and false. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - (this.#at ?? now)) * this.#ratePerMs)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }

  /** Takes more for something that was let through and turned out to cost more; later ones wait for it. */
  charge(tokens: number): void {
    this.#tokens -= tokens
  }
}

/** How often each thing was dropped, by reason. Reasons are codes of this program: their number is small. */
export class Counters {
  readonly #counts = new Map<string, number>()

  count(reason: string): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
  }

  /** Adds what was counted elsewhere. */
  addAll(counts: Iterable<readonly [reason: string, count: number]>): void {
    for (const [reason, count] of counts) this.#counts.set(reason, this.get(reason) + count)
  }

  get(reason: string): number {
    return this.#counts.get(reason) ?? 0
  }

  entries(): readonly (readonly [reason: string, count: number])[] {
    return Array.from(this.#counts)
  }
}
