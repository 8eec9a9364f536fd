/** What we watch: read when it begins and in every new session, then followed from that revision on. */
import type { SignallingError } from '../../core/errors.js'
import type { Box, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { abortable } from '../waiting.js'
import type { Stream } from './client.js'
import type { KeyValue } from './entries.js'
import { hasCode } from './failure.js'
import { boxPrefix, type KeyRange, rangeOf, senderOf } from './keys.js'
import type { Session } from './session.js'
import { etcdTraits } from './traits.js'

export interface WatchOptions {
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
  /** Ends it. */
  readonly signal: AbortSignal
}

/** Of what lies in a box, the latest. Strangers may have filled it. */
const MaxRecordsPerRead = 4096
/** Below it they are read at once, with their values. */
const FewRecords = 64
/** How often we ask for more keys than one answer has. */
const MaxLists = 64
const ConcurrentReads = 32

export class Watches {
  readonly #prefix: string
  readonly #session: () => Session | undefined
  readonly #watches = new Set<Watch>()

  constructor(prefix: string, session: () => Session | undefined) {
    this.#prefix = prefix
    this.#session = session
  }

  /** @throws SignallingError `watch-refused`; the signal's reason */
  async add(options: WatchOptions): Promise<void> {
    const watch = new Watch(options, this.#prefix)
    this.#watches.add(watch)
    options.signal.addEventListener(
      'abort',
      () => {
        this.#watches.delete(watch)
        watch.stop()
      },
      { once: true },
    )
    const session = this.#session()
    if (session !== undefined) void watch.begin(session)
    await abortable(watch.ready, options.signal)
  }

  begin(session: Session): void {
    for (const watch of this.#watches) void watch.begin(session)
  }
}

class Watch {
  /** Resolves after the first read. */
  readonly ready: Promise<void>
  readonly #options: WatchOptions
  readonly #prefix: string
  readonly #range: KeyRange
  #isReady: () => void = () => undefined
  #isRefused: (error: SignallingError) => void = () => undefined
  #session: Session | undefined
  #stream: Stream | undefined

  constructor(options: WatchOptions, prefix: string) {
    this.#options = options
    this.#prefix = boxPrefix(prefix, options.topic, options.box)
    this.#range = rangeOf(this.#prefix)
    this.ready = new Promise((resolve, reject) => {
      this.#isReady = resolve
      this.#isRefused = reject
    })
    // It may be given up before anybody hears of it.
    this.ready.catch(() => undefined)
  }

  async begin(session: Session): Promise<void> {
    this.#stream?.cancel()
    this.#stream = undefined
    this.#session = session
    try {
      const revision = await this.#read(session)
      if (!this.#isCurrent(session)) return
      const stream = await session.watch(this.#range, revision + 1n, {
        onPut: (entry) => {
          if (this.#isCurrent(session)) this.#report(entry)
        },
        onDelete: () => undefined,
        onEnd: (error) => {
          if (!this.#isCurrent(session)) return
          // What was missed is read.
          if (hasCode(error, 'etcd-compacted')) void this.begin(session)
          else this.#refuse(session, error)
        },
      })
      if (this.#isCurrent(session)) this.#stream = stream
      else stream.cancel()
      this.#isReady()
    } catch (error) {
      // Else the session has ended, and the next one begins anew.
      if (this.#isCurrent(session)) this.#refuse(session, error as SignallingError)
    }
  }

  stop(): void {
    this.#session = undefined
    this.#stream?.cancel()
    this.#stream = undefined
  }

  /** So that it is shown, and tried again later. */
  #refuse(session: Session, error: SignallingError): void {
    this.#isRefused(error)
    session.fail(error)
  }

  #isCurrent(session: Session): boolean {
    return this.#session === session && !session.isOver
  }

  /** Reports what is there, the latest first. @returns the revision of the store that is then known */
  async #read(session: Session): Promise<bigint> {
    try {
      const { entries, revision } = await session.newest(this.#range, { limit: FewRecords })
      if (entries.length < FewRecords) {
        for (const entry of entries) if (this.#isCurrent(session)) this.#report(entry)
        return revision
      }
    } catch (error) {
      if (!hasCode(error, 'etcd-reply-too-large')) throw error
    }
    const { keys, revision } = await this.#list(session)
    const unread = keys.values()
    const readOn = async (): Promise<void> => {
      for (const key of unread) {
        if (this.#isCurrent(session)) await this.#readOne(session, key)
      }
    }
    await Promise.all(Array.from({ length: ConcurrentReads }, readOn))
    return revision
  }

  /**
   * The keys of the latest records. Strangers may have filled the box, with records larger than any answer that
   * we take: so the values of those that are none of ours are not asked for.
   */
  async #list(session: Session): Promise<{ keys: readonly Uint8Array[]; revision: bigint }> {
    const keys: Uint8Array[] = []
    let revision: bigint | undefined
    let before: bigint | undefined
    let limit = MaxRecordsPerRead
    for (let asked = 0; asked < MaxLists && keys.length < MaxRecordsPerRead; asked += 1) {
      try {
        const page = await session.newest(this.#range, { limit, before, keysOnly: true })
        revision ??= page.revision
        for (const { key } of page.entries) if (senderOf(this.#prefix, key) !== undefined) keys.push(key)
        const oldest = page.entries.at(-1)
        if (oldest === undefined || page.entries.length < limit) break
        before = BigInt(oldest.mod_revision)
        limit = Math.min(MaxRecordsPerRead, limit * 8)
      } catch (error) {
        if (!hasCode(error, 'etcd-reply-too-large') || limit === 1) throw error
        limit = Math.max(1, limit / 8)
      }
    }
    return { keys: keys.slice(0, MaxRecordsPerRead), revision: revision ?? 0n }
  }

  async #readOne(session: Session, key: Uint8Array): Promise<void> {
    try {
      const entry = await session.get(key)
      if (entry !== undefined && this.#isCurrent(session)) this.#report(entry)
    } catch (error) {
      if (!hasCode(error, 'etcd-reply-too-large')) throw error
    }
  }

  #report({ key, value }: KeyValue): void {
    const { topic, box, onRecord } = this.#options
    const sender = senderOf(this.#prefix, key)
    if (sender === undefined || value.length > etcdTraits.maxRecordBytes) return
    onRecord({ topic, box, sender, bytes: Uint8Array.from(value), expiresInMs: 0 })
  }
}
