/** Signalling over an OpenDHT network, by way of the REST proxy of one of its nodes. */
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
import { readAuthorities } from '../shared/authorities.js'
import { HttpClient } from '../shared/http.js'
import { parseHttpUrl } from '../shared/http-url.js'
import { Reachability } from '../shared/reachability.js'
import { StateReport } from '../shared/state-report.js'
import { abortable } from '../waiting.js'
import { BoxWatch } from './box-watch.js'
import type { OpendhtOptions } from './definition.js'
import { OwnRecords } from './own-records.js'
import { DhtProxy } from './proxy.js'
import { opendhtTraits } from './traits.js'

/** What there is once the adapter is open. */
interface Open {
  readonly http: HttpClient
  readonly proxy: DhtProxy
  readonly reachability: Reachability
  readonly own: OwnRecords
}

/** Whether the proxy still answers: somebody who only listens would not notice. */
const ProbeMs = 15_000

export class OpendhtAdapter implements SignallingAdapter {
  readonly name = 'opendht'
  readonly traits: SignallingTraits = opendhtTraits
  readonly #options: OpendhtOptions
  readonly #context: AdapterContext
  readonly #report: StateReport
  readonly #closed = new AbortController()
  #open: Open | undefined
  #closing: Promise<void> | undefined

  constructor(options: OpendhtOptions, context: AdapterContext) {
    this.#options = options
    this.#context = context
    this.#report = new StateReport(context.onState)
  }

  async open(_as: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { clock, random } = this.#context
    const url = parseHttpUrl(this.#options.proxy, 'adapters.opendht.proxy', 'opendht-proxy-wrong')
    const ca = await abortable(readAuthorities('opendht', this.#options.ca), signal)
    const opened = HttpClient.open({ url, ca, caOption: 'adapters.opendht.ca', clock })
    const http = await abortable(opened, signal)
    if (this.#closed.signal.aborted) {
      http.close()
      return
    }
    const proxy = new DhtProxy(http)
    const reachability = new Reachability({
      clock,
      random,
      probe: (closing) => proxy.probe(closing),
      probeAfterMs: () => ProbeMs * (0.8 + random.fraction() / 5),
      onUp: () => {
        this.#report.up()
        own.putAgain()
      },
      onDown: ({ message }) => {
        this.#report.down(message)
      },
    })
    const own = new OwnRecords({ proxy, reachability, clock, random })
    this.#open = { http, proxy, reachability, own }
    reachability.start()
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { own } = this.#ready(signal)
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and opendht takes ${maxRecordBytes}`,
      )
    }
    const either = AbortSignal.any([signal, this.#closed.signal])
    await abortable(own.put({ ...record, bytes: record.bytes.slice() }, either), either)
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#closed.signal.aborted) return
    await this.#open?.own.retract(key, AbortSignal.any([signal, this.#closed.signal]))
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { proxy, reachability } = this.#ready(signal)
    const either = AbortSignal.any([signal, this.#closed.signal])
    await new BoxWatch({ ...this.#context, topic, box, onRecord, proxy, reachability }, either).ready
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#report.close()
    this.#closed.abort(new SignallingError('adapter-closed', 'the opendht adapter was closed'))
    if (this.#open === undefined) return
    const { http, own, reachability } = this.#open
    await own.close()
    await reachability.close()
    http.close()
  }

  #ready(signal: AbortSignal): Open {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    if (this.#open === undefined) throw new GonetError('closed', 'the adapter is not open')
    return this.#open
  }
}
