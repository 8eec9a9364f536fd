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
import { compareEntries, decodeEntry, type Entry, streamOf, writeEntry } from './entry.js'
import { Journal } from './journal.js'
import { authorOf, ChatLog } from './log.js'
import { Neighbour } from './neighbour.js'
import { type FragmentPayload, type LinesPayload, readPayload } from './payload.js'
import { isEntryText, MaxTextBytes } from './text.js'
import { digestOf } from './vector.js'

/** Entries kept at least, whatever the history for newcomers: for members that are away. */
const KeptEntries = 5000
/** Entries looked at, a second, of one neighbour. What is beyond is dropped; whoever sent it repeats it. */
const EntriesPerSecond = 1000
/** What came in is on disk after this at the latest. */
const FlushMs = 5
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
}

interface Link {
  readonly author: string
  readonly sync: Neighbour
  readonly bucket: TokenBucket
}

export class ChatReplica implements Machine<ChatEvent, ChatTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Counters = new Counters()
  readonly #options: ChatReplicaOptions
  readonly #log: ChatLog
  readonly #journal: Journal
  readonly #self: string
  readonly #emptyDigest: string
  readonly #links = new Map<string, Link>()
  readonly #transmits: ChatTransmit[] = []
  readonly #events: ChatEvent[] = []
  /** The highest sequence that every member online has, by stream; a guest knows it of its own only. */
  readonly #delivered = new Map<string, number>()
  #stream: OwnStream
  readonly #recentlyShown: { readonly at: number; readonly entry: Entry }[] = []
  /** The last in the log's order of what was shown `LateMs` ago or longer. */
  #shown: Entry | undefined
  #flushAt: number | undefined
  #releaseAt: number | undefined
  /** Whether the disk lacks what appending cannot add. */
  #rewriteNeeded = false
  #storeFailed = false

  /** @throws GonetError `store-failed` where what was kept cannot be read */
  constructor(options: ChatReplicaOptions) {
    this.#options = options
    const { author, crypto, room, store, historyLimit } = options
    this.#log = new ChatLog({ crypto, room, maxEntries: Math.max(historyLimit, KeptEntries) })
    this.#journal = new Journal(store)
    this.#self = toHex(author.publicKey)
    this.#emptyDigest = digestOf(crypto, [])
    this.#stream = this.#load() ?? this.#newStream()
  }

  /** Messages of ours that not every member online is known to have. */
  get undelivered(): number {
    return this.#undeliveredStreams().reduce((count, stream) => count + this.#undeliveredOf(stream), 0)
  }

  /**
   * Posts a text of 1 to 4096 bytes and returns its id. It is on disk then.
   * @throws UsageError `message-invalid`; GonetError `store-failed`. Then nothing was posted.
   */
  post(now: number, text: string): string {
    if (!isEntryText(text)) {
      throw new UsageError('message-invalid', 'A message is 1 to 4096 bytes of text', {
        advice: `This one has ${utf8(text).length}; ${MaxTextBytes} is the most`,
      })
    }
    const { author, crypto, name, room, wall } = this.#options
    const { incarnation, name: stream } = this.#stream
    const have = this.#log.have(stream)
    const previous = this.#log.entry(stream, have)?.hash ?? this.#log.base(stream)?.hash
    const { parents, lamport } = this.#log.position()
    const content = {
      author: author.publicKey,
      incarnation,
      sequence: have + 1,
      previous,
      parents: parents.filter((parent) => parent !== previous),
      lamport,
      wallMs: Math.max(0, Math.round(wall.unixMs())),
      name,
      text,
    }
    const entry = writeEntry(crypto, room, content, (bytes) => author.sign(bytes))
    if (have === 0) this.#journal.addIncarnation(incarnation)
    this.#journal.addEntry(entry.bytes)
    this.#journal.flush()
    this.#log.add(entry)
    this.#added(now, entry, undefined)
    for (const { sync } of this.#links.values()) sync.notePosted(now)
    return entry.id
  }

  /**
   * Begins to sync with a member that a tunnel leads to.
   * @param id names it in transmits
   * @param publicKey the member's Ed25519 key
   */
  addNeighbour(now: number, id: string, publicKey: Uint8Array): void {
    const { hub, historyLimit } = this.#options
    const author = toHex(publicKey)
    const sync = new Neighbour(now, {
      log: this.#log,
      emptyDigest: this.#emptyDigest,
      tail: hub ? () => this.#log.tail(historyLimit) : undefined,
      deliveredOf: (stream) => {
        // The hub says it to the author, and the author says back what it knows.
        return authorOf(stream) === (hub ? author : this.#self) ? (this.#delivered.get(stream) ?? 0) : 0
      },
      undelivered: () => (hub ? [] : this.#undeliveredStreams()),
      transmit: (payload) => void this.#transmits.push({ neighbour: id, payload }),
    })
    this.#links.set(id, { author, sync, bucket: new TokenBucket(EntriesPerSecond, EntriesPerSecond) })
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
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    if (this.#releaseAt !== undefined && now >= this.#releaseAt) this.#log.release()
    // Whatever is acknowledged is on disk before.
    if (this.#flushAt !== undefined) this.flush()
    for (const { sync } of this.#links.values()) sync.handleTimeout(now)
    this.#collect(now)
  }

  /** Has on disk what came in. Never throws: a disk that fails is an event. */
  flush(): void {
    this.#flushAt = undefined
    try {
      if (this.#rewriteNeeded || this.#journal.records > 2 * this.#log.size + 1000) this.#rewrite()
      else this.#journal.flush()
      this.#storeFailed = false
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      if (!this.#storeFailed) this.#events.push({ type: 'store-failed', error })
      this.#storeFailed = true
      this.#rewriteNeeded = true
    }
  }

  pollTransmit(): ChatTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): ChatEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const links = Array.from(this.#links.values(), ({ sync }) => sync.pollTimeout())
    return earliest(this.#flushAt, this.#releaseAt, ...links)
  }

  #handleLines(now: number, link: Link, payload: LinesPayload): void {
    for (const { stream, floor, delivered } of payload.lines) {
      const isTrusted = !this.#options.hub || authorOf(stream) === link.author
      // A guest cannot make the hub give up what others wrote.
      if (floor !== undefined && isTrusted && this.#log.skipTo(stream, floor)) {
        this.#rewriteNeeded = true
        this.#flushAt ??= now + FlushMs
      }
      if (!this.#options.hub) {
        if (authorOf(stream) === this.#self) this.#setDelivered(now, stream, delivered)
      } else if (authorOf(stream) === link.author && delivered < (this.#delivered.get(stream) ?? 0)) {
        link.sync.noteNews(now, stream)
      }
    }
    link.sync.handleLines(now, payload)
    for (const { stream, have } of payload.lines) {
      this.#judgeDelivery(now, stream)
      if (have > this.#log.have(stream)) this.#noticeLostState(stream)
    }
    if (payload.digest !== this.#log.digest) return
    this.#log.release()
    for (const stream of this.#log.streams) this.#judgeDelivery(now, stream)
  }

  #handleFragment(now: number, id: string, link: Link, payload: FragmentPayload): void {
    const bytes = link.sync.handleFragment(payload)
    if (bytes === undefined) return
    if (!link.bucket.take(now)) {
      this.counters.count('chat-rate')
      return
    }
    const entry = decodeEntry(this.#options.crypto, bytes)
    if (!entry.hash.startsWith(payload.entry)) {
      this.counters.count('chat-fragments')
      return
    }
    if (!this.#options.accepts(entry.author)) {
      this.counters.count('chat-author-unknown')
      return
    }
    const verdict = this.#log.receive(entry)
    if (verdict !== 'added' && verdict !== 'known') {
      this.counters.count(verdict)
      return
    }
    link.sync.noteReceived(now, entry.stream, entry.sequence)
    if (verdict === 'known') return
    this.#journal.addEntry(entry.bytes)
    this.#added(now, entry, id)
    this.#noticeLostState(entry.stream)
    if (this.#log.isWaiting) link.sync.askSoon(now)
  }

  /** After an entry has come, from a neighbour or from here. */
  #added(now: number, { stream }: Entry, from: string | undefined): void {
    this.#flushAt ??= now + FlushMs
    for (const [id, { sync }] of this.#links) if (id !== from) sync.noteAdded(now, stream)
    this.#judgeDelivery(now, stream)
    this.#collect(now)
  }

  #collect(now: number): void {
    this.#releaseAt = this.#log.isWaiting ? (this.#releaseAt ?? now + ParentsMs) : undefined
    for (let entry = this.#log.pollAdmitted(); entry !== undefined; entry = this.#log.pollAdmitted()) {
      const { author, id, name, text } = entry
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
    const readers = Array.from(this.#links.values()).filter((link) => link.author !== author)
    // Of a guest's message the hub itself is a reader; of its own it needs another.
    if (readers.length === 0 && author === this.#self) return
    const have = Math.min(this.#log.have(stream), ...readers.map(({ sync }) => sync.have(stream)))
    this.#setDelivered(now, stream, have)
  }

  #setDelivered(now: number, stream: string, sequence: number): void {
    const before = this.#delivered.get(stream) ?? 0
    if (sequence <= before || sequence > this.#log.have(stream)) return
    this.#delivered.set(stream, sequence)
    if (authorOf(stream) !== this.#self) {
      for (const { author, sync } of this.#links.values()) {
        if (author === authorOf(stream)) sync.noteNews(now, stream)
      }
      return
    }
    this.#journal.addDelivered(stream, sequence)
    this.#flushAt ??= now + FlushMs
    for (let each = before + 1; each <= sequence; each += 1) {
      const entry = this.#log.entry(stream, each)
      if (entry !== undefined) this.#events.push({ type: 'delivered', id: entry.id })
    }
  }

  /**
   * Where another has more of the stream that we write than we had, our state is not what it was: that
   * stream's numbers are not ours to use any more.
   */
  #noticeLostState(stream: string): void {
    if (stream === this.#stream.name) this.#stream = this.#newStream()
  }

  #rewrite(): void {
    const own = Array.from(this.#delivered).filter(([stream]) => authorOf(stream) === this.#self)
    this.#journal.rewrite({
      entries: this.#log.entries.map(({ bytes }) => bytes),
      bases: this.#log.bases,
      delivered: new Map(own),
      incarnation: this.#log.have(this.#stream.name) > 0 ? this.#stream.incarnation : undefined,
    })
    this.#rewriteNeeded = false
  }

  #load(): OwnStream | undefined {
    const { entries, bases, delivered, incarnation } = this.#journal.load()
    for (const [stream, base] of bases) this.#log.skipTo(stream, base)
    for (const bytes of entries) this.#restore(bytes)
    this.#log.release()
    // What was shown before is not shown again.
    while (this.#log.pollAdmitted() !== undefined);
    for (const [stream, sequence] of delivered) this.#delivered.set(stream, sequence)
    if (incarnation === undefined) return undefined
    return { incarnation, name: streamOf(this.#options.author.publicKey, incarnation) }
  }

  #restore(bytes: Uint8Array): void {
    try {
      this.#log.restore(decodeEntry(this.#options.crypto, bytes))
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
  }

  #newStream(): OwnStream {
    const incarnation = this.#options.random.bytes(8)
    return { incarnation, name: streamOf(this.#options.author.publicKey, incarnation) }
  }
}
