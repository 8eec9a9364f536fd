/** A connection to one broker that comes back by itself. */
import type { SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import { Connection, type OnMessage, type ProtocolVersion } from './connection.js'
import { isRefusal } from './failure.js'
import type { BrokerSettings } from './settings.js'

export interface LinkOptions {
  readonly broker: BrokerSettings
  /** Shared by all links to a broker. */
  readonly dialect: Dialect
  readonly eraseWhenBroken?: string
  readonly onMessage: OnMessage
  /** What must be in place before the link counts as up. A rejection ends the connection. */
  readonly prepare: (connection: Connection) => Promise<void>
  readonly onUp: () => void
  /** After every failed attempt and every lost connection. */
  readonly onDown: (reason: SignallingError) => void
  readonly clock: Clock
  readonly random: Random
}

/** What is known of a broker's version of MQTT, so that it is not asked each time. */
export interface Dialect {
  /** It has said that it does not speak MQTT 5. */
  onlyOldVersion: boolean
}

const FirstRetryMs = 250
const LongestRetryMs = 30_000
/** Who was refused asks seldom. */
const RefusedRetryMs = 30_000
/** A connection that lasted this long was a good one, and the next failure is the first one again. */
const LastingMs = 10_000
/** How long a broker has to take our leave. */
const PartingMs = 700

export class Link {
  readonly #options: LinkOptions
  /**
   * Random, and the same after each reconnect: when the broker still holds the connection that we lost, it
   * ends it, with its will, before it lets us in. With a new name that old will would come a minute later,
   * and erase what we have published since.
   */
  readonly #clientId: string
  readonly #closing = new AbortController()
  readonly #running: Promise<void>
  #connection: Connection | undefined
  #waiting: (() => void)[] = []

  /** Starts connecting. */
  constructor(options: LinkOptions) {
    this.#options = options
    this.#clientId = Buffer.from(options.random.bytes(10)).toString('hex')
    this.#running = this.#run()
  }

  /** The connection, while the link is up. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /** Resolves with the connection as soon as there is one; rejects with the signal's reason on abort. */
  async whenUp(signal: AbortSignal): Promise<Connection> {
    for (;;) {
      signal.throwIfAborted()
      if (this.#connection !== undefined) return this.#connection
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

  /**
   * Ends the link within a second, whatever the broker does. Safe to call twice.
   * @param lastWords what to tell the broker first, if the link is up
   */
  async close(lastWords?: (connection: Connection) => Promise<void>): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    this.#closing.abort()
    if (connection !== undefined) {
      const left = new AbortController()
      await Promise.race([
        this.#part(connection, lastWords),
        delay(this.#options.clock, PartingMs, left.signal).catch(() => undefined),
      ])
      left.abort()
      connection.destroy()
    }
    await this.#running
  }

  #isClosing(): boolean {
    return this.#closing.signal.aborted
  }

  async #part(
    connection: Connection,
    lastWords: ((connection: Connection) => Promise<void>) | undefined,
  ): Promise<void> {
    try {
      await lastWords?.(connection)
    } catch {
      // Best effort: it is leaving that matters.
    }
    await connection.end()
  }

  async #run(): Promise<void> {
    const { clock, onDown, random } = this.#options
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    while (!this.#isClosing()) {
      const startedAt = clock.now()
      const reason = await this.#connectOnce()
      if (this.#isClosing()) return
      if (clock.now() - startedAt >= LastingMs) backoff.reset()
      onDown(reason)
      const afterMs = isRefusal(reason) ? backoff.jittered(RefusedRetryMs) : backoff.next()
      await delay(clock, afterMs, this.#closing.signal).catch(() => undefined)
    }
  }

  /** Connects, and resolves when that is over, with the reason. */
  async #connectOnce(): Promise<SignallingError> {
    let connection: Connection | undefined
    try {
      connection = await this.#openInDialect()
      await abortable(this.#options.prepare(connection), this.#closing.signal)
      // The link may have been closed by who was woken in `prepare`, before this function was.
      this.#closing.signal.throwIfAborted()
    } catch (error) {
      connection?.destroy()
      return error as SignallingError
    }
    this.#connection = connection
    this.#options.onUp()
    for (const resume of this.#waiting) resume()
    const reason = await connection.ended
    this.#connection = undefined
    return reason
  }

  async #openInDialect(): Promise<Connection> {
    const { dialect } = this.#options
    const version = dialect.onlyOldVersion ? 4 : 5
    try {
      return await this.#open(version)
    } catch (error) {
      const { code } = error as SignallingError
      if (code !== 'broker-version' && code !== 'broker-silent') throw error
      // A broker that is starting is silent too: only its word counts for longer than this connection.
      dialect.onlyOldVersion = version === 5 && code === 'broker-version'
      if (version === 4) throw error
    }
    return this.#open(4)
  }

  #open(protocolVersion: ProtocolVersion): Promise<Connection> {
    return Connection.open(
      { ...this.#options, protocolVersion, clientId: this.#clientId },
      this.#closing.signal,
    )
  }
}
