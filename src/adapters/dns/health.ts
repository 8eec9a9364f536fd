/**
 * Whether the backend can be used: it answers when it is asked how it is, and nothing that was wanted of it
 * fails. Failures of what was wanted last until that succeeds, or is not wanted any more.
 */
import type { SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { Backoff } from '../shared/backoff.js'
import type { StateReport } from '../shared/state-report.js'
import { Alarm } from './alarm.js'
import { isRefusal } from './failure.js'

export interface HealthOptions {
  readonly clock: Clock
  readonly random: Random
  readonly report: StateReport
  readonly probe: (signal: AbortSignal) => Promise<void>
}

const FirstRetryMs = 250
const LongestRetryMs = 30_000
/** Who was refused asks seldom. */
export const RefusedRetryMs = 15_000
/** How often we ask while something is going on, and while nothing is. */
const BusyProbeMs = 3_000
const IdleProbeMs = 30_000
const BusyMs = 60_000

export class Health {
  readonly #options: HealthOptions
  readonly #alarm: Alarm
  readonly #troubles = new Map<object, SignallingError>()
  readonly #waiting = new Set<() => void>()
  #probed: 'unknown' | 'up' | SignallingError = 'unknown'
  #busyUntil = 0
  #lastSuccessAt = Number.NEGATIVE_INFINITY

  constructor(options: HealthOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.clock)
    this.busy()
  }

  /** Asks until abort, with whose reason it ends. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, probe, random } = this.#options
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    for (;;) {
      let pauseMs = clock.now() < this.#busyUntil ? BusyProbeMs : IdleProbeMs
      try {
        if (this.#probed !== 'up' || clock.now() - this.#lastSuccessAt >= pauseMs) await probe(signal)
        backoff.reset()
        this.#set('up')
      } catch (error) {
        signal.throwIfAborted()
        pauseMs = isRefusal(error) ? backoff.jittered(RefusedRetryMs) : backoff.next()
        this.#set(error as SignallingError)
      }
      await this.#alarm.wait(pauseMs, signal)
    }
  }

  /** Something is going on: that the backend ends is worth knowing soon. */
  busy(): void {
    const { clock } = this.#options
    if (clock.now() >= this.#busyUntil && this.#probed === 'up') this.#alarm.ring()
    this.#busyUntil = clock.now() + BusyMs
  }

  /** @param what what was wanted */
  succeeded(what: object): void {
    this.#lastSuccessAt = this.#options.clock.now()
    if (this.#troubles.delete(what)) this.#report()
    if (this.#probed !== 'up' && this.#probed !== 'unknown') this.#alarm.ring()
  }

  failed(what: object, error: SignallingError): void {
    this.#troubles.set(what, error)
    this.#lastSuccessAt = Number.NEGATIVE_INFINITY
    // It may be down: then its return is what to wait for.
    if (this.#probed === 'up' && !isRefusal(error)) this.#alarm.ring()
    this.#report()
  }

  /** It is not wanted any more. */
  forget(what: object): void {
    if (this.#troubles.delete(what)) this.#report()
  }

  /** Calls whenever the backend answers again, until the returned function is called. */
  onReturn(callback: () => void): () => void {
    this.#waiting.add(callback)
    return () => {
      this.#waiting.delete(callback)
    }
  }

  #set(probed: 'up' | SignallingError): void {
    const isReturn = probed === 'up' && this.#probed !== 'up'
    this.#probed = probed
    if (isReturn) {
      this.#lastSuccessAt = this.#options.clock.now()
      for (const callback of this.#waiting) callback()
    }
    this.#report()
  }

  #report(): void {
    const [trouble] = this.#troubles.values()
    const worst = this.#probed instanceof Error ? this.#probed : trouble
    if (worst !== undefined) this.#options.report.down(worst.message)
    else if (this.#probed === 'up') this.#options.report.up()
  }
}
