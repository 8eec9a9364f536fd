/**
 * Signalling over MQTT brokers, all of them at once: a record goes to each, a watch sees what any has, and
 * one that is up is enough.
 */
import { GonetError, SignallingError } from '../../core/errors.js'
import type {
  AdapterState,
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { StateReport } from '../shared/state-report.js'
import { abortable } from '../waiting.js'
import { Broker } from './broker.js'
import type { MqttOptions } from './definition.js'
import { readSettings } from './settings.js'
import { recordTopic } from './topics.js'
import { mqttTraits } from './traits.js'

/** Records under way to brokers that are down. Above it, the oldest are given up; the engine repeats them. */
const MaxPublications = 1024

export class MqttAdapter implements SignallingAdapter {
  readonly name = 'mqtt'
  readonly traits: SignallingTraits = mqttTraits
  readonly #options: MqttOptions
  readonly #context: AdapterContext
  readonly #closed = new AbortController()
  readonly #report: StateReport
  readonly #publications = new Map<string, AbortController>()
  #brokers: readonly Broker[] = []
  #closing: Promise<void> | undefined

  constructor(options: MqttOptions, context: AdapterContext) {
    this.#options = options
    this.#context = context
    this.#report = new StateReport(context.onState)
  }

  async open(_as: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const settings = await abortable(readSettings(this.#options), signal)
    if (this.#closed.signal.aborted) return
    const { prefix } = this.#options
    const onState = (): void => {
      const state = this.#state()
      if (state !== undefined) this.#report.set(state)
    }
    this.#brokers = settings.map((broker) => new Broker({ ...this.#context, broker, prefix, onState }))
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and mqtt takes ${maxRecordBytes}`,
      )
    }
    // The engine may reuse its buffer, and brokers that are down get the record later.
    const copy = { ...record, bytes: record.bytes.slice() }
    const publication = this.#begin(copy)
    const forward = (): void => {
      publication.abort(signal.reason)
    }
    signal.addEventListener('abort', forward, { once: true })
    const attempts = this.#brokers.map((broker) => broker.publish(copy, publication.signal))
    void Promise.allSettled(attempts).then(() => {
      this.#finish(copy, publication)
    })
    try {
      await firstOf(attempts, signal)
    } finally {
      signal.removeEventListener('abort', forward)
    }
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const name = recordTopic(this.#options.prefix, key)
    this.#publications.get(name)?.abort(new SignallingError('retracted', 'the record was retracted'))
    // Other records passed by: there is nothing left to erase.
    if (key.box !== 'host') return
    await abortable(Promise.all(this.#brokers.map((broker) => broker.retract(key))), signal)
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    either.throwIfAborted()
    const watch = { topic, box, onRecord }
    await firstOf(
      this.#brokers.map((broker) => broker.watch(watch, either)),
      either,
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const reason = new SignallingError('adapter-closed', 'the mqtt adapter was closed')
    this.#closed.abort(reason)
    this.#report.close()
    for (const publication of this.#publications.values()) publication.abort(reason)
    await Promise.all(this.#brokers.map((broker) => broker.close()))
  }

  /** A publication that replaces the one before of the same record, and ends when the record expires. */
  #begin(record: SignalRecord): AbortController {
    const name = recordTopic(this.#options.prefix, record)
    const publication = new AbortController()
    const replaced = this.#publications.get(name)
    this.#publications.delete(name)
    this.#publications.set(name, publication)
    const cancelExpiry = this.#context.clock.after(record.expiresInMs, () => {
      publication.abort(new SignallingError('record-expired', 'no broker took the record before it expired'))
    })
    publication.signal.addEventListener('abort', cancelExpiry, { once: true })
    // A beacon is given up with its last publication, so the new one has to be there before.
    queueMicrotask(() => {
      replaced?.abort(new SignallingError('replaced', 'a newer record took its place'))
    })
    if (this.#publications.size > MaxPublications) {
      const [oldest] = this.#publications.values()
      oldest?.abort(new SignallingError('too-many-records', 'too many records wait for brokers'))
    }
    return publication
  }

  #finish(record: SignalRecord, publication: AbortController): void {
    const name = recordTopic(this.#options.prefix, record)
    if (this.#publications.get(name) === publication) this.#publications.delete(name)
    publication.abort()
  }

  #state(): AdapterState | undefined {
    const states = this.#brokers.map((broker) => broker.state)
    if (states.some((state) => state?.state === 'up')) return { state: 'up' }
    const reasons = states.flatMap((state) => (state?.state === 'down' ? [state.reason] : []))
    // While a broker is still being tried for the first time, nothing is known.
    if (reasons.length < states.length && this.#report.last === undefined) return undefined
    return { state: 'down', reason: reasons.join('; ') }
  }
}

/** The first success, or else the first broker's failure. An abort comes before both. */
async function firstOf(attempts: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  try {
    await Promise.any(attempts)
  } catch (error) {
    signal.throwIfAborted()
    const [first] = (error as AggregateError).errors as unknown[]
    throw first instanceof Error ? first : new GonetError('closed', 'the adapter is not open')
  }
}
