/**
 * Signalling over a Hyperswarm DHT. The DHT stores who is a topic's host; beacon, join and answer go over a
 * direct connection between host and guest, or lie in the DHT where none can be made.
 */
import { SignallingError } from '../../core/errors.js'
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
import { delay } from '../waiting.js'
import { parseBootstrapNode } from './bootstrap-node.js'
import type { DhtOptions } from './definition.js'
import type { OnRecord, TopicEnvironment } from './environment.js'
import { DhtNode } from './node.js'
import { TopicGuest } from './topic-guest.js'
import { TopicHost } from './topic-host.js'
import { dhtTraits } from './traits.js'

/** How long we tell others that we leave. */
const FarewellMs = 1_000
/** How long the library has to end. */
const EndMs = 500

/** For tests. */
export interface DhtHooks {
  /** False where no connection between peers shall be made. */
  readonly connects?: boolean
  readonly onNode?: (node: DhtNode) => void
}

export class DhtAdapter implements SignallingAdapter {
  readonly name = 'dht'
  readonly traits: SignallingTraits = dhtTraits
  readonly #options: DhtOptions
  readonly #context: AdapterContext
  readonly #hooks: DhtHooks
  readonly #closed = new AbortController()
  readonly #report: StateReport
  readonly #hosts = new Map<Topic, TopicHost>()
  readonly #guests = new Map<Topic, TopicGuest>()
  /** Of guests that were no longer wanted. */
  readonly #farewells = new Set<Promise<void>>()
  #node: DhtNode | undefined
  #closing: Promise<void> | undefined

  constructor(options: DhtOptions, context: AdapterContext, hooks: DhtHooks = {}) {
    this.#options = options
    this.#context = context
    this.#hooks = hooks
    this.#report = new StateReport(context.onState)
  }

  async open(_as: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#closed.signal.aborted) return
    const { clock, random } = this.#context
    const { bootstrap, port } = this.#options
    const node = await DhtNode.start(
      {
        bootstrap: bootstrap.flatMap((text) => parseBootstrapNode(text) ?? []),
        port,
        clock,
        random,
        onUp: () => {
          this.#report.up()
        },
        onDown: (reason) => {
          this.#report.down(reason)
        },
      },
      signal,
    )
    // Closed in the meantime.
    if (this.#isClosed()) await node.close()
    else this.#node = node
    this.#hooks.onNode?.(node)
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const environment = this.#environment(record.topic, signal)
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and dht takes ${maxRecordBytes}`,
      )
    }
    const copy = { ...record, bytes: record.bytes.slice() }
    const either = AbortSignal.any([signal, this.#closed.signal])
    if (record.box !== 'join') {
      await this.#host(environment).put(copy, either)
      return
    }
    await this.#guest(environment).publish(copy, either)
  }

  retract({ topic, box, sender }: RecordKey, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (box === 'join') this.#guests.get(topic)?.retract(sender)
    else this.#hosts.get(topic)?.retract({ box, sender })
    return Promise.resolve()
  }

  async watch(topic: Topic, box: Box, onRecord: OnRecord, signal: AbortSignal): Promise<void> {
    const environment = this.#environment(topic, signal)
    const either = AbortSignal.any([signal, this.#closed.signal])
    if (box === 'join') {
      await this.#host(environment).watchJoins(onRecord, either)
      return
    }
    const guest = this.#guest(environment)
    either.addEventListener(
      'abort',
      () => {
        guest.unwatch(box, onRecord)
      },
      { once: true },
    )
    await guest.watch(box, onRecord, either)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed.abort(new SignallingError('adapter-closed', 'the dht adapter was closed'))
    this.#report.close()
    const node = this.#node
    if (node === undefined) return
    const farewells = [
      ...Array.from(this.#hosts.values(), (host) => host.close()),
      ...Array.from(this.#guests.values(), (guest) => guest.close()),
      ...this.#farewells,
    ]
    this.#guests.clear()
    if (node.isUp) await this.#within(FarewellMs, Promise.allSettled(farewells))
    await this.#within(EndMs, node.close())
    // What was not said by now ends with the node.
    void Promise.allSettled(farewells)
  }

  async #within(limitMs: number, work: Promise<unknown>): Promise<void> {
    const done = new AbortController()
    const limit = delay(this.#context.clock, limitMs, done.signal).catch(() => undefined)
    await Promise.race([work.catch(() => undefined), limit])
    done.abort()
  }

  /** @throws SignallingError where the adapter is not open; the signal's reason on abort */
  #environment(topic: Topic, signal: AbortSignal): TopicEnvironment {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    if (this.#node === undefined) throw new SignallingError('closed', 'the dht adapter is not open')
    const { clock, random } = this.#context
    return { node: this.#node, topic, clock, random, connects: this.#hooks.connects ?? true }
  }

  #host(environment: TopicEnvironment): TopicHost {
    const { topic } = environment
    const host = this.#hosts.get(topic) ?? new TopicHost(environment)
    this.#hosts.set(topic, host)
    return host
  }

  #guest(environment: TopicEnvironment): TopicGuest {
    const { topic } = environment
    const isOwn = (key: Buffer): boolean => this.#hosts.get(topic)?.keyPair.publicKey.equals(key) === true
    const onIdle = (): void => {
      this.#drop(topic)
    }
    const guest = this.#guests.get(topic) ?? new TopicGuest(environment, isOwn, onIdle)
    this.#guests.set(topic, guest)
    return guest
  }

  #drop(topic: Topic): void {
    const guest = this.#guests.get(topic)
    if (guest === undefined || this.#isClosed()) return
    this.#guests.delete(topic)
    const farewell = guest.close()
    this.#farewells.add(farewell)
    void farewell.then(() => this.#farewells.delete(farewell))
  }

  #isClosed(): boolean {
    return this.#closed.signal.aborted
  }
}
