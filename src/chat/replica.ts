/**
 * One member's copy of the room's chat (docs/protocol.md, Chat): it posts, keeps what it has on disk, brings
 * its neighbours and itself to the same log, and tells what is new and what was delivered. Sans-IO
 * (src/core/machine.ts).
 *
 * Its neighbours are the members that it has a tunnel to: the hub of a room has every guest, a guest has the
 * hub.
 */
import { Counters, TokenBucket } from '../core/bounded.js'
import { toHex, utf8 } from '../core/encoding.js'
import { DecodeError, GonetError, UsageError } from '../core/errors.js'
import { earliest, type Machine } from '../core/machine.js'
import type { Crypto, Random, Store, Wall } from '../core/ports.js'
import {
  compareEntries,
  decodeEntry,
  type Entry,
  MaxSequence,
  MaxTime,
  streamOf,
  writeEntry,
} from './entry.js'
import { Journal } from './journal.js'
import { authorOf, ChatLog } from './log.js'
import { Neighbour } from './neighbour.js'
import { type FragmentPayload, type LinesPayload, readPayload, type VectorLine } from './payload.js'
import { isEntryText, MaxTextBytes } from './text.js'
import type { Base } from './vector.js'

/** Entries kept at least, whatever the history for newcomers: for members that are away. */
const KeptEntries = 5000
/** Entries looked at, a second, of one neighbour. What is beyond is dropped; whoever sent it repeats it. */
const EntriesPerSecond = 1000
/** Floors believed of one neighbour of the hub: so many at once, and one a second. */
const FloorsAtOnce = 64
/** What came in is on disk after this at the latest. */
const FlushMs = 5
/** When a disk that failed is tried again. */
const FlushRetryMs = 5000
/** Entries wait for their parents so long at most. */
const ParentsMs = 10_000
/** An entry is late where one that belongs after it was shown so long ago or longer. */
const LateMs = 2000

export interface ChatReplicaOptions {
  readonly room: string
  readonly author: {
    /** Ed25519, 32 bytes. */
    readonly publicKey: Uint8Array
    readonly sign: (bytes: Uint8Array) => Uint8Array
  }
  /** The author's display name. */
  readonly name: string
  readonly crypto: Pick<Crypto, 'sha256' | 'verify'>
  readonly random: Random
  readonly wall: Wall
  readonly store: Store
  /** Whether entries of an author may come in from neighbours. */
  readonly accepts: (author: Uint8Array) => boolean
  /** Whether this replica is the room's hub, which decides what counts as delivered. */
  readonly hub: boolean
  /** How many entries a newcomer is given. */
  readonly historyLimit: number
}

export type ChatEvent =
  | {
      readonly type: 'message'
      /** Whether it was posted here. */
      readonly own: boolean
      readonly author: Uint8Array
      readonly id: string
      readonly name: string
      readonly text: string
      /** Whether something that belongs after it was shown before. */
      readonly late: boolean
    }
  /** Every member online has this message of ours. */
  | { readonly type: 'delivered'; readonly id: string }
  /** The log cannot be kept on disk any more; it goes on in memory. Once, until it can again. */
  | { readonly type: 'store-failed'; readonly error: GonetError }

export interface ChatTransmit {
  readonly neighbour: string
  /** At most 1000 bytes. */
  readonly payload: Uint8Array
}

/** The stream that we write. */
interface OwnStream {
  readonly incarnation: Uint8Array
  readonly name: string
  /** Whether it comes from the disk, which may have been put back to what it was once. */
  readonly isLoaded: boolean
  /** Up to where it is known to be what others have, or was on disk at the start. */
  confirmed: number
}

interface Link {
  readonly author: string
  readonly sync: Neighbour
  readonly entries: TokenBucket
  readonly floors: TokenBucket
}

export class ChatReplica implements Machine<ChatEvent, ChatTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Counters = new Counters()
  readonly #options: ChatReplicaOptions
  readonly #log: ChatLog
  readonly #journal: Journal
  readonly #self: string
  readonly #links = new Map<string, Link>()
  readonly #transmits: ChatTransmit[] = []
  readonly #events: ChatEvent[] = []
  /** Whether there is news that the disk does not have yet. */
  #hasUnkept = false
  /** The highest sequence that every member online has, by stream; a guest knows it of its own only. */
  readonly #delivered = new Map<string, number>()
  #stream: OwnStream
  readonly #recentlyShown: { readonly at: number; readonly entry: Entry }[] = []
  /** The last in the log's order of what was shown `LateMs` ago or longer. */
  #shown: Entry | undefined
  /** Texts that were posted under numbers that were used already, and are to be posted again. */
  readonly #displaced: string[] = []
  #flushAt: number | undefined
  /** When some neighbour's sync has something to do; it may be too early, never too late. */
  #syncAt: number | undefined
  #releaseAt: number | undefined
  /** Whether the disk lacks what appending cannot add. */
  #rewriteNeeded = false
  #storeFailed = false

  /** @throws GonetError `store-failed` where what was kept cannot be read */
  constructor(options: ChatReplicaOptions) {
    this.#options = options
    const { author, crypto, room, store, historyLimit } = options
    this.#log = new ChatLog({
      crypto,
      room,
      maxEntries: Math.max(historyLimit, KeptEntries),
      onChange: (stream) => {
        for (const { sync } of this.#links.values()) sync.noteChanged(stream)
      },
    })
    this.#journal = new Journal(store)
    this.#self = toHex(author.publicKey)
    this.#stream = this.#load() ?? this.#newStream()
  }

  /** Messages of ours that not every member online is known to have. */
  get undelivered(): number {
    const streams = this.#undeliveredStreams()
    return streams.reduce((count, stream) => count + this.#undeliveredOf(stream), this.#displaced.length)
  }

  /**
   * Whether everything that `pollEvent` has to tell is on disk, if there is one. Whoever waits for it, a few ms
   * at most, shows nothing a second time where this process is killed just then.
   */
  get isKept(): boolean {
    return !this.#hasUnkept
  }

  /**
   * Posts a text of 1 to 4096 bytes and returns its id. It is on disk then.
   * @throws UsageError `message-invalid`; GonetError `store-failed`. Then nothing was posted.
   */
  post(now: number, text: string): string {
    if (!isEntryText(text)) throw invalidText(text)
    const { author, crypto, name, room, wall } = this.#options
    if (this.#log.have(this.#stream.name) >= MaxSequence) this.#stream = this.#newStream()
    const { incarnation, name: stream } = this.#stream
    const wallMs = Math.min(MaxTime, Math.max(0, Math.round(wall.unixMs())))
    const content = {
      author: author.publicKey,
      incarnation,
      ...this.#log.position(stream),
      wallMs,
      name,
      text,
    }
    const entry = writeEntry(crypto, room, content, (bytes) => author.sign(bytes))
    try {
      // What comes to lie behind a torn record would be lost with it.
      if (this.#rewriteNeeded) this.#rewrite()
      if (entry.sequence === 1) this.#journal.addIncarnation(incarnation)
      this.#journal.addEntry({ bytes: entry.bytes, waits: false })
      this.#journal.flush()
    } catch (error) {
      // What waited beside it is not on disk either.
      this.#rewriteNeeded = true
      this.#flushAt ??= now + FlushMs
      throw error
    }
    this.#log.add(entry)
    this.#added(now, entry, undefined)
    this.#hasUnkept = false
    for (const { sync } of this.#links.values()) {
      sync.notePosted(now)
      this.#schedule(sync)
    }
    return entry.id
  }

  /**
   * Begins to sync with a member that a tunnel leads to; begins anew with one that is there already. Unlike a
   * removal, that delivers nothing.
   * @param id names it in transmits
   * @param publicKey the member's Ed25519 key
   */
  addNeighbour(now: number, id: string, publicKey: Uint8Array): void {
    const { hub, historyLimit } = this.#options
    const author = toHex(publicKey)
    const sync = new Neighbour(now, {
      crypto: this.#options.crypto,
      log: this.#log,
      author,
      tail: hub ? () => this.#log.tail(historyLimit) : undefined,
      deliveredOf: (stream) => {
        // The hub says it to the author, and the author says back what it knows.
        return authorOf(stream) === (hub ? author : this.#self) ? (this.#delivered.get(stream) ?? 0) : 0
      },
      undelivered: () => (hub ? [] : this.#undeliveredStreams()),
      transmit: (payload) => void this.#transmits.push({ neighbour: id, payload }),
    })
    const entries = new TokenBucket(EntriesPerSecond, EntriesPerSecond)
    this.#links.set(id, { author, sync, entries, floors: new TokenBucket(1, FloorsAtOnce) })
    this.#schedule(sync)
    this.#collect(now)
  }

  /** Forgets a member that is gone: it no longer counts for deliveries. Does nothing for an unknown one. */
  removeNeighbour(now: number, id: string): void {
    if (!this.#links.delete(id)) return
    for (const stream of this.#log.streams) this.#judgeDelivery(now, stream)
  }

  /** Takes what a neighbour sent; what is wrong with it is counted, nothing else happens. */
  handlePayload(now: number, id: string, bytes: Uint8Array): void {
    const link = this.#links.get(id)
    if (link === undefined) return
    try {
      const payload = readPayload(bytes)
      if (payload.type === 'lines') this.#handleLines(now, link, payload)
      else this.#handleFragment(now, id, link, payload)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
    this.#schedule(link.sync)
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    if (this.#releaseAt !== undefined && now >= this.#releaseAt) {
      this.#releaseAt = undefined
      this.#log.release()
    }
    // Whatever is acknowledged is on disk before, as long as there is a disk.
    if (this.#flushAt !== undefined && (!this.#storeFailed || now >= this.#flushAt)) {
      this.flush()
      if (this.#storeFailed) this.#flushAt = now + FlushRetryMs
      else this.#postDisplaced(now)
    }
    if (this.#syncAt !== undefined && now >= this.#syncAt) {
      this.#syncAt = undefined
      for (const { sync } of this.#links.values()) {
        sync.handleTimeout(now)
        this.#schedule(sync)
      }
    }
    this.#collect(now)
  }

  /** Has on disk what came in. Never throws: a disk that fails is an event. */
  flush(): void {
    this.#flushAt = undefined
    try {
      const needed = this.#log.size + 2 * this.#log.streamCount
      if (this.#rewriteNeeded || this.#journal.records > 2 * needed + 1000) this.#rewrite()
      else this.#journal.flush()
      this.#storeFailed = false
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      if (!this.#storeFailed) this.#events.push({ type: 'store-failed', error })
      this.#storeFailed = true
      this.#rewriteNeeded = true
    }
    this.#hasUnkept = false
  }

  pollTransmit(): ChatTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): ChatEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(this.#flushAt, this.#releaseAt, this.#syncAt)
  }

  #handleLines(now: number, link: Link, payload: LinesPayload): void {
    for (const line of payload.lines) {
      const { stream, floor, delivered } = line
      this.#compareOwn(now, line)
      if (floor !== undefined) this.#takeFloor(now, link, stream, floor)
      if (!this.#options.hub) {
        if (authorOf(stream) === this.#self) this.#setDelivered(now, stream, delivered)
      } else if (authorOf(stream) === link.author && delivered < (this.#delivered.get(stream) ?? 0)) {
        link.sync.noteNews(now, stream)
      }
    }
    const learnt = link.sync.handleLines(now, payload)
    for (const { stream } of payload.lines) this.#judgeDelivery(now, stream)
    if (payload.digest !== this.#log.digest) return
    this.#log.release()
    for (const stream of learnt) this.#judgeDelivery(now, stream)
  }

  #schedule(sync: Neighbour): void {
    this.#syncAt = earliest(this.#syncAt, sync.pollTimeout())
  }

  #handleFragment(now: number, id: string, link: Link, payload: FragmentPayload): void {
    const bytes = link.sync.handleFragment(payload)
    if (bytes === undefined) return
    if (!link.entries.take(now)) {
      this.counters.count('chat-rate')
      return
    }
    const entry = decodeEntry(this.#options.crypto, bytes)
    if (!entry.hash.startsWith(payload.entry)) {
      this.counters.count('chat-fragments')
      return
    }
    const own = toHex(entry.author) === this.#self
    if (!own && !this.#options.accepts(entry.author)) {
      this.counters.count('chat-author-unknown')
      return
    }
    const verdict = this.#log.receive(entry)
    if (verdict !== 'added' && verdict !== 'known') {
      this.counters.count(verdict)
      // Its author may have lost what is here: it is to see that.
      if (verdict === 'chat-entry-fork' && toHex(entry.author) === link.author) {
        link.sync.noteNews(now, entry.stream)
      }
      return
    }
    link.sync.noteReceived(now, entry)
    if (verdict === 'known') {
      this.#judgeDelivery(now, entry.stream)
      return
    }
    this.#journal.addEntry({ bytes: entry.bytes, waits: this.#log.admitted(entry.stream) < entry.sequence })
    if (entry.stream === this.#stream.name) {
      // Signed by us, and not here: proof that this is not all that we wrote. What it follows is known there.
      if (entry.sequence <= this.#log.have(entry.stream)) this.#stream.confirmed = entry.sequence
      this.#loseStream(now)
    }
    this.#added(now, entry, id)
    if (this.#log.isWaiting) link.sync.askSoon(now)
  }

  /** After an entry has come, from a neighbour or from here. */
  #added(now: number, added: Entry, from: string | undefined): void {
    const { stream } = added
    this.#flushAt ??= now + FlushMs
    for (const [id, { sync }] of this.#links) {
      if (id === from) continue
      sync.noteAdded(now, stream)
      this.#schedule(sync)
    }
    this.#judgeDelivery(now, stream)
    this.#collect(now, added)
  }

  /** @param added what has come just now, if anything has: others that are admitted had to wait */
  #collect(now: number, added?: Entry): void {
    this.#releaseAt = this.#log.isWaiting ? (this.#releaseAt ?? now + ParentsMs) : undefined
    for (let entry = this.#log.pollAdmitted(); entry !== undefined; entry = this.#log.pollAdmitted()) {
      const { author, id, name, text } = entry
      if (entry !== added) {
        this.#journal.addShown(entry.stream, entry.sequence)
        this.#flushAt ??= now + FlushMs
      }
      this.#hasUnkept = this.#flushAt !== undefined && !this.#storeFailed
      const own = toHex(author) === this.#self
      this.#events.push({ type: 'message', own, author, id, name, text, late: this.#isLate(now, entry) })
    }
  }

  #isLate(now: number, entry: Entry): boolean {
    const recent = this.#recentlyShown.findIndex(({ at }) => now - at < LateMs)
    for (const { entry: old } of this.#recentlyShown.splice(0, recent < 0 ? Infinity : recent)) {
      if (this.#shown === undefined || compareEntries(old, this.#shown) > 0) this.#shown = old
    }
    this.#recentlyShown.push({ at: now, entry })
    return this.#shown !== undefined && compareEntries(entry, this.#shown) < 0
  }

  #undeliveredStreams(): readonly string[] {
    return Array.from(this.#log.streams).filter(
      (stream) => authorOf(stream) === this.#self && this.#undeliveredOf(stream) > 0,
    )
  }

  /** What was trimmed counts no more. */
  #undeliveredOf(stream: string): number {
    const settled = Math.max(this.#delivered.get(stream) ?? 0, this.#log.base(stream)?.sequence ?? 0)
    return Math.max(0, this.#log.have(stream) - settled)
  }

  /** The hub: whether more of a stream is now with every member online. */
  #judgeDelivery(now: number, stream: string): void {
    if (!this.#options.hub) return
    const author = authorOf(stream)
    const before = this.#delivered.get(stream) ?? 0
    let have = this.#log.have(stream)
    // Of a guest's message the hub itself is a reader; of its own it needs another.
    let isRead = author !== this.#self
    for (const link of this.#links.values()) {
      if (have <= before) return
      if (link.author === author) continue
      isRead = true
      have = Math.min(have, link.sync.have(stream))
    }
    if (isRead) this.#setDelivered(now, stream, have)
  }

  #setDelivered(now: number, stream: string, sequence: number): void {
    const before = this.#delivered.get(stream) ?? 0
    if (sequence <= before || sequence > this.#log.have(stream)) return
    this.#delivered.set(stream, sequence)
    if (authorOf(stream) !== this.#self) {
      for (const { author, sync } of this.#links.values()) {
        if (author !== authorOf(stream)) continue
        sync.noteNews(now, stream)
        this.#schedule(sync)
      }
      return
    }
    this.#journal.addDelivered(stream, sequence)
    this.#flushAt ??= now + FlushMs
    const first = Math.max(before, this.#log.base(stream)?.sequence ?? 0) + 1
    for (let each = first; each <= sequence; each += 1) {
      const entry = this.#log.entry(stream, each)
      if (entry !== undefined) this.#events.push({ type: 'delivered', id: entry.id })
    }
  }

  /**
   * Where another has more of the stream that we write than we have, or something else, our state is not what
   * it was. That another says so is no proof: of streams that began after the start, it cannot be.
   */
  #compareOwn(now: number, { stream, have, head }: VectorLine): void {
    if (stream !== this.#stream.name) return
    const ours = this.#log.hash(stream, have)
    if (ours?.startsWith(head) === true) this.#stream.confirmed = Math.max(this.#stream.confirmed, have)
    else if (this.#stream.isLoaded && (ours !== undefined || have > this.#log.have(stream)))
      this.#loseStream(now)
  }

  /** Leaves the stream that we write to whoever has more of it, and takes what only we have to a new one. */
  #loseStream(now: number): void {
    const { name } = this.#stream
    const have = this.#log.have(name)
    const confirmed = Math.max(this.#stream.confirmed, this.#log.base(name)?.sequence ?? 0)
    for (let sequence = confirmed + 1; sequence <= have; sequence += 1) {
      const entry = this.#log.entry(name, sequence)
      if (entry !== undefined) this.#displaced.push(entry.text)
    }
    this.#log.truncate(name, confirmed)
    this.#stream = this.#newStream()
    this.#rewriteNeeded = true
    this.#flushAt ??= now + FlushMs
  }

  #postDisplaced(now: number): void {
    for (let text = this.#displaced[0]; text !== undefined; text = this.#displaced[0]) {
      try {
        this.post(now, text)
      } catch (error) {
        if (!(error instanceof GonetError)) throw error
        return
      }
      this.#displaced.shift()
    }
  }

  #takeFloor(now: number, link: Link, stream: string, floor: Base): void {
    if (floor.sequence <= this.#log.have(stream)) return
    // A guest cannot make the hub give up what others wrote, nor drive its time on.
    if (this.#options.hub) {
      if (authorOf(stream) !== link.author || !this.#log.isNear(floor.lamport)) return
      if (!link.floors.take(now)) {
        this.counters.count('chat-rate')
        return
      }
    }
    if (!this.#log.skipTo(stream, floor)) return
    this.#journal.addBase(stream, floor)
    this.#flushAt ??= now + FlushMs
    if (stream === this.#stream.name) this.#stream = this.#newStream()
    for (const each of this.#links.values()) {
      if (each === link) continue
      each.sync.noteAdded(now, stream)
      this.#schedule(each.sync)
    }
  }

  #rewrite(): void {
    const own = Array.from(this.#delivered).filter(([stream]) => authorOf(stream) === this.#self)
    this.#journal.rewrite({
      entries: this.#log.entries.map(({ bytes, stream, sequence }) => ({
        bytes,
        waits: sequence > this.#log.admitted(stream),
      })),
      bases: this.#log.bases,
      delivered: new Map(own),
      incarnation: this.#log.have(this.#stream.name) > 0 ? this.#stream.incarnation : undefined,
    })
    this.#rewriteNeeded = false
  }

  #load(): OwnStream | undefined {
    const { entries, shown, bases, delivered, incarnation } = this.#journal.load()
    for (const [stream, base] of bases) this.#log.skipTo(stream, base)
    const seen = new Map(shown)
    const restored = entries.flatMap(({ bytes, waits }) => {
      const entry = this.#decodeKept(bytes)
      if (entry === undefined) return []
      const { stream, sequence } = entry
      if (!waits) seen.set(stream, Math.max(seen.get(stream) ?? 0, sequence))
      return [entry]
    })
    // What was shown before is not shown again; what waited is.
    this.#log.restore(restored, (stream) => seen.get(stream) ?? 0)
    for (const [stream, sequence] of delivered) this.#delivered.set(stream, sequence)
    if (incarnation === undefined) return undefined
    const name = streamOf(this.#options.author.publicKey, incarnation)
    return { incarnation, name, isLoaded: true, confirmed: this.#log.have(name) }
  }

  #decodeKept(bytes: Uint8Array): Entry | undefined {
    try {
      return decodeEntry(this.#options.crypto, bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
      return undefined
    }
  }

  #newStream(): OwnStream {
    const incarnation = this.#options.random.bytes(8)
    const name = streamOf(this.#options.author.publicKey, incarnation)
    return { incarnation, name, isLoaded: false, confirmed: 0 }
  }
}

function invalidText(text: string): UsageError {
  const bytes = utf8(text).length
  const isSize = bytes < 1 || bytes > MaxTextBytes
  return new UsageError('message-invalid', `A message is 1 to ${MaxTextBytes} bytes of text`, {
    advice: isSize ? `This one has ${bytes}` : 'This one has half of a character in it',
  })
}
