/**
 * Signalling by multicast DNS (RFC 6762): no server, everybody on the link answers for his own records. All
 * records of a box are TXT records of one name.
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
import { abortable, delay } from '../waiting.js'
import type { MdnsOptions } from './definition.js'
import { linkInterfaces } from './interfaces.js'
import { Link, type Network } from './link.js'
import { LinkSocket } from './link-socket.js'
import { Publications } from './publications.js'
import { mdnsTraits } from './traits.js'
import { Watches } from './watches.js'

/** How long beacons that stand are waited for: neighbours answer at once, or after 120 ms. */
const FirstReadMs = 150
/** How long taking records back may hold up the end. */
const FarewellMs = 500

export class MdnsAdapter implements SignallingAdapter {
  readonly name = 'mdns'
  readonly traits: SignallingTraits = mdnsTraits
  readonly #context: AdapterContext
  readonly #closed = new AbortController()
  readonly #report: StateReport
  readonly #link: Link
  readonly #publications: Publications
  readonly #watches: Watches
  /** As they stand in names: packets without any of them are not parsed. */
  readonly #topics = new Set<string>()
  #closing: Promise<void> | undefined

  constructor(options: MdnsOptions, context: AdapterContext, network: Network = systemNetwork(options)) {
    this.#context = context
    this.#report = new StateReport(context.onState)
    this.#link = new Link({
      ...context,
      network,
      chosen: options.interface,
      report: this.#report,
      isWanted: (packet) => [...this.#topics].some((topic) => packet.includes(topic)),
      onQuestion: (name) => {
        this.#publications.answer(name)
      },
      onAnswer: (source, answer) => {
        this.#watches.receive(source, answer)
      },
      onUp: () => {
        this.#publications.announceAll()
        this.#watches.askAll()
      },
    })
    this.#publications = new Publications({ ...context, say: (answer) => this.#link.say(answer) })
    this.#watches = new Watches({
      ...context,
      ask: (name) => {
        this.#link.ask(name)
      },
    })
  }

  open(as: { readonly topics: readonly Topic[] }, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    for (const topic of as.topics) this.#topics.add(topic)
    if (!this.#closed.signal.aborted) this.#link.start()
    return Promise.resolve()
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const either = this.#either(signal)
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and mdns takes ${maxRecordBytes}`,
      )
    }
    // The engine may reuse its buffer.
    const copy = { ...record, bytes: record.bytes.slice() }
    this.#topics.add(record.topic)
    await this.#link.whenUp(either)
    await abortable(this.#publications.put(copy), either)
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await abortable(this.#publications.remove(key), signal)
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const either = this.#either(signal)
    this.#topics.add(topic)
    const stop = this.#watches.add(topic, box, (record) => {
      if (!either.aborted) onRecord(record)
    })
    either.addEventListener('abort', stop, { once: true })
    await this.#link.whenUp(either)
    // Joins and answers come after the watch; a guest that must choose among hosts waits for this read.
    if (box === 'host') await delay(this.#context.clock, FirstReadMs, either)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#closed.abort(new SignallingError('adapter-closed', 'the mdns adapter was closed'))
    this.#report.close()
    this.#watches.clear()
    const limit = new AbortController()
    await Promise.race([
      this.#publications.clear(),
      delay(this.#context.clock, FarewellMs, limit.signal).catch(() => undefined),
    ])
    limit.abort()
    await this.#link.close()
  }

  /** @throws where it is aborted already */
  #either(signal: AbortSignal): AbortSignal {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    return AbortSignal.any([signal, this.#closed.signal])
  }
}

function systemNetwork(options: MdnsOptions): Network {
  return {
    interfaces: () => linkInterfaces(options.interface),
    makeSocket: (wanted) => new LinkSocket(wanted),
  }
}
