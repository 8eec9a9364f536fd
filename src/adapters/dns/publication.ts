/** A record of ours: stored, looked after as long as it counts, and taken away in the end. */
import { setMaxListeners } from 'node:events'
import { SignallingError } from '../../core/errors.js'
import type { SignalRecord } from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { Backoff } from '../shared/backoff.js'
import { abortable } from '../waiting.js'
import { Alarm } from './alarm.js'
import { isRefusal } from './failure.js'
import { type Health, RefusedRetryMs } from './health.js'
import type { RecordStore } from './store.js'

export interface PublicationOptions extends Pick<AdapterContext, 'clock' | 'random'> {
  readonly store: RecordStore
  readonly health: Health
  readonly record: SignalRecord
}

/** Others may erase what is ours. We look for it, and put it back, not faster than this and ever slower. */
const FirstCheckMs = 1_000
const CheckGrowth = 1.6
const LongestCheckMs = 60_000
/** How long the removal of an expired record may take. */
const RemovalMs = 10_000

export class Publication {
  readonly #options: PublicationOptions
  readonly #alarm: Alarm
  readonly #ended = new AbortController()
  readonly #stored: Promise<void>
  #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined
  #isStored = false

  constructor(options: PublicationOptions) {
    this.#options = options
    this.#alarm = new Alarm(options.clock)
    this.#stored = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.#stored.catch(() => undefined)
    setMaxListeners(0, this.#ended.signal)
  }

  get record(): SignalRecord {
    return this.#options.record
  }

  /** Whether the store may have the record. */
  get isStored(): boolean {
    return this.#isStored
  }

  /**
   * Resolves when the store has the record.
   * @throws SignallingError the store's refusal, `record-expired`, or why it was ended; the signal's reason
   */
  stored(signal: AbortSignal): Promise<void> {
    return abortable(this.#stored, signal)
  }

  /** Nothing is done for it any more; what is stored stays. */
  end(reason: unknown): void {
    this.#settle?.reject(reason)
    this.#ended.abort(reason)
    this.#options.health.forget(this)
  }

  /** Resolves when it is over: expired, and removed, or ended. */
  async run(): Promise<void> {
    const { clock, health, record, store } = this.#options
    const expiresAt = clock.now() + record.expiresInMs
    const cancelExpiry = clock.after(record.expiresInMs, () => {
      this.end(new SignallingError('record-expired', 'the record expired before a server took it'))
      if (!this.#isStored) return
      const limit = new AbortController()
      const cancel = clock.after(RemovalMs, () => {
        limit.abort()
      })
      void store
        .remove(record, limit.signal)
        .catch(() => undefined)
        .finally(cancel)
    })
    const stopWaiting = health.onReturn(() => {
      this.#alarm.ring()
    })
    try {
      await this.#put(expiresAt)
      await this.#lookAfter(expiresAt)
    } catch (error) {
      if (!this.#ended.signal.aborted) throw error
    } finally {
      cancelExpiry()
      stopWaiting()
      health.forget(this)
    }
  }

  /** Until the store has it. */
  async #put(expiresAt: number): Promise<void> {
    const { clock, health, record, random, store } = this.#options
    const backoff = new Backoff(random, { firstMs: 250, longestMs: 30_000 })
    const { signal } = this.#ended
    for (;;) {
      let pauseMs: number
      try {
        // Even a failing attempt may have stored it.
        this.#isStored = true
        await store.put({ ...record, expiresInMs: Math.max(1, expiresAt - clock.now()) }, signal)
        health.succeeded(this)
        this.#settle?.resolve()
        return
      } catch (error) {
        if (signal.aborted || !(error instanceof SignallingError)) throw error
        health.failed(this, error)
        if (isRefusal(error)) this.#settle?.reject(error)
        pauseMs = isRefusal(error) ? backoff.jittered(RefusedRetryMs) : backoff.next()
      }
      await this.#alarm.wait(pauseMs, signal)
    }
  }

  async #lookAfter(expiresAt: number): Promise<void> {
    const { record, random, store } = this.#options
    const { signal } = this.#ended
    const pauses = new Backoff(random, { firstMs: 1, longestMs: 1 })
    for (let pauseMs = FirstCheckMs; ; pauseMs = Math.min(pauseMs * CheckGrowth, LongestCheckMs)) {
      await this.#alarm.wait(pauses.jittered(pauseMs), signal)
      try {
        if (!(await store.holds(record, signal))) await this.#put(expiresAt)
      } catch (error) {
        if (signal.aborted || !(error instanceof SignallingError)) throw error
      }
    }
  }
}
