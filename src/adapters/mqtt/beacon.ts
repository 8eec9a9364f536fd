/**
 * A retained record on one broker, kept there as long as it is ours.
 *
 * It has a connection of its own. The broker erases the record when that connection breaks (MQTT's will),
 * and a will can only be named when connecting; but the sender of a beacon is known only when it is
 * published, and changes with every epoch. On the connection that watches, naming a new will would mean to
 * reconnect it, and to miss joins meanwhile. So a host has two connections to a broker, a guest one.
 */
import { SignallingError } from '../../core/errors.js'
import { abortable } from '../waiting.js'
import type { Connection } from './connection.js'
import { failure, isRefusal } from './failure.js'
import { Link, type LinkOptions } from './link.js'

export interface BeaconOptions extends Pick<LinkOptions, 'broker' | 'dialect' | 'clock' | 'random'> {
  /** Where the record lies. */
  readonly topic: string
  /** Why the record is not there, or undefined when it is. */
  readonly onTrouble: (trouble: SignallingError | undefined) => void
  /** The record expired without being replaced, or was given up before it was stored: it is gone. */
  readonly onGone: () => void
}

interface Content {
  readonly bytes: Uint8Array
  readonly expiresAt: number
}

interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** On an open broker anybody can write over our record. We do not fight faster than this, and ever slower. */
const FirstRestoreMs = 1_000
const LongestRestoreMs = 60_000
/** How long a broker has to show us what it has just taken. */
const ShowTimeoutMs = 5_000
const NotKept =
  'the broker took our beacon but does not show it: an access list, a limit or a full store may forbid it'

export class Beacon {
  readonly #options: BeaconOptions
  readonly #link: Link
  /** What the broker should have. */
  #content: Content | undefined
  /** What it has taken last. */
  #stored: Content | undefined
  readonly #waiting = new Set<Waiting>()
  #cancelExpiry: () => void = () => undefined
  #restoreAfterMs = FirstRestoreMs
  #cancelRestore: (() => void) | undefined
  /** Whether the broker has shown that it keeps the record, since it took it last. */
  #isKept = false
  #cancelShowTimeout: () => void = () => undefined

  constructor(options: BeaconOptions) {
    this.#options = options
    this.#link = new Link({
      ...options,
      eraseWhenBroken: options.topic,
      onMessage: (_topic, payload, _expiresInMs, isRetained) => {
        this.#compare(payload, isRetained)
      },
      // Watching comes after storing, so that the first that we are shown is what the broker keeps.
      prepare: () => Promise.resolve(),
      onUp: () => void this.#store(),
      onDown: (reason) => {
        this.#cancelShowTimeout()
        options.onTrouble(reason)
        if (!isRefusal(reason)) return
        this.#settle((waiting) => {
          waiting.reject(reason)
        })
      },
    })
  }

  /**
   * Stores the record, instead of the one before; again after every reconnect, until it expires.
   * @throws SignallingError `publish-refused`, `broker-refused`, `record-expired`; the signal's reason
   */
  async put(bytes: Uint8Array, expiresInMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const content = { bytes, expiresAt: clock.now() + expiresInMs }
    this.#content = content
    this.#restoreAfterMs = FirstRestoreMs
    this.#cancelExpiry()
    this.#cancelExpiry = clock.after(expiresInMs, () => {
      this.#settle((waiting) => {
        waiting.reject(new SignallingError('record-expired', 'the record expired before a broker took it'))
      })
      this.#giveUp()
    })
    let waiting: Waiting | undefined
    const stored = new Promise<void>((resolve, reject) => {
      waiting = { resolve, reject }
      this.#waiting.add(waiting)
    })
    void this.#store()
    try {
      await abortable(stored, signal)
    } finally {
      if (waiting !== undefined) this.#waiting.delete(waiting)
      if (signal.aborted && this.#content === content && this.#stored !== content) this.#giveUp()
    }
  }

  /** Erases the record and ends the connection, within a second. */
  async close(): Promise<void> {
    this.#cancelExpiry()
    this.#stopRestoring()
    this.#cancelShowTimeout()
    this.#content = undefined
    this.#settle((waiting) => {
      waiting.reject(new SignallingError('retracted', 'the record was retracted'))
    })
    await this.#link.close((connection) => this.erase(connection))
  }

  /** Erases the record by way of a connection. */
  erase(connection: Connection): Promise<void> {
    return connection.publish(this.#options.topic, new Uint8Array(0), { retain: true })
  }

  async #store(): Promise<void> {
    const { connection } = this.#link
    const content = this.#content
    if (connection === undefined || content === undefined) return
    const expiresInMs = content.expiresAt - this.#options.clock.now()
    this.#isKept = false
    this.#cancelShowTimeout()
    try {
      await connection.publish(this.#options.topic, content.bytes, { retain: true, expiresInMs })
    } catch (error) {
      // Where the connection ended, the next one stores the record. A refusal would only be repeated.
      if (isRefusal(error)) connection.fail(error)
      return
    }
    if (this.#content !== content) return
    this.#stored = content
    this.#settle((waiting) => {
      waiting.resolve()
    })
    await this.#watchOurs(connection, content)
  }

  /**
   * So that we see it when somebody else erases or replaces the record, and that it is there at all: MQTT
   * 3.1.1 acknowledges what it refuses, and access lists may refuse to show. Subscribing again makes the
   * broker show again what it keeps.
   */
  async #watchOurs(connection: Connection, content: Content): Promise<void> {
    try {
      await connection.subscribe([this.#options.topic])
    } catch (error) {
      // A broker may forbid it: then its word has to do.
      if (isRefusal(error)) this.#options.onTrouble(undefined)
      return
    }
    if (this.#content !== content || this.#link.connection !== connection || this.#isKept) return
    if (this.#cancelRestore !== undefined) return
    this.#cancelShowTimeout()
    this.#cancelShowTimeout = this.#options.clock.after(ShowTimeoutMs, () => {
      this.#options.onTrouble(failure('publish-refused', this.#options.broker.label, NotKept))
      this.#restoreLater()
    })
  }

  /** Holds what the broker shows against what it should have. */
  #compare(payload: Uint8Array, isRetained: boolean): void {
    if (this.#content === undefined) return
    if (Buffer.compare(payload, this.#content.bytes) !== 0) {
      // Whoever shows us that keeps nothing from us.
      this.#cancelShowTimeout()
      this.#restoreLater()
      return
    }
    this.#stopRestoring()
    // Else the broker only passes it on.
    if (!isRetained) return
    this.#isKept = true
    this.#cancelShowTimeout()
    this.#options.onTrouble(undefined)
  }

  #restoreLater(): void {
    if (this.#cancelRestore !== undefined) return
    const { clock, random } = this.#options
    const delayMs = this.#restoreAfterMs * (0.5 + random.fraction() / 2)
    this.#restoreAfterMs = Math.min(this.#restoreAfterMs * 2, LongestRestoreMs)
    this.#cancelRestore = clock.after(delayMs, () => {
      this.#cancelRestore = undefined
      void this.#store()
    })
  }

  #stopRestoring(): void {
    this.#cancelRestore?.()
    this.#cancelRestore = undefined
  }

  #giveUp(): void {
    this.#options.onGone()
    void this.close()
  }

  #settle(how: (waiting: Waiting) => void): void {
    for (const waiting of this.#waiting) how(waiting)
    this.#waiting.clear()
  }
}
