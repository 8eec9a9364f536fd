/** How many pastes a day may be made, and how many were: by us, and by others on the same account as far as they stand. */
import type { Clock } from '../../core/ports.js'

const DayMs = 24 * 60 * 60_000
/** Of the day's pastes, what refreshing a beacon may take: the rest is for joins and answers. */
const RefreshShare = 1 / 4
/** The oldest is forgotten first. */
const MaxKnown = 4096

export class Budget {
  readonly perDay: number
  readonly #clock: Clock
  /** When each was made, by this clock, in ms. */
  readonly #made = new Map<string, number>()

  constructor(clock: Clock, perDay: number) {
    this.#clock = clock
    this.perDay = perDay
  }

  /** @param ageMs how long ago it was made */
  note(id: string, ageMs: number): void {
    if (ageMs >= DayMs || this.#made.has(id)) return
    this.#made.set(id, this.#clock.now() - Math.max(0, ageMs))
    if (this.#made.size <= MaxKnown) return
    const [oldest] = this.#made.keys()
    if (oldest !== undefined) this.#made.delete(oldest)
  }

  /** Pastes made within a day. */
  get spent(): number {
    const now = this.#clock.now()
    for (const [id, madeAt] of this.#made) {
      if (now - madeAt >= DayMs) this.#made.delete(id)
    }
    return this.#made.size
  }

  get isSpent(): boolean {
    return this.spent >= this.perDay
  }

  /** Whether a beacon that stands may be replaced by one that is only fresher. */
  get allowsRefresh(): boolean {
    return this.spent < this.perDay * RefreshShare
  }

  /** Until one more may be made, in ms; 0 where it may now. */
  get nextInMs(): number {
    const over = this.spent - this.perDay
    if (over < 0) return 0
    const times = [...this.#made.values()].sort((a, b) => a - b)
    return Math.max(0, (times[over] ?? this.#clock.now()) + DayMs - this.#clock.now())
  }
}
