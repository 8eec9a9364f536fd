/**
 * Signalling over the DNS. Whatever keeps the records is asked again and again: it cannot call. Watches,
 * records of ours, and whether the server answers are looked after here; what is asked, and whom, is up to
 * the store of each mode.
 */
import { setMaxListeners } from 'node:events'
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
import type { DnsOptions } from './definition.js'
import { Health } from './health.js'
import { LocalStore } from './local-store.js'
import { Publication } from './publication.js'
import { readSettings } from './settings.js'
import type { RecordStore } from './store.js'
import { dnsTraits } from './traits.js'
import { TunnelStore } from './tunnel-store.js'
import { UpdateStore } from './update-store.js'
import { Watch } from './watch.js'

/** Records that are looked after. Above it, the oldest are left to themselves. */
const MaxPublications = 1024
/** Records that are removed when we leave; others are left to expire. */
const MaxFarewells = 128
/** How long the server has to take our leave. */
const PartingMs = 1_000

export class DnsAdapter implements SignallingAdapter {
  readonly name = 'dns'
  readonly traits: SignallingTraits = dnsTraits
  readonly #options: DnsOptions
  readonly #context: AdapterContext
  readonly #unixMs: () => number
  readonly #closed = new AbortController()
  readonly #report: StateReport
  readonly #publications = new Map<string, Publication>()
  readonly #watches = new Set<Watch>()
  readonly #running = new Set<Promise<void>>()
  #open: { readonly store: RecordStore; readonly health: Health } | undefined
  #closing: Promise<void> | undefined

  /** @param unixMs signatures and expiries in a zone name the time of day, which no monotonic clock has */
  constructor(options: DnsOptions, context: AdapterContext, unixMs: () => number = Date.now) {
    this.#options = options
    this.#context = context
    this.#unixMs = unixMs
    // Every wait listens to it.
    setMaxListeners(0, this.#closed.signal)
    this.#report = new StateReport(context.onState)
  }

  async open(
    { role, topics }: { readonly role: 'host' | 'guest'; readonly topics: readonly Topic[] },
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const settings = await abortable(readSettings(this.#options, role), signal)
    if (this.#isClosed()) return
    const { clock, random } = this.#context
    const asking = { clock, random, unixMs: this.#unixMs }
    const store =
      settings.mode === 'update'
        ? new UpdateStore(settings, asking)
        : settings.mode === 'tunnel'
          ? new TunnelStore(settings, asking)
          : new LocalStore(settings, { clock, random, topics })
    const health = new Health({ clock, random, report: this.#report, probe: (until) => store.probe(until) })
    this.#open = { store, health }
    this.#run(health.run(this.#closed.signal))
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { health, store } = this.#opened()
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and dns takes ${maxRecordBytes}`,
      )
    }
    // The engine may reuse its buffer, and the record is put back later where somebody erases it.
    const copy = { ...record, bytes: record.bytes.slice() }
    const publication = new Publication({ ...this.#context, store, health, record: copy })
    this.#begin(publication)
    health.busy()
    try {
      await publication.stored(signal)
    } catch (error) {
      if (signal.aborted) await this.#giveUp(publication, signal.reason)
      throw error
    }
    for (const watch of this.#watches) watch.hurry()
  }

  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const name = nameOf(key)
    const publication = this.#publications.get(name)
    this.#publications.delete(name)
    publication?.end(new SignallingError('retracted', 'the record was retracted'))
    const { store } = this.#open ?? {}
    // Where the backend is down, it is left to expire.
    if (store === undefined || this.#isClosed() || this.#report.last?.state === 'down') return
    const either = AbortSignal.any([signal, this.#closed.signal])
    try {
      await store.remove(key, either)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof SignallingError)) throw error
    }
  }

  async watch(
    topic: Topic,
    box: Box,
    onRecord: (record: SignalRecord) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { health, store } = this.#opened()
    const either = AbortSignal.any([signal, this.#closed.signal])
    either.throwIfAborted()
    setMaxListeners(0, either)
    const watch = new Watch({ ...this.#context, store, health, topic, box, onRecord }, either)
    this.#watches.add(watch)
    health.busy()
    let confirm = (): void => undefined
    const isRead = new Promise<void>((resolve) => {
      confirm = resolve
    })
    const running = watch.run(confirm).finally(() => this.#watches.delete(watch))
    this.#run(running)
    await abortable(Promise.race([isRead, running.then(() => isRead)]), either)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const reason = new SignallingError('adapter-closed', 'the dns adapter was closed')
    this.#closed.abort(reason)
    const isUp = this.#report.last?.state !== 'down'
    this.#report.close()
    const stored = [...this.#publications.values()].filter(({ isStored }) => isStored).slice(-MaxFarewells)
    for (const publication of this.#publications.values()) publication.end(reason)
    const { store } = this.#open ?? {}
    if (store === undefined) return
    if (isUp && stored.length > 0) await this.#part(store, stored)
    await store.close()
    await Promise.all(this.#running)
  }

  /** Removes what is ours, as far as a second suffices. */
  async #part(store: RecordStore, stored: readonly Publication[]): Promise<void> {
    const limit = new AbortController()
    setMaxListeners(0, limit.signal)
    const removals = stored.map(({ record }) => store.remove(record, limit.signal).catch(() => undefined))
    await Promise.race([
      Promise.all(removals),
      delay(this.#context.clock, PartingMs, limit.signal).catch(() => undefined),
    ])
    limit.abort()
    await Promise.all(removals)
  }

  #begin(publication: Publication): void {
    const name = nameOf(publication.record)
    this.#publications.get(name)?.end(new SignallingError('replaced', 'a newer record took its place'))
    this.#publications.delete(name)
    this.#publications.set(name, publication)
    if (this.#publications.size > MaxPublications) {
      const [[oldest, given] = []] = this.#publications
      given?.end(new SignallingError('too-many-records', 'too many records wait for the server'))
      if (oldest !== undefined) this.#publications.delete(oldest)
    }
    this.#run(
      publication.run().finally(() => {
        if (this.#publications.get(name) === publication) this.#publications.delete(name)
      }),
    )
  }

  /** An attempt under way may have stored it all the same. */
  async #giveUp(publication: Publication, reason: unknown): Promise<void> {
    publication.end(reason)
    const name = nameOf(publication.record)
    if (this.#publications.get(name) === publication) this.#publications.delete(name)
    const { store } = this.#open ?? {}
    if (store === undefined || !publication.isStored || this.#report.last?.state === 'down') return
    this.#run(store.remove(publication.record, this.#closed.signal))
    await Promise.resolve()
  }

  /** Something that goes on beside, and that closing waits for. */
  #run(running: Promise<void>): void {
    const settled = running.catch((error: unknown) => {
      if (!this.#isClosed() && !(error instanceof SignallingError)) {
        this.#context.logger.error('dns adapter failed', { error })
      }
    })
    this.#running.add(settled)
    void settled.then(() => this.#running.delete(settled))
  }

  #opened(): { readonly store: RecordStore; readonly health: Health } {
    this.#closed.signal.throwIfAborted()
    if (this.#open === undefined) throw new SignallingError('closed', 'the dns adapter is not open')
    return this.#open
  }

  #isClosed(): boolean {
    return this.#closed.signal.aborted
  }
}

function nameOf({ topic, box, sender }: RecordKey): string {
  return `${topic}/${box}/${sender}`
}
