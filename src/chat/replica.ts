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
import { Deliveries, type Reader } from './deliveries.js'
import { authorOf, decodeEntry, type Entry, MaxSequence, MaxTime, writeEntry } from './entry.js'
import { KeptLog } from './kept-log.js'
import { Lateness } from './lateness.js'
import { ChatLog } from './log.js'
import { Neighbour } from './neighbour.js'
import { OwnStream } from './own-stream.js'
import { type FragmentPayload, type LinesPayload, readPayload } from './payload.js'
import type { ChatEvent, ChatReplicaOptions, ChatTransmit } from './replica-interface.js'
import { isEntryText, MaxTextBytes } from './text.js'
import type { Base } from './vector.js'

export type { ChatEvent, ChatReplicaOptions, ChatTransmit } from './replica-interface.js'

/** Entries kept at least, whatever the history for newcomers: for members that are away. */
const KeptEntries = 5000
/** Entries looked at, a second, of one neighbour. What is beyond is dropped; whoever sent it repeats it. */
const EntriesPerSecond = 1000
/** Floors believed of one neighbour of the hub: so many at once, and one a second. */
const FloorsAtOnce = 64
/** Entries wait for their parents so long at most. */
const ParentsMs = 10_000

interface Link extends Reader {
  readonly sync: Neighbour
  readonly entries: TokenBucket
  readonly floors: TokenBucket
}

export class ChatReplica implements Machine<ChatEvent, ChatTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Counters = new Counters()
  readonly #options: ChatReplicaOptions
  readonly #log: ChatLog
  readonly #kept: KeptLog
  readonly #self: string
  readonly #links = new Map<string, Link>()
  readonly #deliveries: Deliveries
  readonly #lateness = new Lateness()
  readonly #transmits: ChatTransmit[] = []
  readonly #events: ChatEvent[] = []
  #stream: OwnStream
  /** Texts that were posted under numbers that were used already, and are to be posted again. */
  readonly #displaced: string[] = []
  /** When some neighbour's sync has something to do; it may be too early, never too late. */
  #syncAt: number | undefined
  #releaseAt: number | undefined

  /** @throws GonetError `store-failed` where what was kept cannot be read */
  constructor(options: ChatReplicaOptions) {
    this.#options = options
    const { author, crypto, room, store, historyLimit } = options
    this.#self = toHex(author.publicKey)
    this.#log = new ChatLog({
      crypto,
      room,
      maxEntries: Math.max(historyLimit, KeptEntries),
      onChange: (stream) => {
        for (const { sync } of this.#links.values()) sync.noteChanged(stream)
      },
    })
    this.#deliveries = new Deliveries(this.#log, this.#self, this.#links)
    this.#kept = new KeptLog({
      store,
      log: this.#log,
      beside: () => ({
        delivered: this.#deliveries.own,
        incarnation: this.#log.have(this.#stream.name) > 0 ? this.#stream.incarnation : undefined,
      }),
    })
    const { delivered, incarnation } = this.#kept.load((bytes) => this.#decodeKept(bytes))
    this.#deliveries.restore(delivered)
    this.#stream =
      incarnation === undefined
        ? this.#newStream()
        : OwnStream.resume(author.publicKey, incarnation, this.#log)
  }

  /** Messages of ours that not every member online is known to have. */
  get undelivered(): number {
    return this.#deliveries.undelivered + this.#displaced.length
  }

  /**
   * Whether everything that `pollEvent` has to tell is on disk, if there is one. Whoever waits for it, a few ms
   * at most, shows nothing a second time where this process is killed just then.
   */
  get isKept(): boolean {
    return this.#kept.isKept
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
    this.#kept.addOwn(now, entry)
    this.#log.add(entry)
    this.#added(now, entry, undefined)
    this.#kept.noteKept()
    for (const { sync } of this.#links.values()) {
      sync.notePosted(now, entry)
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
        return authorOf(stream) === (hub ? author : this.#self) ? this.#deliveries.of(stream) : 0
      },
      undelivered: () => (hub ? [] : this.#deliveries.undeliveredStreams),
      transmit: (payload) => void this.#transmits.push({ neighbour: id, payload }),
    })
    this.#links.set(id, {
      author,
      sync,
      have: (stream) => sync.have(stream),
      entries: new TokenBucket(EntriesPerSecond, EntriesPerSecond),
      floors: new TokenBucket(1, FloorsAtOnce),
    })
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
    if (this.#kept.handleTimeout(now, this.#noteStoreFailed) === true) this.#postDisplaced(now)
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
    this.#kept.flush(this.#noteStoreFailed)
  }

  pollTransmit(): ChatTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): ChatEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(this.#kept.pollTimeout(), this.#releaseAt, this.#syncAt)
  }

  #handleLines(now: number, link: Link, payload: LinesPayload): void {
    for (const line of payload.lines) {
      const { stream, floor, delivered } = line
      if (this.#stream.isLostBy(line, this.#log)) this.#loseStream(now)
      if (floor !== undefined) this.#takeFloor(now, link, stream, floor)
      if (!this.#options.hub) {
        if (authorOf(stream) === this.#self) this.#setDelivered(now, stream, delivered)
      } else if (authorOf(stream) === link.author && delivered < this.#deliveries.of(stream)) {
        link.sync.noteNews(now, stream)
      }
    }
    const learnt = link.sync.handleLines(now, payload)
    for (const { stream } of payload.lines) this.#judgeDelivery(now, stream)
    if (payload.digest !== this.#log.digest) return
    this.#log.release()
    for (const stream of learnt) this.#judgeDelivery(now, stream)
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
    if (authorOf(entry.stream) !== this.#self && !this.#options.accepts(entry.author)) {
      this.counters.count('chat-author-unknown')
      return
    }
    const verdict = this.#log.receive(entry)
    if (verdict !== 'added' && verdict !== 'known') {
      this.counters.count(verdict)
      // Its author may have lost what is here: it is to see that.
      if (verdict === 'chat-entry-fork' && authorOf(entry.stream) === link.author) {
        link.sync.noteNews(now, entry.stream)
      }
      return
    }
    link.sync.noteReceived(now, entry)
    if (verdict === 'known') {
      this.#judgeDelivery(now, entry.stream)
      return
    }
    this.#kept.addEntry(now, entry)
    if (entry.stream === this.#stream.name) {
      // Signed by us, and not here: proof that this is not all that we wrote.
      this.#stream.noteReturned(entry, this.#log)
      this.#loseStream(now)
    }
    this.#added(now, entry, id)
    if (this.#log.isWaiting) link.sync.askSoon(now)
  }

  /** After an entry has come, from a neighbour or from here. */
  #added(now: number, added: Entry, from: string | undefined): void {
    const { stream } = added
    this.#kept.noteNews(now)
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
      const { author, id, name, text, stream } = entry
      if (entry !== added) this.#kept.addShown(now, entry)
      this.#kept.noteToTell()
      const own = authorOf(stream) === this.#self
      const late = this.#lateness.show(now, entry)
      this.#events.push({ type: 'message', own, author, id, name, text, late })
    }
  }

  #schedule(sync: Neighbour): void {
    this.#syncAt = earliest(this.#syncAt, sync.pollTimeout())
  }

  /** The hub: whether more of a stream is now with every member online. */
  #judgeDelivery(now: number, stream: string): void {
    if (this.#options.hub) this.#setDelivered(now, stream, this.#deliveries.judge(stream))
  }

  #setDelivered(now: number, stream: string, sequence: number): void {
    if (sequence <= this.#deliveries.of(stream) || sequence > this.#log.have(stream)) return
    for (const id of this.#deliveries.set(stream, sequence)) this.#events.push({ type: 'delivered', id })
    if (authorOf(stream) === this.#self) {
      this.#kept.addDelivered(now, stream, sequence)
      return
    }
    for (const { author, sync } of this.#links.values()) {
      if (author !== authorOf(stream)) continue
      sync.noteNews(now, stream)
      this.#schedule(sync)
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
    this.#kept.addBase(now, stream, floor)
    if (stream === this.#stream.name) this.#stream = this.#newStream()
    for (const each of this.#links.values()) {
      if (each === link) continue
      each.sync.noteAdded(now, stream)
      this.#schedule(each.sync)
    }
  }

  /** Leaves the stream that we write to whoever has more of it, and takes what only we have to a new one. */
  #loseStream(now: number): void {
    this.#displaced.push(...this.#stream.giveUp(this.#log))
    this.#stream = this.#newStream()
    this.#kept.needRewrite(now)
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

  #newStream(): OwnStream {
    return OwnStream.begin(this.#options.author.publicKey, this.#options.random)
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

  readonly #noteStoreFailed = (error: GonetError): void => {
    this.#events.push({ type: 'store-failed', error })
  }
}

function invalidText(text: string): UsageError {
  const bytes = utf8(text).length
  const isSize = bytes < 1 || bytes > MaxTextBytes
  return new UsageError('message-invalid', `A message is 1 to ${MaxTextBytes} bytes of text`, {
    advice: isSize ? `This one has ${bytes}` : 'This one has half of a character in it',
  })
}
