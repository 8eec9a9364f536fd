/**
 * The side that finds: it looks for hosts at the topic's meeting point, connects to them, hands its joins
 * over, and reports what they show. Hosts that no connection can be made to it meets by mailboxes.
 */
import { SignallingError } from '../../core/errors.js'
import type { Box, SignalRecord } from '../../core/signalling-adapter.js'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import { Candidates } from './candidates.js'
import type { OnRecord, TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import { Gate } from './gate.js'
import { HeldRecords } from './held-records.js'
import { HostLink } from './host-link.js'
import { HostMailbox } from './host-mailbox.js'
import { meetingPoint, topicKey } from './keys.js'
import { ShownAtATime } from './node.js'
import { Request } from './request.js'

/** Hosts at a time, connected or being tried. */
const MaxHosts = 24
/** Connections that came about; the others are left for trying. */
const MaxConnected = 16
const MaxMailboxes = 16
/** A connected host that has shown nothing to a guest who waits makes room for others after so long. */
const PatienceMs = 5_000
/** How long connections have before mailboxes are used beside them. */
const HeadStartMs = 2_000
const FirstLookupMs = 1_000
const LongestLookupMs = 30_000
/** Where there are more hosts than a lookup shows. */
const FloodedLookupMs = 500
/** Lookups before they become rare. */
const FrequentLookups = 20

interface Host {
  readonly key: Buffer
  readonly link: HostLink | undefined
  mailbox: HostMailbox | undefined
  cancelHeadStart: () => void
}

interface Join {
  readonly record: SignalRecord
  readonly taken: Gate
  readonly givenUp: AbortController
}

export class TopicGuest {
  readonly #environment: TopicEnvironment
  readonly #isOwn: (hostKey: Buffer) => boolean
  readonly #onIdle: () => void
  readonly #target: Buffer
  readonly #listeners = new Map<Box, Set<OnRecord>>()
  readonly #joins = new Map<string, Join>()
  readonly #held: HeldRecords
  readonly #candidates: Candidates
  readonly #hosts = new Map<string, Host>()
  readonly #firstRead = new Gate()
  readonly #over = new AbortController()
  readonly #farewells = new Set<Promise<void>>()
  #request: Request | undefined
  #cancelRequest: (() => void) | undefined
  #isHeadStartOver = false

  /**
   * Starts looking for hosts.
   * @param isOwn whether a host is ourselves
   * @param onIdle nobody wants anything of it any more
   */
  constructor(environment: TopicEnvironment, isOwn: (hostKey: Buffer) => boolean, onIdle: () => void) {
    this.#environment = environment
    this.#isOwn = isOwn
    this.#onIdle = onIdle
    const { topic, clock, random } = environment
    this.#target = meetingPoint(topic, 'host')
    this.#candidates = new Candidates(clock, random)
    this.#held = new HeldRecords(clock, ({ sender }) => {
      this.#giveUp(sender, new SignallingError('record-expired', 'the record expired before a host took it'))
    })
    this.#isHeadStartOver = !environment.connects
    void this.#search().catch(() => undefined)
  }

  /** Reports what hosts show of a box. Resolves when we have looked for hosts, or found one. */
  async watch(box: Box, onRecord: OnRecord, signal: AbortSignal): Promise<void> {
    const others = this.#listeners.get(box)
    if (others === undefined) {
      this.#listeners.set(box, new Set([onRecord]))
      if (box !== 'host') this.#changed()
    } else {
      others.add(onRecord)
    }
    // A host shows all that it has, once more to those who were here before.
    for (const { link, mailbox } of this.#hosts.values()) {
      if (link?.isGreeted === true) link.send({ type: 'watch', box })
      mailbox?.repeat()
    }
    await this.#firstRead.passed(AbortSignal.any([signal, this.#over.signal]))
  }

  unwatch(box: Box, onRecord: OnRecord): void {
    const listeners = this.#listeners.get(box)
    listeners?.delete(onRecord)
    if (listeners?.size === 0) this.#listeners.delete(box)
    this.#checkIdle()
  }

  /**
   * Hands a join to every host that there is, and to those that come. Resolves when one has taken it, or it
   * lies in the DHT. On abort before that, it is taken back.
   * @throws SignallingError `record-expired`; the signal's reason
   */
  async publish(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { sender, expiresInMs } = record
    this.#giveUp(sender, new SignallingError('replaced', 'a newer record took its place'))
    const join: Join = { record, taken: new Gate(), givenUp: new AbortController() }
    this.#joins.set(sender, join)
    this.#held.put(record)
    const frame: Frame = { type: 'record', box: 'join', sender, expiresInMs, bytes: record.bytes }
    for (const { link } of this.#hosts.values()) if (link?.isGreeted === true) link.send(frame)
    this.#changed()
    try {
      await join.taken.passed(AbortSignal.any([signal, join.givenUp.signal, this.#over.signal]))
    } catch (error) {
      if (this.#joins.get(sender) === join) this.retract(sender)
      throw error
    }
  }

  retract(sender: string): void {
    this.#giveUp(sender, new SignallingError('retracted', 'the record was retracted'))
    if (this.#request?.senders.has(sender) === true) this.#changed()
  }

  /** Ends everything here at once; resolves when the DHT has been told, which may take long. */
  async close(): Promise<void> {
    this.#over.abort(new SignallingError('adapter-closed', 'the dht adapter was closed'))
    this.#cancelRequest?.()
    for (const host of this.#hosts.values()) leave(host)
    this.#hosts.clear()
    this.#held.clear()
    this.#dropRequest()
    await Promise.allSettled(this.#farewells)
  }

  async #search(): Promise<void> {
    const { node, clock, random } = this.#environment
    const { signal } = this.#over
    const limits = { firstMs: FirstLookupMs, longestMs: LongestLookupMs }
    const backoff = new Backoff(random, limits)
    for (let lookups = 0; ; lookups++) {
      // Before anybody has answered, we do not know our own address, and connecting would take longer.
      await node.whenUp(signal)
      const found = await abortable(this.#lookUp(), signal).catch(() => undefined)
      signal.throwIfAborted()
      if (found !== undefined || lookups > 0) this.#firstRead.open()
      const isFlooded = found?.isMore === true
      const isFrequent = isFlooded || lookups < FrequentLookups
      const frequentMs = isFlooded ? FloodedLookupMs : FirstLookupMs
      await delay(clock, isFrequent ? backoff.jittered(frequentMs) : backoff.next(), signal)
      this.#tryMore()
    }
  }

  /** Whether there are more than were shown; undefined where nobody has answered. */
  async #lookUp(): Promise<{ readonly isMore: boolean } | undefined> {
    const query = this.#environment.node.dht.lookup(this.#target)
    const stop = (): void => {
      query.destroy()
    }
    this.#over.signal.addEventListener('abort', stop, { once: true })
    let isMore = false
    try {
      for await (const { peers } of query) {
        if (peers.length >= ShownAtATime) isMore = true
        for (const { publicKey } of peers) if (!this.#isOwn(publicKey)) this.#candidates.add(publicKey)
        this.#tryMore()
      }
    } finally {
      this.#over.signal.removeEventListener('abort', stop)
    }
    return query.closestNodes.length > 0 ? { isMore } : undefined
  }

  #tryMore(): void {
    const connected = [...this.#hosts.values()].filter(({ link }) => link === undefined || link.isGreeted)
    if (connected.length >= MaxConnected && this.#candidates.untried > 0) this.#makeRoom(connected)
    while (!this.#over.signal.aborted && this.#hosts.size < MaxHosts) {
      const key = this.#candidates.take()
      if (key === undefined) return
      this.#try(key)
    }
  }

  /** Parts with one at random that has had its time: who is the host only the engine can tell. */
  #makeRoom(connected: readonly Host[]): void {
    const { clock, random } = this.#environment
    const longAgo = clock.now() - PatienceMs
    const tried = connected.filter(({ link }) => (link?.connectedAt ?? longAgo) <= longAgo)
    const chosen = tried[Math.floor(random.fraction() * tried.length)]
    if (chosen !== undefined) this.#part(chosen)
  }

  #try(key: Buffer): void {
    const { node, clock, connects } = this.#environment
    if (!connects) {
      const host: Host = { key, link: undefined, mailbox: undefined, cancelHeadStart: () => undefined }
      this.#hosts.set(key.toString('hex'), host)
      this.#useMailbox(host)
      return
    }
    const link = new HostLink({
      dht: node.dht,
      hostKey: key,
      target: this.#target,
      clock,
      opening: () => this.#opening(),
      onAnswer: () => {
        this.#startHeadStart(host)
      },
      onGreeting: () => {
        host.cancelHeadStart()
        this.#firstRead.open()
      },
      onFrame: (frame) => {
        this.#hear(frame)
      },
      onEnd: () => {
        this.#linkEnded(host)
      },
    })
    const host: Host = { key, link, mailbox: undefined, cancelHeadStart: () => undefined }
    this.#hosts.set(key.toString('hex'), host)
  }

  /** The host is there: where no connection comes about soon, its mailbox is the way to it. */
  #startHeadStart(host: Host): void {
    if (host.mailbox !== undefined || host.link?.isGreeted === true) return
    host.cancelHeadStart()
    host.cancelHeadStart = this.#environment.clock.after(HeadStartMs, () => {
      if (host.link?.isGreeted !== true) this.#useMailbox(host)
    })
  }

  #useMailbox(host: Host): void {
    if (this.#over.signal.aborted || host.mailbox !== undefined) return
    const inUse = [...this.#hosts.values()].filter(({ mailbox }) => mailbox !== undefined)
    if (inUse.length >= MaxMailboxes) return
    const { node, topic, clock, random } = this.#environment
    host.mailbox = new HostMailbox({
      node,
      clock,
      random,
      hostKey: host.key,
      sealingKey: topicKey(topic),
      request: () => this.#request,
      onFrames: (frames) => {
        for (const frame of frames) this.#hear(frame)
      },
    })
    this.#isHeadStartOver = true
    this.#changed()
  }

  #linkEnded(host: Host): void {
    // Its mailbox goes on, and takes its place among the hosts, where it was found to be there.
    if (host.mailbox === undefined) this.#part(host)
    if (!this.#over.signal.aborted) this.#tryMore()
  }

  #part(host: Host): void {
    leave(host)
    const name = host.key.toString('hex')
    if (this.#hosts.get(name) !== host) return
    this.#hosts.delete(name)
    this.#candidates.giveBack(host.key)
  }

  /** What every host is told first. */
  #opening(): Frame[] {
    return [...this.#listeners.keys()]
      .map((box): Frame => ({ type: 'watch', box }))
      .concat(this.#held.frames(() => true))
  }

  #hear(frame: Frame): void {
    const { topic } = this.#environment
    if (frame.type === 'taken') {
      this.#joins.get(frame.sender)?.taken.open()
    } else if (frame.type === 'record' && frame.box !== 'join') {
      const { box, sender, bytes, expiresInMs } = frame
      for (const onRecord of this.#listeners.get(box) ?? []) {
        onRecord({ topic, box, sender, bytes: bytes.slice(), expiresInMs })
      }
    }
  }

  /** What a request should say has changed. It is made where connections have had their time. */
  #changed(): void {
    if (this.#over.signal.aborted) return
    if (this.#isHeadStartOver) {
      queueMicrotask(() => {
        this.#makeRequest()
      })
      return
    }
    this.#cancelRequest ??= this.#environment.clock.after(HeadStartMs, () => {
      this.#cancelRequest = undefined
      const isTaken = [...this.#joins.values()].every(({ taken }) => taken.isOpen)
      if (!isTaken) this.#makeRequest()
    })
  }

  #makeRequest(): void {
    if (this.#over.signal.aborted) return
    const boxes = [...this.#listeners.keys()].filter((box) => box !== 'host')
    const frames: Frame[] = boxes.map((box): Frame => ({ type: 'watch', box }))
    frames.push(...this.#held.frames(() => true))
    this.#dropRequest()
    if (frames.length === 0) return
    const request = new Request(this.#environment, frames, () => {
      for (const sender of request.senders) this.#joins.get(sender)?.taken.open()
    })
    this.#request = request
  }

  #dropRequest(): void {
    const farewell = this.#request?.close().catch(() => undefined)
    this.#request = undefined
    if (farewell === undefined) return
    this.#farewells.add(farewell)
    void farewell.then(() => this.#farewells.delete(farewell))
  }

  #giveUp(sender: string, reason: SignallingError): void {
    const join = this.#joins.get(sender)
    if (join === undefined) return
    this.#joins.delete(sender)
    this.#held.remove(join.record)
    join.givenUp.abort(reason)
    this.#checkIdle()
  }

  #checkIdle(): void {
    // What takes its place comes at once.
    queueMicrotask(() => {
      const isIdle = this.#listeners.size === 0 && this.#joins.size === 0
      if (isIdle && !this.#over.signal.aborted) this.#onIdle()
    })
  }
}

function leave({ link, mailbox, cancelHeadStart }: Host): void {
  cancelHeadStart()
  mailbox?.close()
  link?.close()
}
