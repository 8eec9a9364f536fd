/**
 * How much the tunnel uses a path, which says how closely the path is to be watched. What members of a quiet room
 * tell each other every few seconds is no reason: a host of hundreds would do nothing but check.
 */
import { BusyPackets, RestMs, TrafficMs, UnansweredPackets } from './timing.js'

export class Traffic {
  #lastAt = -Infinity
  /** Packets either way in this span of TrafficMs, and in the one before. */
  #count = 0
  #countBefore = 0
  #spanAt = -Infinity
  /** Packets that were sent since one came. */
  #unanswered = 0

  /** Notes a packet that was sent. @returns whether the path should be checked soon */
  noteSent(now: number): boolean {
    this.#unanswered += 1
    return this.#note(now)
  }

  /** Notes a packet that came. @returns whether the path should be checked soon */
  noteReceived(now: number): boolean {
    this.#unanswered = 0
    return this.#note(now)
  }

  /** Whether there is so much of it that a path which dies must show at once. */
  isBusy(now: number): boolean {
    if (now - this.#lastAt >= TrafficMs) return false
    const before = now - this.#spanAt < 2 * TrafficMs ? this.#countBefore : 0
    return Math.max(this.#count, before) >= BusyPackets || this.#unanswered >= UnansweredPackets
  }

  #note(now: number): boolean {
    const hasRested = now - this.#lastAt >= RestMs
    this.#lastAt = now
    if (now - this.#spanAt >= TrafficMs) {
      this.#countBefore = now - this.#spanAt < 2 * TrafficMs ? this.#count : 0
      this.#count = 0
      this.#spanAt = now
    }
    this.#count += 1
    return hasRested || this.isBusy(now)
  }
}
