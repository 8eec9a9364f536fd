/** Whether a signalling backend can be used: it is opened, and where that costs nothing a record goes through it. */
import { abortable, delay } from '../../adapters/waiting.js'
import { toBase32 } from '../../core/encoding.js'
import { explain, GonetError, SignallingError, UsageError } from '../../core/errors.js'
import type { Clock, Logger, Random } from '../../core/ports.js'
import type { AdapterState, SignallingAdapter, SignallingTraits } from '../../core/signalling-adapter.js'
import { compose } from '../composition.js'
import type { LoadedConfig } from '../config/load-config.js'
import { bounded, failed, Late, type Row, sayDuration, thrown } from './row.js'

export interface BackendCheckOptions {
  readonly loaded: LoadedConfig
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly signal: AbortSignal
  readonly limitMs: number
}

type Role = 'host' | 'guest'

/** A backend that is down is given as long to come up after all: some try several servers in turn. */
const SecondThoughtsMs = 1000
/** What takes longer from writer to reader is asked of a service that many share, and which bears a grudge. */
const CheapLatencyMs = 50
const RecordMs = 30_000
const RecordBytes = 64
const RetractMs = 1000

/** @throws what `signal` is aborted with */
export async function checkBackend(name: string, options: BackendCheckOptions): Promise<Row> {
  const { clock, signal, limitMs } = options
  const what = `backend ${name}`
  const trial = new Trial(name, options)
  const startedAt = clock.now()
  try {
    const upMs = await bounded(limitMs, options, (limit) => trial.open(limit))
    const up = `up in ${sayDuration(upMs)}`
    if (!isCheap(trial.traits)) return { what, state: 'ok', detail: up, ms: upMs }
    const readMs = await bounded(limitMs, options, (limit) => trial.readBack(limit))
    const facts = { upMs: Math.round(upMs), readBackMs: Math.round(readMs) }
    const detail = `${up}; a record is read back in ${sayDuration(readMs)}`
    return { what, state: 'ok', detail, ms: clock.now() - startedAt, facts }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof UsageError) return failed(what, error)
    const advice = `Check the network and what the configuration has under adapters.${name}, or choose another backend with --signal`
    const reason = error instanceof Late ? trial.sayLate(error) : error
    if (!(reason instanceof GonetError)) return thrown(what, reason)
    const row = failed(
      what,
      new GonetError('no-backend', explain(reason), { advice: reason.advice ?? advice }),
    )
    return { ...row, ms: clock.now() - startedAt }
  } finally {
    await trial.close()
  }
}

/**
 * A backend that does not work is one too few only where no other works, unless its configuration is wrong, which
 * ends a room.
 */
export function judgeBackends(rows: readonly Row[]): readonly Row[] {
  if (!rows.some(({ state }) => state === 'ok')) return rows
  return rows.map((row) => {
    const { failure, ...rest } = row
    return failure?.code === 'no-backend' ? { ...rest, state: 'warn' } : row
  })
}

function isCheap({ delivery, retracts, standing, typicalLatencyMs }: SignallingTraits): boolean {
  return delivery === 'push' && retracts && standing.host && typicalLatencyMs <= CheapLatencyMs
}

/** A backend opened for nobody's room. */
class Trial {
  readonly traits: SignallingTraits
  readonly #options: BackendCheckOptions
  readonly #name: string
  readonly #topic: string
  readonly #sides: Side[]
  #isUp = false
  #isPublished = false

  constructor(name: string, options: BackendCheckOptions) {
    this.#options = options
    this.#name = name
    this.#topic = toBase32(options.random.bytes(13)).slice(0, 20)
    const own = new Side(name, options.loaded.config.role ?? 'guest', options)
    this.traits = own.adapter.traits
    this.#sides = isCheap(this.traits)
      ? (['host', 'guest'] as const).map((role) => new Side(name, role, options))
      : [own]
  }

  /** @returns how long it took, ms; @throws SignallingError where it is down */
  async open(signal: AbortSignal): Promise<number> {
    const { clock } = this.#options
    const startedAt = clock.now()
    await Promise.all(this.#sides.map((side) => side.open(this.#topic, signal)))
    this.#isUp = true
    return clock.now() - startedAt
  }

  /** @returns how long a record takes, ms; @throws SignallingError where it is refused */
  async readBack(signal: AbortSignal): Promise<number> {
    const { clock, random } = this.#options
    const [host, guest] = this.#sides
    if (host === undefined || guest === undefined) return 0
    const bytes = random.bytes(RecordBytes)
    let wasRead = (): void => undefined
    const read = new Promise<void>((resolve) => {
      wasRead = resolve
    })
    const ending = new AbortController()
    const either = AbortSignal.any([signal, ending.signal])
    try {
      const watching = guest.adapter.watch(
        this.#topic,
        'host',
        (record) => {
          if (Buffer.compare(record.bytes, bytes) === 0) wasRead()
        },
        either,
      )
      await abortable(watching, signal)
      const startedAt = clock.now()
      this.#isPublished = true
      await host.adapter.publish({ ...this.#key, bytes, expiresInMs: RecordMs }, signal)
      await abortable(read, signal)
      return clock.now() - startedAt
    } finally {
      ending.abort(new GonetError('closed', 'no longer watched'))
    }
  }

  sayLate({ limitMs }: Late): SignallingError {
    const text = this.#isUp
      ? `${this.#name} is up, but shows no record in ${sayDuration(limitMs)}`
      : `no answer in ${sayDuration(limitMs)}`
    return new SignallingError('backend-silent', text)
  }

  async close(): Promise<void> {
    const [host] = this.#sides
    if (this.#isPublished && host !== undefined) {
      const limit = new AbortController()
      const cancel = this.#options.clock.after(RetractMs, () => limit.abort(new Late(RetractMs)))
      await abortable(host.adapter.retract(this.#key, limit.signal), limit.signal).catch(() => undefined)
      cancel()
    }
    await Promise.all(this.#sides.map(({ adapter }) => adapter.close()))
  }

  get #key(): { readonly topic: string; readonly box: 'host'; readonly sender: string } {
    return { topic: this.#topic, box: 'host', sender: 'doctor' }
  }
}

/** One adapter, and what it says of itself. */
class Side {
  readonly adapter: SignallingAdapter
  readonly #role: Role
  readonly #clock: Clock
  #last: AdapterState | undefined
  #wake = (): void => undefined
  #fail: (error: unknown) => void = () => undefined

  constructor(name: string, role: Role, { loaded, logger, clock }: BackendCheckOptions) {
    this.#role = role
    this.#clock = clock
    const { adapters } = compose(
      { signal: [name], adapters: loaded.config.adapters },
      logger,
      loaded.ownAdapters,
    )
    const [adapter] = adapters(
      (_, state) => {
        this.#last = state
        this.#wake()
      },
      (error) => this.#fail(error),
    )
    if (adapter === undefined) throw new TypeError(`there is no adapter ${name}`)
    this.adapter = adapter
  }

  /** Resolves when it is up. @throws SignallingError why it is not; UsageError where its configuration is wrong */
  async open(topic: string, signal: AbortSignal): Promise<void> {
    const wrong = new Promise<never>((_, reject) => {
      this.#fail = reject
    })
    wrong.catch(() => undefined)
    await this.adapter.open({ role: this.#role, topics: [topic] }, signal)
    await Promise.race([this.#settle(signal), wrong])
  }

  async #settle(signal: AbortSignal): Promise<void> {
    await abortable(this.#changes(undefined), signal)
    if (this.#isUp) return
    const patience = new AbortController()
    const either = AbortSignal.any([signal, patience.signal])
    const late = delay(this.#clock, SecondThoughtsMs, either).catch(() => undefined)
    try {
      await Promise.race([this.#changes('down'), late])
    } finally {
      patience.abort()
    }
    signal.throwIfAborted()
    const last = this.#last
    if (last?.state === 'down') throw new SignallingError('backend-down', last.reason)
  }

  get #isUp(): boolean {
    return this.#last?.state === 'up'
  }

  /** Resolves when the state is another one. */
  async #changes(from: AdapterState['state'] | undefined): Promise<void> {
    while (this.#last?.state === from) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
