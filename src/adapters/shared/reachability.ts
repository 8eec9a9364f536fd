/**
 * Whether a server can be reached, for backends that ask it again and again: a probe tells, and whoever finds
 * the server gone says so. Everything else waits here until it is back.
 */
import type { SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { abortable, delay } from '../waiting.js'
import { Backoff } from './backoff.js'
import { isPassing, isRefused } from './http-failure.js'

export interface ReachabilityOptions {
  readonly clock: Clock
  readonly random: Random
  /** @throws SignallingError where the server is no use now */
  readonly probe: (signal: AbortSignal) => Promise<void>
  /** How long to the next probe while all is well, in ms. Asked after each. */
  readonly probeAfterMs: () => number
  /** On every change, and on the first outcome. */
  readonly onUp: () => void
  readonly onDown: (reason: SignallingError) => void
}

const FirstRetryMs = 500
const LongestRetryMs = 30_000
/** After a refusal: somebody has to change something first. */
const RefusedRetryMs = 30_000

export class Reachability {
  readonly #options: ReachabilityOptions
  readonly #closing = new AbortController()
  readonly #waiting = new Set<() => void>()
  #running: Promise<void> = Promise.resolve()
  #isUp = false
  #lastWords: string | undefined
  #wake = new AbortController()
  /** A probe was asked for while another was under way, which may have begun too early. */
  #isWanted = false

  constructor(options: ReachabilityOptions) {
    this.#options = options
  }

  get isUp(): boolean {
    return this.#isUp
  }

  /** Begins to probe. */
  start(): void {
    this.#running = this.#run()
  }

  /** Probes now, or once more after the probe under way; where the server is down, when its turn comes. */
  probeSoon(): void {
    this.#isWanted = true
    if (this.#isUp) this.#wake.abort()
  }

  /** Resolves when the server is there. */
  async whenUp(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#isUp) return
    let resume = (): void => undefined
    const resumed = new Promise<void>((resolve) => {
      resume = resolve
    })
    this.#waiting.add(resume)
    try {
      await abortable(resumed, signal)
    } finally {
      this.#waiting.delete(resume)
    }
  }

  /** The server has failed somebody: it counts as down until a probe finds it. */
  fail(error: SignallingError): void {
    if (this.#closing.signal.aborted) return
    this.#isUp = false
    if (this.#lastWords !== error.message) {
      this.#lastWords = error.message
      this.#options.onDown(error)
    }
    this.#wake.abort()
  }

  /**
   * Does something when the server is there, again while that fails for a reason that passes.
   * @throws what it throws for another reason; the signal's reason
   */
  async persist<Outcome>(operation: () => Promise<Outcome>, signal: AbortSignal): Promise<Outcome> {
    const { clock, random } = this.#options
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    for (;;) {
      await this.whenUp(signal)
      try {
        return await operation()
      } catch (error) {
        signal.throwIfAborted()
        if (!isPassing(error)) throw error
        this.fail(error)
      }
      await delay(clock, backoff.next(), signal)
    }
  }

  /** Ends the probing. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, probe, probeAfterMs, random } = this.#options
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    const { signal } = this.#closing
    // Who opens an adapter says at once what he wants of it: one probe may then serve both.
    await delay(clock, 0, signal).catch(() => undefined)
    while (!this.#isClosing()) {
      this.#isWanted = false
      let waitMs: number
      try {
        await probe(signal)
        backoff.reset()
        this.#cameUp()
        waitMs = this.#wantsMore() ? 0 : probeAfterMs()
      } catch (error) {
        if (this.#isClosing()) return
        this.fail(error as SignallingError)
        waitMs = isRefused(error) ? backoff.jittered(RefusedRetryMs) : backoff.next()
      }
      // Only now: what was said during the probe is answered by it.
      this.#wake = new AbortController()
      await delay(clock, waitMs, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined)
    }
  }

  #isClosing(): boolean {
    return this.#closing.signal.aborted
  }

  #wantsMore(): boolean {
    return this.#isWanted
  }

  #cameUp(): void {
    if (this.#closing.signal.aborted) return
    const wasUp = this.#isUp
    this.#isUp = true
    this.#lastWords = undefined
    if (wasUp) return
    this.#options.onUp()
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
  }
}
