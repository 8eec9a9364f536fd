/**
 * Our own records: said aloud when they are new, said again to whoever asks, and taken back at the end. What
 * goes out is bounded, however much is asked (RFC 6762 sections 6 and 8.3).
 */
import { TokenBucket } from '../../core/bounded.js'
import type { RecordKey, SignalRecord } from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { encodeRecord } from './fragments.js'
import type { Answer } from './link.js'
import { boxName } from './names.js'

/** Further announcements, ms after the one before: a wireless link loses many. */
const AnnouncementGapsMs: readonly number[] = [1_000, 2_000, 4_000]
/** RFC 6762 section 6: no record is multicast more often. */
const QuietMs = 1_000
/** Where many may answer at once, each waits a while: RFC 6762 section 6. */
const [ShortestDelayMs, LongestDelayMs] = [20, 120]
const MaxRecords = 1024
/** RFC 6762 section 10. Seconds. */
const LongestTtl = 4500
/** What answering can cost the link, packets a second. Announcements are as many as records, and not counted. */
const AnswersPerSecond = 200

interface Publication {
  readonly name: string
  readonly fragments: readonly (readonly Buffer[])[]
  readonly expiresAt: number
  /** When it was said last. */
  saidAt: number
  announcements: number
  cancelExpiry: () => void
  cancelAnnouncement: () => void
  cancelAnswer: (() => void) | undefined
}

export interface PublicationsOptions extends Pick<AdapterContext, 'clock' | 'random'> {
  readonly say: (answer: Answer) => Promise<void>
}

export class Publications {
  readonly #options: PublicationsOptions
  readonly #bucket = new TokenBucket(AnswersPerSecond, AnswersPerSecond)
  /** By box name and sender. */
  readonly #records = new Map<string, Publication>()

  constructor(options: PublicationsOptions) {
    this.#options = options
  }

  /** Resolves when it was said once, as far as that could be. */
  async put(record: SignalRecord): Promise<void> {
    const { clock } = this.#options
    const key = keyOf(record)
    this.#drop(key)
    const publication: Publication = {
      name: boxName(record.topic, record.box),
      fragments: encodeRecord(record.sender, record.bytes),
      expiresAt: clock.now() + record.expiresInMs,
      saidAt: -Infinity,
      announcements: 0,
      cancelExpiry: clock.after(record.expiresInMs, () => this.#drop(key)),
      cancelAnnouncement: () => undefined,
      cancelAnswer: undefined,
    }
    this.#records.set(key, publication)
    if (this.#records.size > MaxRecords) {
      const [oldest] = this.#records.keys()
      if (oldest !== undefined) this.#drop(oldest)
    }
    await this.#announce(publication)
  }

  /** Takes a record back. */
  async remove(record: RecordKey): Promise<void> {
    const key = keyOf(record)
    const publication = this.#records.get(key)
    this.#drop(key)
    if (publication !== undefined) await this.#say(publication, 0)
  }

  /** Takes all records back. */
  async clear(): Promise<void> {
    const all = [...this.#records.values()]
    for (const key of [...this.#records.keys()]) this.#drop(key)
    await Promise.all(all.map((publication) => this.#say(publication, 0)))
  }

  /** Says everything again, on a link that may be another one. */
  announceAll(): void {
    for (const publication of this.#records.values()) {
      publication.announcements = 0
      void this.#announce(publication)
    }
  }

  /** Somebody asks for what has this name. */
  answer(name: string): void {
    const { clock, random } = this.#options
    for (const publication of this.#records.values()) {
      if (publication.name !== name || publication.cancelAnswer !== undefined) continue
      // Many guests knock at a host; to all other questions one machine has the answer.
      const range = LongestDelayMs - ShortestDelayMs
      const spread = name.startsWith('join.') ? ShortestDelayMs + range * random.fraction() : 0
      const quiet = publication.saidAt + QuietMs - clock.now()
      publication.cancelAnswer = clock.after(Math.max(0, quiet) + spread, () => {
        publication.cancelAnswer = undefined
        if (clock.now() < publication.saidAt + QuietMs) return
        if (publication.fragments.every(() => this.#bucket.take(clock.now()))) void this.#say(publication)
      })
    }
  }

  async #announce(publication: Publication): Promise<void> {
    const gapMs = AnnouncementGapsMs[publication.announcements]
    publication.announcements += 1
    publication.cancelAnnouncement()
    if (gapMs !== undefined) {
      publication.cancelAnnouncement = this.#options.clock.after(
        gapMs,
        () => void this.#announce(publication),
      )
    }
    await this.#say(publication)
  }

  async #say(publication: Publication, ttl: number = this.#ttlOf(publication)): Promise<void> {
    publication.saidAt = this.#options.clock.now()
    const { name, fragments } = publication
    await Promise.all(fragments.map((strings) => this.#options.say({ name, ttl, strings })))
  }

  #ttlOf({ expiresAt }: Publication): number {
    const seconds = Math.ceil((expiresAt - this.#options.clock.now()) / 1000)
    return Math.min(LongestTtl, Math.max(1, seconds))
  }

  #drop(key: string): void {
    const publication = this.#records.get(key)
    if (publication === undefined) return
    this.#records.delete(key)
    publication.cancelExpiry()
    publication.cancelAnnouncement()
    publication.cancelAnswer?.()
  }
}

function keyOf({ topic, box, sender }: RecordKey): string {
  return `${boxName(topic, box)} ${sender}`
}
