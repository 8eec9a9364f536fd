/**
 * One watch of a box: a stream of what comes, and a read of all there is, at first and now and then, since a
 * DHT loses notices.
 */
import type { Clock, Random } from '../../core/ports.js'
import type { Box, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { Backoff } from '../shared/backoff.js'
import { isPassing } from '../shared/http-failure.js'
import type { Reachability } from '../shared/reachability.js'
import { delay } from '../waiting.js'
import { KnownValues } from './known-values.js'
import { boxKey, type DhtProxy } from './proxy.js'
import type { DhtValue } from './value.js'

export interface BoxWatchOptions {
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
  readonly proxy: DhtProxy
  readonly reachability: Reachability
  readonly clock: Clock
  readonly random: Random
}

const ReadAgainMs = 15_000
/** Reading a key that somebody floods takes long: it is read for a fifth of the time at most. */
const RestPerRead = 4
/** What a read holds before it is reported: what came together may hold what takes back another. */
const MaxBatch = 512

export class BoxWatch {
  /** Resolves after the first read; rejects with the signal's reason. */
  readonly ready: Promise<void>
  readonly #options: BoxWatchOptions
  readonly #signal: AbortSignal
  readonly #key: string
  readonly #known = new KnownValues()
  #batch: DhtValue[] | undefined
  #markReady: () => void = () => undefined

  constructor(options: BoxWatchOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#key = boxKey(options.topic, options.box)
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      signal.addEventListener(
        'abort',
        () => {
          reject(signal.reason as Error)
        },
        { once: true },
      )
    })
    this.ready.catch(() => undefined)
    void this.#run()
  }

  async #run(): Promise<void> {
    const { clock, random, reachability } = this.#options
    const backoff = new Backoff(random, { firstMs: 500, longestMs: 30_000 })
    while (!this.#signal.aborted) {
      const startedAt = clock.now()
      try {
        await reachability.whenUp(this.#signal)
        await this.#follow()
      } catch (error) {
        if (this.#isOver()) return
        if (isPassing(error)) reachability.fail(error)
      }
      if (clock.now() - startedAt > ReadAgainMs) backoff.reset()
      await delay(clock, backoff.next(), this.#signal).catch(() => undefined)
    }
  }

  #isOver(): boolean {
    return this.#signal.aborted
  }

  /** Listens and reads, until one of them fails or the proxy ends the stream. */
  async #follow(): Promise<void> {
    const round = new AbortController()
    const signal = AbortSignal.any([this.#signal, round.signal])
    const { proxy } = this.#options
    try {
      // What the stream shows at its beginning waits for what the read shows.
      this.#batch = []
      await Promise.race([
        proxy.listen(this.#key, (value) => this.#take(value), signal),
        this.#readOften(signal),
      ])
    } finally {
      round.abort()
    }
  }

  async #readOften(signal: AbortSignal): Promise<void> {
    const { clock, proxy, random } = this.#options
    for (;;) {
      const startedAt = clock.now()
      this.#batch ??= []
      await proxy.get(this.#key, (value) => this.#take(value), signal)
      this.#report()
      this.#batch = undefined
      this.#markReady()
      const restMs = Math.max(ReadAgainMs, (clock.now() - startedAt) * RestPerRead)
      await delay(clock, restMs * (1 + random.fraction() / 4), signal)
    }
  }

  #take(value: DhtValue): void {
    if (this.#signal.aborted) return
    if (this.#batch === undefined) {
      this.#show([value])
      return
    }
    this.#batch.push(value)
    if (this.#batch.length >= MaxBatch) this.#report()
  }

  #report(): void {
    const batch = this.#batch ?? []
    this.#batch = []
    this.#show(batch)
  }

  #show(values: readonly DhtValue[]): void {
    const { topic, box, onRecord } = this.#options
    for (const { sender, bytes } of this.#known.take(values)) {
      if (this.#signal.aborted) return
      onRecord({ topic, box, sender, bytes, expiresInMs: 0 })
    }
  }
}
