/**
 * Those who have announced themselves as the host of a topic, which anybody can: who was tried, and whom to
 * try next. The order is that of chance, so that many who lie cannot stand before one who does not.
 */
import type { Clock, Random } from '../../core/ports.js'

interface Candidate {
  readonly key: Buffer
  failures: number
  dueAt: number
}

const MaxCandidates = 2048
const FirstRetryMs = 1_000
const LongestRetryMs = 60_000

export class Candidates {
  readonly #clock: Clock
  readonly #random: Random
  readonly #known = new Map<string, Candidate>()
  readonly #taken = new Set<string>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** How many are waiting who were never tried. */
  get untried(): number {
    let count = 0
    for (const [name, { failures }] of this.#known) if (failures === 0 && !this.#taken.has(name)) count += 1
    return count
  }

  add(key: Buffer): void {
    const name = key.toString('hex')
    if (this.#known.has(name)) return
    if (this.#known.size >= MaxCandidates) this.#forgetOne()
    // Out of the packet that it came in.
    this.#known.set(name, { key: Buffer.from(key), failures: 0, dueAt: 0 })
  }

  /** One to try now, which is not given again before it is given back; those never tried come first. */
  take(): Buffer | undefined {
    const now = this.#clock.now()
    const due = [...this.#known].filter(([name, { dueAt }]) => dueAt <= now && !this.#taken.has(name))
    const fresh = due.filter(([, { failures }]) => failures === 0)
    const from = fresh.length > 0 ? fresh : due
    const chosen = from[Math.floor(this.#random.fraction() * from.length)]
    if (chosen === undefined) return undefined
    this.#taken.add(chosen[0])
    return chosen[1].key
  }

  /** Gives one back. Who has failed waits, the longer the more often. */
  giveBack(key: Buffer): void {
    const name = key.toString('hex')
    this.#taken.delete(name)
    const candidate = this.#known.get(name)
    if (candidate === undefined) return
    const delayMs = Math.min(FirstRetryMs * 2 ** Math.min(candidate.failures, 10), LongestRetryMs)
    candidate.failures += 1
    candidate.dueAt = this.#clock.now() + delayMs * (0.5 + this.#random.fraction() / 2)
  }

  /** One that has failed and is not in use; else any that is not in use. */
  #forgetOne(): void {
    const idle = [...this.#known].filter(([name]) => !this.#taken.has(name))
    const [worst] = idle.sort(([, a], [, b]) => b.failures - a.failures)
    if (worst !== undefined) this.#known.delete(worst[0])
  }
}
