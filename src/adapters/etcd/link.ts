/** A session that comes back by itself, with the next member of the cluster where one is lost. */
import type { SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import { isRefusal } from './failure.js'
import { Session } from './session.js'
import type { EndpointSettings } from './settings.js'

export interface LinkOptions {
  /** At least one. */
  readonly endpoints: readonly EndpointSettings[]
  readonly onUp: (session: Session) => void
  /** A session was lost that cannot be had again at once, or none can be had. */
  readonly onDown: (reason: string) => void
  readonly clock: Clock
  readonly random: Random
}

const FirstRetryMs = 250
const LongestRetryMs = 30_000
/** Who was refused asks seldom. */
const RefusedRetryMs = 30_000
/** A session that lasted this long was a good one: the next is asked for at once, and quietly. */
const LastingMs = 10_000

export class Link {
  readonly #options: LinkOptions
  readonly #backoff: Backoff
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #session: Session | undefined
  /** Of the endpoints: those who start at once do not all begin with the same. */
  #next: number
  #waiting: (() => void)[] = []

  /** Starts connecting. */
  constructor(options: LinkOptions) {
    this.#options = options
    const { random, endpoints } = options
    this.#backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    this.#next = Math.floor(random.fraction() * endpoints.length)
    this.#running = this.#run()
  }

  /** The session, while there is one. */
  get session(): Session | undefined {
    return this.#session
  }

  /** Resolves with the session as soon as there is one; rejects with the signal's reason on abort. */
  async whenUp(signal: AbortSignal): Promise<Session> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#session !== undefined) return this.#session
      let resume = (): void => undefined
      const resumed = new Promise<void>((resolve) => {
        resume = resolve
      })
      this.#waiting.push(resume)
      try {
        await abortable(resumed, signal)
      } finally {
        this.#waiting = this.#waiting.filter((each) => each !== resume)
      }
    }
  }

  /** Ends the link within a second, with everything that is bound to its lease. Safe to call twice. */
  async close(): Promise<void> {
    const session = this.#session
    this.#session = undefined
    this.#closing.abort()
    await session?.close()
    await this.#running
  }

  #isClosing(): boolean {
    return this.#closing.signal.aborted
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    while (!this.#isClosing()) {
      const delayMs = await this.#stay(signal)
      if (this.#isClosing()) return
      await delay(this.#options.clock, delayMs, signal).catch(() => undefined)
    }
  }

  /** Has one session, if one can be had, until it ends. @returns how long to wait before the next, in ms */
  async #stay(signal: AbortSignal): Promise<number> {
    const { clock, onUp, onDown } = this.#options
    const opened = await this.#openAny(signal)
    if (this.#isClosing()) {
      if (opened instanceof Session) await opened.close()
      return 0
    }
    if (!(opened instanceof Session)) {
      onDown(reasonsOf(opened))
      return opened.some(isRefusal) ? this.#backoff.jittered(RefusedRetryMs) : this.#backoff.next()
    }
    const since = clock.now()
    this.#session = opened
    onUp(opened)
    for (const resume of this.#waiting) resume()
    const reason: SignallingError = await opened.ended
    this.#session = undefined
    if (this.#isClosing()) return 0
    const { message } = reason
    if (isRefusal(reason)) {
      onDown(message)
      return this.#backoff.jittered(RefusedRetryMs)
    }
    if (clock.now() - since < LastingMs) {
      onDown(message)
      return this.#backoff.next()
    }
    this.#backoff.reset()
    return 0
  }

  /** Tries each endpoint once. */
  async #openAny(signal: AbortSignal): Promise<Session | readonly SignallingError[]> {
    const { clock, endpoints } = this.#options
    const failures: SignallingError[] = []
    for (let attempt = 0; attempt < endpoints.length && !signal.aborted; attempt += 1) {
      const endpoint = endpoints[this.#next % endpoints.length]
      this.#next += 1
      if (endpoint === undefined) continue
      try {
        return await Session.open(endpoint, clock, signal)
      } catch (error) {
        failures.push(error as SignallingError)
      }
    }
    return failures
  }
}

/** One line, where the same is not said of each endpoint again. */
function reasonsOf(failures: readonly SignallingError[]): string {
  return [...new Set(failures.map(({ message }) => message))].join('; ')
}
