/** Signalling over an etcd cluster: every record is a key, bound to a lease that dies with its owner. */
import { GonetError, SignallingError } from '../../core/errors.js'
import type {
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
import type { EtcdOptions } from './definition.js'
import { recordKey } from './keys.js'
import { Link } from './link.js'
import { OwnRecord } from './own-record.js'
import { readSettings } from './settings.js'
import { etcdTraits } from './traits.js'
import { Watches } from './watches.js'

/** Records of ours that etcd should have. Above it, the oldest are given up; the engine repeats them. */
const MaxOwnRecords = 1024

export class EtcdAdapter implements SignallingAdapter {
  readonly name = 'etcd'
  readonly traits: SignallingTraits = etcdTraits
  readonly #options: EtcdOptions
  readonly #context: AdapterContext
  readonly #closed = new AbortController()
  readonly #report: StateReport
  /** By key, the oldest first. */
  readonly #records = new Map<string, OwnRecord>()
  readonly #watches: Watches
  #link: Link | undefined
  #closing: Promise<void> | undefined

  constructor(options: EtcdOptions, context: AdapterContext) {
    this.#options = options
    this.#context = context
    this.#report = new StateReport(context.onState)
    this.#watches = new Watches(options.prefix, () => this.#link?.session)
  }

  async open(_as: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const endpoints = await abortable(readSettings(this.#options), signal)
    if (this.#closed.signal.aborted) return
    const { clock, random } = this.#context
    this.#link = new Link({
      endpoints,
      clock,
      random,
      onUp: (session) => {
        this.#report.up()
        for (const record of this.#records.values()) record.sync()
        this.#watches.begin(session)
      },
      onDown: (reason) => {
        this.#report.down(reason)
      },
    })
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const either = this.#either(signal)
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and etcd takes ${maxRecordBytes}`,
      )
    }
    // The engine may reuse its buffer.
    await this.#record(record).put(record.bytes.slice(), record.expiresInMs, either)
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#closed.signal.aborted) return
    const record = this.#record(key)
    record.retract()
    await abortable(record.settled(), this.#either(signal))
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#watches.add({ topic, box, onRecord, signal: this.#either(signal) })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const reason = new SignallingError('adapter-closed', 'the etcd adapter was closed')
    this.#closed.abort(reason)
    this.#report.close()
    for (const record of this.#records.values()) record.close(reason)
    await this.#link?.close()
  }

  /** @throws the reason where one is aborted; GonetError `closed` where the adapter is not open */
  #either(signal: AbortSignal): AbortSignal {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    if (this.#link === undefined) throw new GonetError('closed', 'the adapter is not open')
    return AbortSignal.any([signal, this.#closed.signal])
  }

  #record(place: RecordKey): OwnRecord {
    const key = recordKey(this.#options.prefix, place)
    const known = this.#records.get(key)
    if (known !== undefined) return known
    const { clock, random } = this.#context
    const record = new OwnRecord({
      key,
      // Whoever waits for an answer watches already, and has seen it before anybody could erase it.
      isGuarded: place.box === 'host' || place.box === 'join',
      session: () => this.#link?.session,
      onGone: () => {
        if (this.#records.get(key) === record) this.#records.delete(key)
      },
      clock,
      random,
    })
    this.#records.set(key, record)
    if (this.#records.size > MaxOwnRecords) this.#dropOldest()
    return record
  }

  #dropOldest(): void {
    const [oldest] = this.#records
    if (oldest === undefined) return
    this.#records.delete(oldest[0])
    oldest[1].close(new SignallingError('too-many-records', 'too many records wait for etcd'))
  }
}
