/** How long an allocation lives yet, and when to ask the server about it (RFC 8656 section 8). */
import { earliest } from '../../core/machine.js'

/** How long before its end an allocation is refreshed, where it lives for long, ms. */
const RefreshEarly = 60_000
/** After an error that does not say that it is gone, ms. */
const RetryMs = 10_000
/** A server that grants more is asked as if it did not, ms. */
const MaxLifetime = 3_600_000

export class Lease {
  readonly #keepaliveMs: number
  #allocatedAt = 0
  #refreshAt = 0
  #endsAt = 0
  #heardAt = 0
  #isAsked = false

  /** @param keepaliveMs how long nothing may come before the server is asked */
  constructor(keepaliveMs: number) {
    this.#keepaliveMs = keepaliveMs
  }

  /** The server is being asked. */
  get isAsked(): boolean {
    return this.#isAsked
  }

  /** @returns false for a lifetime that is none */
  begin(now: number, lifetimeMs: number | undefined): boolean {
    if (lifetimeMs === undefined || lifetimeMs === 0) return false
    const lifetime = Math.min(lifetimeMs, MaxLifetime)
    this.#isAsked = false
    this.#endsAt = now + lifetime
    this.#refreshAt = now + (lifetime > 6 * RefreshEarly ? lifetime - RefreshEarly : (lifetime * 5) / 6)
    return true
  }

  allocated(now: number): void {
    this.#allocatedAt = now
  }

  asked(): void {
    this.#isAsked = true
  }

  refused(now: number): void {
    this.#isAsked = false
    this.#refreshAt = now + RetryMs
    this.#heardAt = now
  }

  /** Something has come that only the server of this allocation sends. */
  heard(now: number): void {
    this.#heardAt = now
  }

  ageMs(now: number): number {
    return now - this.#allocatedAt
  }

  isOver(now: number): boolean {
    return this.#endsAt <= now
  }

  isDue(now: number): boolean {
    return !this.#isAsked && this.#dueAt <= now
  }

  pollTimeout(): number | undefined {
    return this.#isAsked ? this.#endsAt : earliest(this.#endsAt, this.#dueAt)
  }

  get #dueAt(): number {
    return Math.min(this.#refreshAt, this.#heardAt + this.#keepaliveMs)
  }
}
