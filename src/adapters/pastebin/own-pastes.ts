/**
 * The pastes that this adapter has made: one for each of its records, replaced, taken back and cleaned up, and
 * no more than the day's budget allows.
 */
import { setMaxListeners } from 'node:events'
import { SignallingError } from '../../core/errors.js'
import type { Clock, Logger } from '../../core/ports.js'
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import type { Reachability } from '../shared/reachability.js'
import { abortable } from '../waiting.js'
import type { Budget } from './budget.js'
import type { Lifetime, Paste, PasteList, PasteService } from './paste-service.js'
import { encodePaste, parseTitle, titleOf } from './titles.js'

export interface OwnPastesOptions {
  readonly service: PasteService
  /** `host:port`, for messages. */
  readonly label: string
  readonly reachability: Reachability
  readonly budget: Budget
  readonly clock: Clock
  readonly logger: Logger
  /** Why pastes cannot be made, or undefined when one was. */
  readonly onTrouble: (trouble: SignallingError | undefined) => void
}

interface Own {
  readonly id: string
  readonly madeAt: number
  cancelExpiry: () => void
}

const MinuteMs = 60_000
const LifetimeMs: Readonly<Record<Lifetime, number>> = {
  'ten-minutes': 10 * MinuteMs,
  day: 24 * 60 * MinuteMs,
}
/** A beacon that is only fresher waits until the one that stands has had half of its life, where pastes are scarce. */
const RefreshMs = LifetimeMs.day / 2
/** Of an earlier process that could not clean up: removed at the start, so many at most. */
const MaxCleanUp = 64
const PartingMs = 1_500

export class OwnPastes {
  readonly #options: OwnPastesOptions
  readonly #own = new Map<string, Own>()
  readonly #closing = new AbortController()
  #listed: readonly Paste[] = []

  constructor(options: OwnPastesOptions) {
    this.#options = options
    // Every paste that is made or removed listens to it.
    setMaxListeners(0, this.#closing.signal)
  }

  /**
   * Resolves when the site has the record.
   * @throws SignallingError `paste-budget-spent`, `server-refused`; the signal's reason
   */
  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const title = titleOf(record)
    const standing = this.#own.get(title)
    const expiresAt = clock.now() + record.expiresInMs
    if (record.box === 'host' && standing !== undefined && !this.#isDue(standing)) {
      this.#expireAt(title, standing, expiresAt)
      return
    }
    const creation = this.#create(title, record, signal)
    let id: string
    try {
      id = await abortable(creation, signal)
    } catch (error) {
      // The site may have it, or get it in this moment.
      void creation.then((late) => this.#remove(late)).catch(() => undefined)
      throw error
    }
    const own = { id, madeAt: clock.now(), cancelExpiry: () => undefined }
    const replaced = this.#own.get(title)
    replaced?.cancelExpiry()
    this.#own.set(title, own)
    this.#expireAt(title, own, expiresAt)
    if (replaced !== undefined) await abortable(this.#remove(replaced.id), signal)
  }

  /** Removes a record's pastes, best effort: ours, and those that an earlier process of ours has left. */
  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    const title = titleOf(key)
    const ids = new Set(this.#listed.filter((paste) => paste.title === title).map(({ id }) => id))
    const own = this.#own.get(title)
    if (own !== undefined) ids.add(own.id)
    this.#forget(title)
    if (!this.#options.reachability.isUp) return
    await abortable(Promise.all([...ids].map((id) => this.#remove(id))), signal)
  }

  /** What the site has now. */
  see({ pastes }: PasteList, since: number): void {
    this.#listed = pastes
    const ids = new Set(pastes.map(({ id }) => id))
    for (const [title, own] of this.#own) {
      // Somebody has removed it, or the site has: the next publication of the record makes it anew.
      if (own.madeAt < since && !ids.has(own.id)) this.#forget(title)
    }
  }

  /**
   * Removes what should be gone: of our topics, and older than any record of its box gets. The account may be
   * shared, so nothing is removed that may still be in use.
   */
  async cleanUp({ pastes, listedAt }: PasteList, topics: readonly Topic[]): Promise<void> {
    const old = pastes.filter(({ title, createdAt }) => {
      const key = parseTitle(title)
      if (key === undefined || !topics.includes(key.topic)) return false
      return (listedAt - createdAt) * 1000 > LifetimeMs[lifetimeOf(key.box)] + MinuteMs
    })
    for (const { id } of old.slice(0, MaxCleanUp)) await this.#remove(id)
  }

  /** Removes all that is ours, beacons first, within two seconds. */
  async close(): Promise<void> {
    const own = [...this.#own].sort(([a], [b]) => Number(isBeacon(b)) - Number(isBeacon(a)))
    for (const [title] of own) this.#forget(title)
    const farewells = Promise.all(own.map(([, { id }]) => this.#remove(id)))
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(PartingMs, resolve)
      void farewells.then(() => {
        cancel()
        resolve()
      })
    })
    this.#closing.abort()
  }

  #isDue({ madeAt }: Own): boolean {
    const { budget, clock } = this.#options
    return budget.allowsRefresh || clock.now() - madeAt >= RefreshMs
  }

  async #create(title: string, { box, bytes }: SignalRecord, signal: AbortSignal): Promise<string> {
    const { budget, label, logger, onTrouble, reachability, service } = this.#options
    const paste = { title, text: encodePaste(bytes), lifetime: lifetimeOf(box) }
    try {
      const id = await reachability.persist(() => {
        if (budget.isSpent) throw spent(label, budget)
        // Not with the caller's signal: who breaks it off does not know whether it was done.
        return service.create(paste, this.#closing.signal)
      }, signal)
      budget.note(id, 0)
      logger.info('pastebin: paste made', { box, madeToday: budget.spent, perDay: budget.perDay })
      onTrouble(undefined)
      return id
    } catch (error) {
      if (error instanceof SignallingError && !signal.aborted) onTrouble(error)
      throw error
    }
  }

  async #remove(id: string): Promise<void> {
    await this.#options.service.remove(id, this.#closing.signal).catch(() => undefined)
  }

  #expireAt(title: string, own: Own, expiresAt: number): void {
    const { clock } = this.#options
    own.cancelExpiry()
    own.cancelExpiry = clock.after(Math.max(0, expiresAt - clock.now()), () => {
      if (this.#own.get(title) !== own) return
      this.#forget(title)
      void this.#remove(own.id)
    })
  }

  #forget(title: string): void {
    this.#own.get(title)?.cancelExpiry()
    this.#own.delete(title)
  }
}

function lifetimeOf(box: Box): Lifetime {
  return box === 'host' ? 'day' : 'ten-minutes'
}

function isBeacon(title: string): boolean {
  return parseTitle(title)?.box === 'host'
}

function spent(label: string, budget: Budget): SignallingError {
  const minutes = Math.ceil(budget.nextInMs / MinuteMs)
  const wait = minutes >= 120 ? `${Math.ceil(minutes / 60)} hours` : `${minutes} minutes`
  return new SignallingError(
    'paste-budget-spent',
    `${label}: the day's ${budget.perDay} pastes are used up; the next one in ${wait} (adapters.pastebin.pastesPerDay)`,
  )
}
