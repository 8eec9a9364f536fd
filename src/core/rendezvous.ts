/**
 * Many signalling adapters as one: what a signalling machine wants done is done on each of them, in an order
 * that loses nothing, and none waits for another. A slow or dead backend holds only its own work, of which
 * it keeps the latest per record.
 */
import { GonetError } from './errors.js'
import type { SignalTransmit } from './signal.js'
import type {
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from './signalling-adapter.js'

/** Records that wait for a backend that is down or slow. The oldest goes first when there are more. */
const MaxWaitingRecords = 1024
/** Publications under way at a time, per backend. */
const MaxConcurrentPublications = 16

export interface RendezvousOptions {
  readonly adapters: readonly SignallingAdapter[]
  readonly onRecord: (adapter: string, record: SignalRecord) => void
  /** A backend refused what it was asked, or could not do it. */
  readonly onFailure: (adapter: string, error: GonetError) => void
  /** What no backend should do: a bug of an adapter. */
  readonly onUnexpected: (error: unknown) => void
}

export class Rendezvous {
  readonly #lanes: readonly Lane[]
  readonly #abort = new AbortController()

  constructor(options: RendezvousOptions) {
    this.#lanes = options.adapters.map((adapter) => new Lane(adapter, options, this.#abort.signal))
  }

  /**
   * Opens every adapter, side by side.
   * @throws UsageError of the first adapter that finds its configuration wrong; the signal's reason on abort
   */
  async open(
    as: { readonly role: 'host' | 'guest'; readonly topics: readonly Topic[] },
    signal: AbortSignal,
  ): Promise<void> {
    const either = AbortSignal.any([signal, this.#abort.signal])
    await Promise.all(this.#lanes.map((lane) => lane.adapter.open(as, either)))
  }

  /** Does what a machine wants; returns at once. */
  perform(transmit: SignalTransmit): void {
    for (const lane of this.#lanes) {
      if (
        transmit.kind !== 'publish' ||
        transmit.adapter === undefined ||
        transmit.adapter === lane.adapter.name
      ) {
        lane.perform(transmit)
      }
    }
  }

  /** Waits, `signal` permitting, for retractions under way, then closes every adapter. Safe to call twice. */
  async close(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.settled(signal)))
    this.#abort.abort(new GonetError('closed', 'signalling was closed'))
    await Promise.all(this.#lanes.map((lane) => lane.adapter.close()))
  }
}

/** What one adapter is asked to do. */
class Lane {
  readonly adapter: SignallingAdapter
  readonly #options: RendezvousOptions
  readonly #signal: AbortSignal
  /** A watch's abort, and the promise of its first read: publications wait for those that came before. */
  readonly #watches = new Map<string, { readonly abort: AbortController; readonly ready: Promise<void> }>()
  readonly #waiting = new Map<string, SignalRecord>()
  readonly #publishing = new Map<string, AbortController>()
  readonly #retracting = new Set<Promise<void>>()

  constructor(adapter: SignallingAdapter, options: RendezvousOptions, signal: AbortSignal) {
    this.adapter = adapter
    this.#options = options
    this.#signal = signal
  }

  perform(transmit: SignalTransmit): void {
    if (this.#signal.aborted) return
    switch (transmit.kind) {
      case 'watch':
        this.#watch(transmit.topic, transmit.box)
        break
      case 'unwatch':
        this.#unwatch(transmit.topic, transmit.box)
        break
      case 'retract':
        this.#retract(transmit.key)
        break
      case 'publish':
        if (!transmit.repeat || !stands(this.adapter.traits, transmit.record.box))
          this.#publish(transmit.record)
    }
  }

  async settled(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    let stopWaiting = (): void => undefined
    const aborted = new Promise<void>((resolve) => {
      stopWaiting = resolve
    })
    signal.addEventListener('abort', stopWaiting)
    await Promise.race([Promise.all(this.#retracting), aborted])
    signal.removeEventListener('abort', stopWaiting)
  }

  #watch(topic: Topic, box: Box): void {
    const name = `${topic}/${box}`
    if (this.#watches.has(name)) return
    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, this.#signal])
    const report = (record: SignalRecord): void => {
      if (!signal.aborted) this.#options.onRecord(this.adapter.name, record)
    }
    const ready = this.adapter.watch(topic, box, report, signal).catch((error: unknown) => {
      if (!signal.aborted) this.#fail(error)
    })
    this.#watches.set(name, { abort, ready })
  }

  #unwatch(topic: Topic, box: Box): void {
    const name = `${topic}/${box}`
    this.#watches.get(name)?.abort.abort(new GonetError('closed', 'no longer watched'))
    this.#watches.delete(name)
  }

  #retract(key: RecordKey): void {
    const name = recordName(key)
    this.#waiting.delete(name)
    this.#publishing.get(name)?.abort(new GonetError('closed', 'retracted'))
    const done = this.adapter.retract(key, this.#signal).catch((error: unknown) => {
      if (!this.#signal.aborted) this.#fail(error)
    })
    this.#retracting.add(done)
    void done.then(() => this.#retracting.delete(done))
  }

  #publish(record: SignalRecord): void {
    const name = recordName(record)
    this.#waiting.delete(name)
    this.#waiting.set(name, record)
    if (this.#waiting.size > MaxWaitingRecords) {
      const [oldest] = this.#waiting.keys()
      if (oldest !== undefined) this.#waiting.delete(oldest)
    }
    this.#drain()
  }

  #drain(): void {
    for (const [name, record] of this.#waiting) {
      if (this.#publishing.size >= MaxConcurrentPublications) return
      // The same record twice at once could land in either order.
      if (this.#publishing.has(name)) continue
      this.#waiting.delete(name)
      void this.#publishNow(name, record)
    }
  }

  async #publishNow(name: string, record: SignalRecord): Promise<void> {
    const abort = new AbortController()
    const signal = AbortSignal.any([abort.signal, this.#signal])
    this.#publishing.set(name, abort)
    try {
      // An answer must not come before the subscription that shows it.
      await Promise.all(Array.from(this.#watches.values(), (watch) => watch.ready))
      await this.adapter.publish(record, signal)
    } catch (error) {
      if (!signal.aborted) this.#fail(error)
    }
    this.#publishing.delete(name)
    if (!this.#signal.aborted) this.#drain()
  }

  #fail(error: unknown): void {
    if (error instanceof GonetError) this.#options.onFailure(this.adapter.name, error)
    else this.#options.onUnexpected(error)
  }
}

function stands(traits: SignallingTraits, box: Box): boolean {
  if (box === 'host' || box === 'join') return traits.standing[box]
  return traits.standing.reply
}

function recordName({ topic, box, sender }: RecordKey): string {
  return `${topic}/${box}/${sender}`
}
