/**
 * Signalling over a paste site: each record is a paste, and watchers ask for the list of pastes again and
 * again, often while somebody waits for an answer and seldom else.
 */
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
import type { HttpClient } from '../shared/http.js'
import { Reachability } from '../shared/reachability.js'
import { StateReport } from '../shared/state-report.js'
import { abortable } from '../waiting.js'
import { Budget } from './budget.js'
import type { PastebinOptions } from './definition.js'
import { OwnPastes } from './own-pastes.js'
import type { PasteService } from './paste-service.js'
import { PasteWatch } from './paste-watch.js'
import { openSite } from './settings.js'
import { pastebinTraits } from './traits.js'

/** What there is once the adapter is open. */
interface Open {
  readonly http: HttpClient
  readonly service: PasteService
  readonly reachability: Reachability
  readonly budget: Budget
  readonly own: OwnPastes
}

/** Lists without news make the next one later, by this factor, up to so many times `pollSeconds`. */
const SlowDown = 1.05
const LongestPolls = 2
/** Times `pollSeconds` where nobody watches: only whether the site is there. */
const IdlePolls = 6
/** A slow site is asked for a third of the time at most. */
const RestPerPoll = 2
/** After that a site's refusal to take a paste is no news any more. */
const TroubleMs = 60 * 60_000

export class PastebinAdapter implements SignallingAdapter {
  readonly name = 'pastebin'
  readonly traits: SignallingTraits = pastebinTraits
  readonly #options: PastebinOptions
  readonly #context: AdapterContext
  readonly #report: StateReport
  readonly #closed = new AbortController()
  readonly #watches = new Set<PasteWatch>()
  #topics: readonly Topic[] = []
  #open: Open | undefined
  #closing: Promise<void> | undefined
  #pollsWithoutNews = 0
  #lastPollMs = 0
  #hasCleanedUp = false
  #trouble: SignallingError | undefined
  #cancelTrouble: () => void = () => undefined

  constructor(options: PastebinOptions, context: AdapterContext) {
    this.#options = options
    this.#context = context
    this.#report = new StateReport(context.onState)
  }

  async open({ topics }: { readonly topics: readonly Topic[] }, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#topics = topics
    const { clock, logger, random } = this.#context
    const opening = openSite(this.#options, clock)
    const { service, http, pastesPerDay } = await abortable(opening, signal)
    if (this.#closed.signal.aborted) {
      http.close()
      return
    }
    const budget = new Budget(clock, pastesPerDay)
    const reachability = new Reachability({
      clock,
      random,
      probe: (closing) => this.#poll(closing),
      probeAfterMs: () => this.#pollAfterMs(),
      onUp: () => {
        this.#showState(undefined)
      },
      onDown: (reason) => {
        this.#showState(reason)
      },
    })
    const onTrouble = (trouble: SignallingError | undefined): void => {
      this.#setTrouble(trouble)
    }
    const own = new OwnPastes({ service, label: http.label, reachability, budget, clock, logger, onTrouble })
    this.#open = { http, service, reachability, budget, own }
    reachability.start()
  }

  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { own } = this.#ready(signal)
    const { maxRecordBytes } = this.traits
    if (record.bytes.length > maxRecordBytes) {
      throw new SignallingError(
        'record-too-large',
        `a record has ${record.bytes.length} bytes, and pastebin takes ${maxRecordBytes}`,
      )
    }
    const either = AbortSignal.any([signal, this.#closed.signal])
    await own.put({ ...record, bytes: record.bytes.slice() }, either)
    // An answer may come soon.
    if (record.box === 'join') this.#pollsWithoutNews = 0
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
    const { reachability } = this.#ready(signal)
    const watch = new PasteWatch({ topic, box, onRecord }, AbortSignal.any([signal, this.#closed.signal]))
    this.#watches.add(watch)
    watch.signal.addEventListener('abort', () => this.#watches.delete(watch), { once: true })
    this.#pollsWithoutNews = 0
    reachability.probeSoon()
    await watch.ready
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#report.close()
    this.#cancelTrouble()
    this.#closed.abort(new SignallingError('adapter-closed', 'the pastebin adapter was closed'))
    if (this.#open === undefined) return
    const { http, own, reachability } = this.#open
    await Promise.all([own.close(), reachability.close()])
    http.close()
  }

  async #poll(signal: AbortSignal): Promise<void> {
    if (this.#open === undefined) return
    const { budget, own, service } = this.#open
    const { clock } = this.#context
    const startedAt = clock.now()
    // Who comes later is served by the next list: this one may be older.
    const watches = [...this.#watches]
    const list = await service.list(signal)
    for (const { id, createdAt } of list.account ?? []) {
      budget.note(id, (list.listedAt - createdAt) * 1000)
    }
    own.see(list, startedAt)
    let hasNews = false
    for (const watch of watches) {
      if (await watch.take(list.pastes, service, signal)) hasNews = true
    }
    this.#pollsWithoutNews = hasNews ? 0 : this.#pollsWithoutNews + 1
    this.#lastPollMs = clock.now() - startedAt
    if (this.#hasCleanedUp) return
    this.#hasCleanedUp = true
    void own.cleanUp(list, this.#topics)
  }

  #pollAfterMs(): number {
    const { random } = this.#context
    const pollMs = this.#options.pollSeconds * 1000
    const boxes = Array.from(this.#watches, ({ box }) => box)
    const isAwaited = boxes.some((box) => box.startsWith('reply/'))
    const polls = isAwaited ? 1 : Math.min(SlowDown ** this.#pollsWithoutNews, LongestPolls)
    const afterMs = pollMs * (boxes.length === 0 ? IdlePolls : polls)
    return Math.max(afterMs, this.#lastPollMs * RestPerPoll) * (1 + random.fraction() / 4)
  }

  #setTrouble(trouble: SignallingError | undefined): void {
    if (this.#closed.signal.aborted || this.#open === undefined) return
    this.#cancelTrouble()
    this.#trouble = trouble
    if (trouble !== undefined) {
      const { budget } = this.#open
      const afterMs = trouble.code === 'paste-budget-spent' ? budget.nextInMs + 1 : TroubleMs
      this.#cancelTrouble = this.#context.clock.after(afterMs, () => {
        this.#setTrouble(undefined)
      })
    }
    if (this.#open.reachability.isUp) this.#showState(undefined)
  }

  /** A site that takes no paste is no use, even where it lets us read. */
  #showState(unreachable: SignallingError | undefined): void {
    const reason = unreachable ?? this.#trouble
    if (reason === undefined) this.#report.up()
    else this.#report.down(reason.message)
  }

  #ready(signal: AbortSignal): Open {
    signal.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    if (this.#open === undefined) throw new GonetError('closed', 'the adapter is not open')
    return this.#open
  }
}
