/**
 * The host's side of meeting guests who cannot connect: its own mailbox with what it shows to all, the
 * guests' mailboxes, which it finds at the inbox's meeting point, and an answer to each.
 */
import DHT from '@hyperswarm/dht'
import type { Box, SignalRecord } from '../../core/signalling-adapter.js'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import type { TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import type { HeldRecords } from './held-records.js'
import { ExchangeKey, meetingPoint, topicKey } from './keys.js'
import { Mailbox, readMailbox } from './mailbox.js'
import { MailboxWriter } from './mailbox-writer.js'
import { ShownAtATime, shuffled } from './node.js'

/** Guests that are answered at a time; the one that came first goes first. */
const MaxGuests = 256
/** Mailboxes whose keys are remembered, so that none is read twice. */
const MaxKnown = 4096
const MaxReadsAtATime = 16
const MaxReadsAPoll = 128
/** Of mailboxes that were empty before. */
const MaxRepeatedReads = 16
const MaxWatchesPerGuest = 16
const MaxJoinsPerGuest = 16
/** A mailbox may be found before it can be read. */
const MaxAttempts = 3
const PollMs = 3_000
const FloodedPollMs = 500
/** In most polls only the nodes are asked that were closest before, and in every so manieth one all. */
const FullPollEvery = 15
const PolledNodes = 5

interface Guest {
  readonly watched: ReadonlySet<Box>
  readonly joins: readonly SignalRecord[]
  readonly answers: MailboxWriter
}

export class Inbox {
  readonly #environment: TopicEnvironment
  readonly #keyPair: DHT.KeyPair
  readonly #held: HeldRecords
  readonly #onJoin: (record: SignalRecord) => void
  readonly #exchange: ExchangeKey
  readonly #target: Buffer
  readonly #sealingKey: Buffer
  readonly #own: MailboxWriter
  readonly #guests = new Map<string, Guest>()
  /** How often a mailbox was tried to be read, by its key. */
  readonly #known = new Map<string, number>()
  readonly #over = new AbortController()
  #closest: readonly DHT.Address[] = []
  #polls = 0
  #isPolling = false
  /** Ends the wait until the next poll. */
  #hurry: () => void = () => undefined

  constructor(
    environment: TopicEnvironment,
    keyPair: DHT.KeyPair,
    held: HeldRecords,
    onJoin: (record: SignalRecord) => void,
  ) {
    const { topic, node, random } = environment
    this.#environment = environment
    this.#keyPair = keyPair
    this.#held = held
    this.#onJoin = onJoin
    this.#exchange = new ExchangeKey(random)
    this.#target = meetingPoint(topic, 'inbox')
    this.#sealingKey = topicKey(topic)
    const mailbox = new Mailbox(node.dht, keyPair, this.#sealingKey, random)
    this.#own = new MailboxWriter(environment, mailbox, () => [
      { type: 'exchange', publicKey: this.#exchange.publicKey },
      ...held.frames((box) => box === 'host'),
    ])
  }

  /** What is held of a box has changed. */
  changed(box: Box): void {
    if (box === 'host') {
      if (this.#isPolling) this.#own.write()
      return
    }
    for (const { watched, answers } of this.#guests.values()) if (watched.has(box)) answers.write()
  }

  /** Stores again what the DHT may have forgotten. The first time, it begins to look for guests. */
  refresh(): void {
    this.#own.write()
    this.#closest = []
    this.#hurry()
    if (this.#isPolling) return
    this.#isPolling = true
    void this.#poll()
  }

  /** Those of the guests that are known now. */
  joins(): readonly SignalRecord[] {
    return [...this.#guests.values()].flatMap(({ joins }) => joins)
  }

  /** Ends everything here at once; resolves when our mailbox is empty. */
  async close(): Promise<void> {
    this.#over.abort()
    for (const { answers } of this.#guests.values()) answers.close()
    this.#guests.clear()
    await this.#own.empty()
  }

  async #poll(): Promise<void> {
    const { node, clock, random } = this.#environment
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: PollMs, longestMs: PollMs })
    let isFlooded = false
    try {
      for (;;) {
        await node.whenUp(signal)
        const hurried = new AbortController()
        this.#hurry = () => {
          hurried.abort()
        }
        isFlooded = await abortable(this.#look(isFlooded), signal).catch(() => false)
        const waitMs = backoff.jittered(isFlooded ? FloodedPollMs : PollMs)
        await delay(clock, waitMs, AbortSignal.any([signal, hurried.signal])).catch(() => undefined)
        signal.throwIfAborted()
      }
    } catch {
      // Closed.
    }
  }

  /**
   * Reads requests that are new; those never tried come first.
   * @returns whether there are more than were shown
   */
  async #look(isFlooded: boolean): Promise<boolean> {
    const { node, random } = this.#environment
    const isFull = isFlooded || this.#polls % FullPollEvery === 0 || this.#closest.length === 0
    this.#polls += 1
    const query = node.dht.lookup(
      this.#target,
      isFull ? {} : { nodes: this.#closest.slice(0, PolledNodes), onlyClosestNodes: true },
    )
    const found = new Map<string, Buffer>()
    let isMore = false
    for await (const { peers } of query) {
      if (peers.length >= ShownAtATime) isMore = true
      for (const { publicKey } of peers) {
        const name = publicKey.toString('hex')
        if ((this.#known.get(name) ?? 0) < MaxAttempts) found.set(name, publicKey)
      }
    }
    if (isFull) this.#closest = query.closestNodes
    const isNew = ([name]: readonly [string, Buffer]): boolean => !this.#known.has(name)
    const all = shuffled([...found], random)
    const fresh = all.filter(isNew)
    const waiting = [...fresh, ...all.filter((each) => !isNew(each)).slice(0, MaxRepeatedReads)]
      .slice(0, MaxReadsAPoll)
      .reverse()
    const reader = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        if (this.#over.signal.aborted) return
        await this.#read(...next)
      }
    }
    await Promise.all(Array.from({ length: MaxReadsAtATime }, reader))
    return isMore
  }

  async #read(name: string, guestKey: Buffer): Promise<void> {
    this.#remember(name, (this.#known.get(name) ?? 0) + 1)
    try {
      const content = await readMailbox(this.#environment.node.dht, guestKey, this.#sealingKey)
      if (content === undefined || this.#over.signal.aborted) return
      this.#remember(name, MaxAttempts)
      this.#admit(name, guestKey, content.frames)
    } catch {
      // Not a mailbox that we can read, or a DHT that does not answer now.
    }
  }

  #remember(name: string, attempts: number): void {
    this.#known.delete(name)
    this.#known.set(name, attempts)
    if (this.#known.size <= MaxKnown) return
    const [oldest] = this.#known.keys()
    if (oldest !== undefined) this.#known.delete(oldest)
  }

  #admit(name: string, guestKey: Buffer, frames: readonly Frame[]): void {
    const { topic, node, random } = this.#environment
    const [exchange] = frames.filter((frame) => frame.type === 'exchange')
    if (exchange === undefined) return
    const keys = { hostKey: this.#keyPair.publicKey, guestKey }
    const derived = this.#exchange.answerKeys(exchange.publicKey, keys)
    if (derived === undefined) return
    const boxes = frames.filter((frame) => frame.type === 'watch').map(({ box }) => box)
    const watched = new Set(boxes.slice(0, MaxWatchesPerGuest))
    const joins = frames
      .filter((frame) => frame.type === 'record')
      .filter(({ box }) => box === 'join')
      .slice(0, MaxJoinsPerGuest)
      .map(({ box, sender, bytes, expiresInMs }) => ({ topic, box, sender, bytes, expiresInMs }))
    const mailbox = new Mailbox(node.dht, DHT.keyPair(derived.seed), derived.sealingKey, random)
    const isWatched = (box: Box): boolean => box !== 'host' && watched.has(box)
    const answers = new MailboxWriter(this.#environment, mailbox, () => this.#held.frames(isWatched))
    this.#guests.set(name, { watched, joins, answers })
    if (this.#guests.size > MaxGuests) this.#forgetOldest()
    if (this.#held.frames(isWatched).length > 0) answers.write()
    for (const join of joins) this.#onJoin(join)
  }

  #forgetOldest(): void {
    const [first] = this.#guests
    if (first === undefined) return
    first[1].answers.close()
    this.#guests.delete(first[0])
  }
}
