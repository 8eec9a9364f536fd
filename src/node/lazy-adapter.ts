/**
 * An adapter that loads its library when its turn comes. Some libraries take longer to load than a join takes
 * over another backend: so backends start one after the other, in the order that they are named, as addresses of
 * one host do in RFC 8305. None waits for long.
 */
import { abortable, delay } from '../adapters/waiting.js'
import { GonetError } from '../core/errors.js'
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

/** How long the next one waits for this one to be up or down. */
const HeadStartMs = 100

export interface LazyAdapterOptions {
  readonly name: string
  readonly traits: SignallingTraits
  readonly clock: Clock
  /** When it may begin. */
  readonly turn: Promise<void>
  readonly onState: (state: AdapterState) => void
  /** Its configuration is wrong, as only opening it shows; or it has a bug. */
  readonly onWrong: (error: unknown) => void
  /** Loads the library, and makes the adapter that everything is passed on to. */
  readonly make: (onState: (state: AdapterState) => void) => Promise<SignallingAdapter>
}

export class LazyAdapter implements SignallingAdapter {
  readonly name: string
  readonly traits: SignallingTraits
  /** When the next one may begin. */
  readonly nextTurn: Promise<void>
  readonly #options: LazyAdapterOptions
  readonly #closed = new AbortController()
  #passTurn: () => void = () => undefined
  #opened: Promise<SignallingAdapter> | undefined
  #isOpen = false
  #closing: Promise<void> | undefined

  constructor(options: LazyAdapterOptions) {
    this.name = options.name
    this.traits = options.traits
    this.#options = options
    this.nextTurn = new Promise((resolve) => {
      this.#passTurn = resolve
    })
  }

  /** Returns before the adapter is there: the others need not wait for it. */
  open(
    as: { readonly role: 'host' | 'guest'; readonly topics: readonly Topic[] },
    signal: AbortSignal,
  ): Promise<void> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    this.#opened = this.#open(as, either)
    this.#opened.catch((error: unknown) => {
      this.#passTurn()
      if (!either.aborted) this.#options.onWrong(error)
    })
    return Promise.resolve()
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    await (await this.#adapter(signal)).publish(record, signal)
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    // Before it is open there is nothing of ours.
    if (this.#isOpen) await (await this.#adapter(signal)).retract(key, signal)
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await (await this.#adapter(signal)).watch(topic, box, onRecord, signal)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #open(
    as: { readonly role: 'host' | 'guest'; readonly topics: readonly Topic[] },
    signal: AbortSignal,
  ): Promise<SignallingAdapter> {
    const { clock, make, onState, turn } = this.#options
    await abortable(turn, signal)
    void delay(clock, HeadStartMs, signal).then(this.#passTurn, this.#passTurn)
    const adapter = await make((state) => {
      this.#passTurn()
      onState(state)
    })
    try {
      await adapter.open(as, signal)
    } catch (error) {
      await adapter.close()
      throw error
    }
    this.#isOpen = true
    return adapter
  }

  async #adapter(signal: AbortSignal): Promise<SignallingAdapter> {
    signal.throwIfAborted()
    if (this.#opened === undefined) throw new GonetError('closed', `${this.name} is not open`)
    return abortable(this.#opened, AbortSignal.any([signal, this.#closed.signal]))
  }

  async #close(): Promise<void> {
    this.#closed.abort(new GonetError('closed', `${this.name} was closed`))
    const adapter = await this.#opened?.catch(() => undefined)
    await adapter?.close()
  }
}
