/**
 * Holds an adapter that is not gonet's own to the contract, as far as that can be done from outside: its errors
 * become gonet's, every wait ends with its signal, and closing ends.
 */
import { abortable, delay } from '../adapters/waiting.js'
import { explain, GonetError, SignallingError, UsageError } from '../core/errors.js'
import type {
  Box,
  RecordKey,
  SignallingAdapter,
  SignallingTraits,
  SignalRecord,
  Topic,
} from '../core/signalling-adapter.js'
import { systemClock } from './clock.js'

const CloseMs = 2_000
const Sender = /^[0-9a-z]{1,64}$/
const Code = /^[a-z][a-z0-9-]{0,63}$/

export class ShieldedAdapter implements SignallingAdapter {
  readonly name: string
  readonly traits: SignallingTraits
  readonly #adapter: SignallingAdapter
  #closing: Promise<void> | undefined

  constructor(name: string, traits: SignallingTraits, adapter: SignallingAdapter) {
    this.name = name
    this.traits = traits
    this.#adapter = adapter
  }

  open(as: Parameters<SignallingAdapter['open']>[0], signal: AbortSignal): Promise<void> {
    return this.#guarded(signal, () => this.#adapter.open(as, signal))
  }

  publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    return this.#guarded(signal, () => this.#adapter.publish(record, signal))
  }

  retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    return this.#guarded(signal, () => this.#adapter.retract(key, signal))
  }

  watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const report = (record: SignalRecord): void => {
      if (!signal.aborted && this.#isRecord(record)) onRecord({ ...record, topic, box })
    }
    return this.#guarded(signal, () => this.#adapter.watch(topic, box, report, signal))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const limit = new AbortController()
    const late = delay(systemClock, CloseMs, limit.signal)
    await Promise.allSettled([Promise.race([this.#call(() => this.#adapter.close()), late])])
    limit.abort()
    await Promise.allSettled([late])
  }

  async #guarded(signal: AbortSignal, call: () => Promise<void>): Promise<void> {
    signal.throwIfAborted()
    try {
      await abortable(this.#call(call), signal)
    } catch (error) {
      signal.throwIfAborted()
      throw this.#translated(error)
    }
  }

  /** What throws at once, and what returns no promise, is an outcome all the same. */
  async #call(call: () => Promise<void>): Promise<void> {
    await call()
  }

  #isRecord({ sender, bytes, expiresInMs }: SignalRecord): boolean {
    return (
      Sender.test(sender) &&
      bytes instanceof Uint8Array &&
      bytes.length <= this.traits.maxRecordBytes &&
      Number.isFinite(expiresInMs)
    )
  }

  /** A module of its own can have the errors of another copy of gonet, or none of gonet's. */
  #translated(error: unknown): GonetError {
    if (error instanceof GonetError) return error
    const { code, name, advice } = (error ?? {}) as Partial<GonetError>
    const details = { cause: error, ...(typeof advice === 'string' && { advice }) }
    if (!(error instanceof Error) || typeof code !== 'string' || !Code.test(code)) {
      return new SignallingError('own-adapter-failed', `${this.name}: ${explain(error)}`, details)
    }
    return name === 'UsageError'
      ? new UsageError(code, error.message, details)
      : new SignallingError(code, error.message, details)
  }
}
