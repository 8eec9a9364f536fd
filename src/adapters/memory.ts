/**
 * A backend inside the process, for tests and the simulator. Adapters that share a `MemoryBackend` see each
 * other. Records are delivered in the microtask after publication, and expire by the backend's clock.
 */
import { SignallingError } from '../core/errors.js'
import type { Clock } from '../core/ports.js'
import type {
  AdapterState,
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from '../core/signalling-adapter.js'
import { abortable } from './waiting.js'

export const memoryTraits: SignallingTraits = {
  maxRecordBytes: 16_384,
  delivery: 'push',
  typicalLatencyMs: 0,
  standing: { host: true, join: true, reply: true },
  retracts: true,
  expires: true,
  needsCredentials: false,
}

interface Watch {
  readonly box: string
  readonly onRecord: (record: SignalRecord) => void
}

interface Stored {
  readonly record: SignalRecord
  readonly expiresAt: number
  readonly owner: MemoryAdapter
}

/** The store that adapters share. */
export class MemoryBackend {
  readonly #clock: Clock
  readonly #records = new Map<string, Stored>()
  readonly #watches = new Set<Watch>()
  readonly #adapters = new Set<MemoryAdapter>()
  readonly #waiting = new Set<() => void>()
  #outage: string | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Makes the backend unreachable for everybody. What it holds stays. */
  stop(reason: string): void {
    this.#outage = reason
    for (const adapter of this.#adapters) adapter.report(this.state)
  }

  start(): void {
    this.#outage = undefined
    for (const adapter of this.#adapters) adapter.report(this.state)
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
    for (const watch of this.#watches) this.#showStanding(watch)
  }

  get state(): AdapterState {
    return this.#outage === undefined ? { state: 'up' } : { state: 'down', reason: this.#outage }
  }

  /** Resolves when the backend is reachable. */
  async reachable(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#outage === undefined) return
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

  attach(adapter: MemoryAdapter): void {
    this.#adapters.add(adapter)
    adapter.report(this.state)
  }

  /** Forgets an adapter and, as a broker with a will does, its beacons. */
  detach(adapter: MemoryAdapter): void {
    this.#adapters.delete(adapter)
    for (const [name, { owner, record }] of this.#records) {
      if (owner === adapter && record.box === 'host') this.#records.delete(name)
    }
  }

  put(record: SignalRecord, owner: MemoryAdapter): void {
    this.#dropExpired()
    const copy = { ...record, bytes: record.bytes.slice() }
    this.#records.set(recordName(record), {
      record: copy,
      expiresAt: this.#clock.now() + record.expiresInMs,
      owner,
    })
    for (const watch of this.#watches) this.#show(watch, copy)
  }

  remove(key: RecordKey): void {
    if (this.#outage === undefined) this.#records.delete(recordName(key))
  }

  watch(watch: Watch): () => void {
    this.#watches.add(watch)
    this.#showStanding(watch)
    return () => {
      this.#watches.delete(watch)
    }
  }

  #showStanding(watch: Watch): void {
    this.#dropExpired()
    const now = this.#clock.now()
    for (const { record, expiresAt } of this.#records.values()) {
      this.#show(watch, { ...record, expiresInMs: expiresAt - now })
    }
  }

  #show(watch: Watch, record: SignalRecord): void {
    if (boxName(record.topic, record.box) !== watch.box || this.#outage !== undefined) return
    queueMicrotask(() => {
      if (this.#watches.has(watch)) watch.onRecord({ ...record, bytes: record.bytes.slice() })
    })
  }

  #dropExpired(): void {
    const now = this.#clock.now()
    for (const [name, { expiresAt }] of this.#records) {
      if (expiresAt <= now) this.#records.delete(name)
    }
  }
}

export class MemoryAdapter implements SignallingAdapter {
  readonly name = 'memory'
  readonly traits: SignallingTraits = memoryTraits
  readonly #backend: MemoryBackend
  readonly #onState: (state: AdapterState) => void
  readonly #closed = new AbortController()

  constructor(backend: MemoryBackend, onState: (state: AdapterState) => void) {
    this.#backend = backend
    this.#onState = onState
  }

  open(_as: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (!this.#closed.signal.aborted) this.#backend.attach(this)
    return Promise.resolve()
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and memory takes ${maxRecordBytes}`,
      )
    }
    await this.#backend.reachable(this.#either(signal))
    this.#backend.put(record, this)
  }

  retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    this.#backend.remove(key)
    return Promise.resolve()
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const either = this.#either(signal)
    await this.#backend.reachable(either)
    const stop = this.#backend.watch({ box: boxName(topic, box), onRecord })
    either.addEventListener('abort', stop, { once: true })
  }

  close(): Promise<void> {
    if (!this.#closed.signal.aborted) {
      this.#backend.detach(this)
      this.#closed.abort(new SignallingError('adapter-closed', 'the memory adapter was closed'))
    }
    return Promise.resolve()
  }

  /** For the backend: what this adapter's state is now. */
  report(state: AdapterState): void {
    this.#onState(state)
  }

  #either(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#closed.signal])
  }
}

function boxName(topic: Topic, box: Box): string {
  return `${topic}/${box}`
}

function recordName({ topic, box, sender }: RecordKey): string {
  return `${boxName(topic, box)}/${sender}`
}
