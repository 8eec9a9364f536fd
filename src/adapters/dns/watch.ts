/** Reads a box again and again: often at first and after something came, then ever less. */
import { SignallingError } from '../../core/errors.js'
import type { Box, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { Backoff } from '../shared/backoff.js'
import { Alarm } from './alarm.js'
import { isRefusal } from './failure.js'
import { type Health, RefusedRetryMs } from './health.js'
import type { BoxReader, FoundRecord, RecordStore } from './store.js'

export interface WatchOptions extends Pick<AdapterContext, 'clock' | 'random'> {
  readonly store: RecordStore
  readonly health: Health
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
}

const FirstPauseMs = 120
const PauseGrowth = 1.4
/** A host has to be quick to see a join, a guest to see its answer; beacons stay for minutes. */
const LongestPauseMs = { host: 8_000, join: 1_000, reply: 1_500 }
/** A room that nobody has joined for so long is looked into less. */
const QuietAfterMs = 600_000
const QuietPauseMs = 3_000

export class Watch {
  readonly #options: WatchOptions
  readonly #reader: BoxReader
  readonly #alarm: Alarm
  readonly #signal: AbortSignal
  #pauseMs = FirstPauseMs
  #isFirst = true

  /** @param signal ends the watch */
  constructor(options: WatchOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
    this.#alarm = new Alarm(options.clock)
    this.#reader = options.store.reader(options.topic, options.box, () => {
      this.#alarm.ring()
    })
  }

  /** Something is going on in this topic: an answer may come soon. */
  hurry(): void {
    this.#pauseMs = FirstPauseMs
    this.#alarm.ring()
  }

  /** @param onFirstRead called once */
  async run(onFirstRead: () => void): Promise<void> {
    const { clock, health, random } = this.#options
    const backoff = new Backoff(random, { firstMs: 250, longestMs: 30_000 })
    const stopWaiting = health.onReturn(() => {
      this.#alarm.ring()
    })
    let newsAt = clock.now()
    try {
      while (!this.#signal.aborted) {
        let pauseMs: number
        try {
          const found = await this.#reader.read(this.#signal)
          backoff.reset()
          health.succeeded(this)
          if (found.length > 0) newsAt = clock.now()
          this.#pauseMs = found.length > 0 ? FirstPauseMs : this.#pauseMs * PauseGrowth
          this.#report(found)
          onFirstRead()
          pauseMs = backoff.jittered(this.#limited(clock.now() - newsAt))
        } catch (error) {
          if (this.#isOver() || !(error instanceof SignallingError)) throw error
          await this.#readCached(onFirstRead)
          health.failed(this, error)
          pauseMs = isRefusal(error) ? backoff.jittered(RefusedRetryMs) : backoff.next()
        }
        this.#isFirst = false
        await this.#alarm.wait(pauseMs, this.#signal)
      }
    } catch (error) {
      if (!this.#isOver()) throw error
    } finally {
      stopWaiting()
      this.#reader.close?.()
      health.forget(this)
    }
  }

  async #readCached(onFirstRead: () => void): Promise<void> {
    if (!this.#isFirst || this.#reader.readCached === undefined) return
    try {
      const found = await this.#reader.readCached(this.#signal)
      this.#report(found)
      if (found.length > 0) onFirstRead()
    } catch (error) {
      if (this.#isOver() || !(error instanceof SignallingError)) throw error
    }
  }

  #limited(quietMs: number): number {
    const { box } = this.#options
    const longestMs = LongestPauseMs[box === 'host' || box === 'join' ? box : 'reply']
    this.#pauseMs = Math.min(
      this.#pauseMs,
      quietMs > QuietAfterMs ? Math.max(longestMs, QuietPauseMs) : longestMs,
    )
    return this.#pauseMs
  }

  #report(found: readonly FoundRecord[]): void {
    const { box, onRecord, topic } = this.#options
    for (const record of found) {
      if (this.#isOver()) return
      onRecord({ topic, box, ...record })
    }
  }

  #isOver(): boolean {
    return this.#signal.aborted
  }
}
