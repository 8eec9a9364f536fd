/** All that an adapter does on one broker: its watches, its passing records, its beacons. */
import type { SignallingError } from '../../core/errors.js'
import type { AdapterState, Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { abortable } from '../waiting.js'
import { Beacon } from './beacon.js'
import type { Connection } from './connection.js'
import { isRefusal } from './failure.js'
import { type Dialect, Link } from './link.js'
import type { BrokerSettings } from './settings.js'
import { boxFilter, boxTopic, parseRecordTopic, recordTopic } from './topics.js'
import { mqttTraits } from './traits.js'

export interface BrokerOptions extends Pick<AdapterContext, 'clock' | 'random' | 'logger'> {
  readonly broker: BrokerSettings
  readonly prefix: string
  /** Called on every change. */
  readonly onState: () => void
}

/** Somebody who watches a box. One watch is given to every broker. */
export interface Watch {
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
}

interface Subscription {
  readonly watch: Watch
  readonly confirm: () => void
}

export class Broker {
  readonly #options: BrokerOptions
  readonly #dialect: Dialect = { onlyOldVersion: false }
  readonly #link: Link
  /** By the part of the topic that names the box. */
  readonly #subscriptions = new Map<string, Set<Subscription>>()
  readonly #beacons = new Map<string, Beacon>()
  /** Why beacons are not there, by topic. */
  readonly #troubles = new Map<string, SignallingError>()
  #linkState: AdapterState | undefined

  /** Starts connecting. */
  constructor(options: BrokerOptions) {
    this.#options = options
    this.#link = new Link({
      ...options,
      dialect: this.#dialect,
      onMessage: (topic, payload, expiresInMs) => {
        this.#deliver(topic, payload, expiresInMs)
      },
      prepare: (connection) => this.#subscribeAll(connection),
      onUp: () => {
        this.#changeLinkState({ state: 'up' })
      },
      onDown: ({ message }) => {
        this.#changeLinkState({ state: 'down', reason: message })
      },
    })
  }

  /** Undefined before the first attempt has ended. A broker that takes no beacon is no use: down. */
  get state(): AdapterState | undefined {
    const [trouble] = this.#troubles.values()
    if (trouble === undefined || this.#linkState?.state !== 'up') return this.#linkState
    return { state: 'down', reason: trouble.message }
  }

  /**
   * Resolves when the broker has the record, for which it waits where it is down.
   * @throws SignallingError `publish-refused`, `record-expired`; the signal's reason on abort
   */
  publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    return record.box === 'host' ? this.#keep(record, signal) : this.#pass(record, signal)
  }

  /** Erases a beacon. */
  async retract(key: RecordKey): Promise<void> {
    const topic = recordTopic(this.#options.prefix, key)
    const beacon = this.#beacons.get(topic)
    if (beacon !== undefined) {
      this.#forget(topic)
      await beacon.close()
      return
    }
    // A beacon that an earlier process of ours has left.
    await this.#link.connection?.publish(topic, new Uint8Array(0), { retain: true }).catch(() => undefined)
  }

  /** Resolves when the broker shows what comes into the box; rejects with the signal's reason on abort. */
  async watch(watch: Watch, signal: AbortSignal): Promise<void> {
    const name = boxTopic(this.#options.prefix, watch.topic, watch.box)
    let confirm = (): void => undefined
    const confirmed = new Promise<void>((resolve) => {
      confirm = resolve
    })
    const subscription = { watch, confirm }
    const others = this.#subscriptions.get(name)
    if (others === undefined) this.#subscriptions.set(name, new Set([subscription]))
    else others.add(subscription)
    signal.addEventListener(
      'abort',
      () => {
        this.#unsubscribe(name, subscription)
      },
      { once: true },
    )
    const { connection } = this.#link
    if (connection !== undefined) void this.#subscribe(connection, name, subscription)
    await abortable(confirmed, signal)
  }

  /** Erases the beacons and ends every connection, within a second. */
  async close(): Promise<void> {
    const beacons = [...this.#beacons.values()]
    this.#beacons.clear()
    await Promise.all([this.#link.close(), ...beacons.map((beacon) => beacon.close())])
  }

  async #keep(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const topic = recordTopic(this.#options.prefix, record)
    const beacon = this.#beacons.get(topic) ?? this.#makeBeacon(topic)
    await beacon.put(record.bytes, record.expiresInMs, signal)
  }

  #makeBeacon(topic: string): Beacon {
    const beacon = new Beacon({
      ...this.#options,
      dialect: this.#dialect,
      topic,
      onTrouble: (trouble) => {
        if (this.#beacons.get(topic) !== beacon || this.#troubles.get(topic) === trouble) return
        if (trouble === undefined) this.#troubles.delete(topic)
        else this.#troubles.set(topic, trouble)
        this.#options.onState()
      },
      onGone: () => {
        if (this.#beacons.get(topic) === beacon) this.#forget(topic)
      },
    })
    this.#beacons.set(topic, beacon)
    return beacon
  }

  #forget(topic: string): void {
    this.#beacons.delete(topic)
    if (this.#troubles.delete(topic)) this.#options.onState()
  }

  async #pass(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const topic = recordTopic(this.#options.prefix, record)
    for (;;) {
      const connection = await this.#link.whenUp(signal)
      try {
        const { bytes, expiresInMs } = record
        await abortable(connection.publish(topic, bytes, { retain: false, expiresInMs }), signal)
        return
      } catch (error) {
        // A connection that ends under it is replaced, and the record goes again: watchers take doubles.
        if (signal.aborted || isRefusal(error)) throw error
      }
    }
  }

  async #subscribeAll(connection: Connection): Promise<void> {
    const names = [...this.#subscriptions.keys()]
    await connection.subscribe(names.map(boxFilter))
    for (const name of names) {
      for (const { confirm } of this.#subscriptions.get(name) ?? []) confirm()
    }
    for (const name of names) {
      if (!this.#subscriptions.has(name)) connection.unsubscribe(boxFilter(name))
    }
    // Who came in the meantime found no connection to subscribe on.
    if ([...this.#subscriptions.keys()].some((name) => !names.includes(name))) {
      await this.#subscribeAll(connection)
    }
  }

  async #subscribe(connection: Connection, name: string, { confirm }: Subscription): Promise<void> {
    try {
      await connection.subscribe([boxFilter(name)])
      confirm()
    } catch (error) {
      // Where the connection ended, the next one subscribes.
      if (isRefusal(error)) connection.fail(error)
    }
  }

  #unsubscribe(name: string, subscription: Subscription): void {
    const all = this.#subscriptions.get(name)
    all?.delete(subscription)
    if (all?.size !== 0) return
    this.#subscriptions.delete(name)
    this.#link.connection?.unsubscribe(boxFilter(name))
  }

  #deliver(topic: string, payload: Uint8Array, expiresInMs: number): void {
    // Empty is how MQTT says that a retained record was erased.
    if (payload.length === 0 || payload.length > mqttTraits.maxRecordBytes) return
    const parsed = parseRecordTopic(topic)
    if (parsed === undefined) return
    for (const { watch } of this.#subscriptions.get(parsed.box) ?? []) {
      const bytes = new Uint8Array(payload)
      watch.onRecord({ topic: watch.topic, box: watch.box, sender: parsed.sender, bytes, expiresInMs })
    }
  }

  #changeLinkState(state: AdapterState): void {
    this.#linkState = state
    this.#options.logger.debug('mqtt broker', { broker: this.#options.broker.label, ...state })
    this.#options.onState()
  }
}
