/**
 * The side that is found: it announces itself at the topic's meeting point, shows its records to those who
 * come, and takes their joins.
 */
import DHT from '@hyperswarm/dht'
import type { Box, SignalRecord } from '../../core/signalling-adapter.js'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import { Channel } from './channel.js'
import type { OnRecord, TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import { Gate } from './gate.js'
import { frameOf, HeldRecords } from './held-records.js'
import { Inbox } from './inbox.js'
import { meetingPoint } from './keys.js'

/** Connections at a time. */
const MaxGuests = 256
const MaxWatchesPerGuest = 16
const MaxJoinsPerGuest = 64
const ConnectLimitMs = 10_000
/** The nodes forget an announcement after 13 to 26 minutes. */
const AnnounceMs = 8 * 60_000
const FirstRetryMs = 500
const LongestRetryMs = 30_000

interface Guest {
  readonly channel: Channel
  readonly watched: Set<Box>
  readonly joins: Map<string, SignalRecord>
}

export class TopicHost {
  readonly keyPair: DHT.KeyPair
  readonly #environment: TopicEnvironment
  readonly #target: Buffer
  readonly #held: HeldRecords
  readonly #joinListeners = new Set<OnRecord>()
  /** The one that came first is first. */
  readonly #guests = new Set<Guest>()
  readonly #inbox: Inbox
  readonly #announced = new Gate()
  readonly #over = new AbortController()
  readonly #server: DHT.Server
  #isListening = false
  /** Ends the wait until the next announcement. */
  #hurry: () => void = () => undefined

  /** Starts announcing itself. */
  constructor(environment: TopicEnvironment) {
    this.#environment = environment
    const { node, topic, clock, random } = environment
    // Never an identity's key: the DHT does Diffie-Hellman with the very key that it signs with.
    this.keyPair = DHT.keyPair(Buffer.from(random.bytes(32)))
    this.#target = meetingPoint(topic, 'host')
    this.#held = new HeldRecords(clock, ({ box }) => {
      this.#inbox.changed(box)
    })
    this.#inbox = new Inbox(environment, this.keyPair, this.#held, (record) => this.#takeJoin(record))
    this.#server = node.dht.createServer(
      { firewall: () => !node.takesHandshakes, shareLocalAddress: !node.isLocal },
      (stream) => {
        this.#welcome(stream)
      },
    )
    node.onceMoreUp(() => {
      this.#announced.shut()
      if (this.#isListening) this.#server.refresh()
      this.#hurry()
    }, this.#over.signal)
    void this.#announceForEver()
  }

  /**
   * Shows a record to whoever watches its box, now and later. Resolves when guests can find us.
   * On abort before that, the record is taken back.
   */
  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    this.#held.put(record)
    for (const { channel, watched } of this.#guests) {
      if (watched.has(record.box)) channel.send(frameOf(record, record.expiresInMs))
    }
    this.#inbox.changed(record.box)
    try {
      await this.#announced.passed(AbortSignal.any([signal, this.#over.signal]))
    } catch (error) {
      if (this.#held.has(record)) this.retract(record)
      throw error
    }
  }

  retract(key: Pick<SignalRecord, 'box' | 'sender'>): void {
    if (this.#held.remove(key)) this.#inbox.changed(key.box)
  }

  /** Reports joins, those of guests who are here too. Resolves when guests can find us. */
  async watchJoins(onRecord: OnRecord, signal: AbortSignal): Promise<void> {
    this.#joinListeners.add(onRecord)
    signal.addEventListener('abort', () => this.#joinListeners.delete(onRecord), { once: true })
    for (const { channel, joins } of this.#guests) {
      for (const join of joins.values()) {
        onRecord(join)
        channel.send({ type: 'taken', sender: join.sender })
      }
    }
    for (const join of this.#inbox.joins()) onRecord(join)
    await this.#announced.passed(AbortSignal.any([signal, this.#over.signal]))
  }

  /** Ends everything here at once; resolves when the DHT has been told, which may take long. */
  async close(): Promise<void> {
    this.#over.abort()
    for (const { channel } of this.#guests) channel.close()
    this.#held.clear()
    const { dht } = this.#environment.node
    const unannounce = async (): Promise<void> => {
      if (this.#announced.isOpen) await dht.unannounce(this.#target, this.keyPair)
    }
    await Promise.allSettled([this.#server.close(), this.#inbox.close(), unannounce()])
  }

  async #announceForEver(): Promise<void> {
    const { node, clock, random } = this.#environment
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    try {
      for (;;) {
        await node.whenUp(signal)
        const hurried = new AbortController()
        this.#hurry = () => {
          hurried.abort()
        }
        let waitMs = backoff.jittered(AnnounceMs)
        try {
          await abortable(this.#announce(), signal)
          // Where the DHT was away meanwhile, it may have forgotten us already.
          if (!hurried.signal.aborted) {
            this.#announced.open()
            this.#inbox.refresh()
          }
          backoff.reset()
        } catch {
          waitMs = backoff.next()
        }
        await delay(clock, waitMs, AbortSignal.any([signal, hurried.signal])).catch(() => undefined)
        signal.throwIfAborted()
      }
    } catch {
      // Closed.
    }
  }

  async #announce(): Promise<void> {
    const { node, connects } = this.#environment
    const announced = node.dht.announce(this.#target, this.keyPair, []).finished()
    if (!this.#isListening && connects) {
      await Promise.all([this.#server.listen(this.keyPair), announced])
      this.#isListening = true
    } else {
      // The server announces its key by itself, but sees only after some seconds that it was forgotten.
      const itself =
        connects && node.dht.announce(DHT.hash(this.keyPair.publicKey), this.keyPair, []).finished()
      await Promise.all([announced, itself])
    }
  }

  #welcome(stream: DHT.SecretStream): void {
    if (this.#over.signal.aborted) {
      stream.on('error', () => undefined)
      stream.destroy()
      return
    }
    if (this.#guests.size >= MaxGuests) this.#makeRoom()
    const channel = new Channel({
      stream,
      target: this.#target,
      clock: this.#environment.clock,
      connectLimitMs: ConnectLimitMs,
      onGreeting: () => {
        channel.send({ type: 'hello', target: this.#target })
      },
      onFrame: (frame) => {
        this.#hear(guest, frame)
      },
      onEnd: () => {
        this.#guests.delete(guest)
      },
    })
    const guest: Guest = { channel, watched: new Set(), joins: new Map() }
    this.#guests.add(guest)
  }

  /** Parts with the oldest connection from where most come from: one address cannot keep others out. */
  #makeRoom(): void {
    const byHost = new Map<string, Guest[]>()
    for (const guest of this.#guests) {
      const host = guest.channel.remoteHost
      const others = byHost.get(host)
      if (others === undefined) byHost.set(host, [guest])
      else others.push(guest)
    }
    const [[oldest] = []] = [...byHost.values()].sort((a, b) => b.length - a.length)
    oldest?.channel.close()
  }

  #hear({ channel, watched, joins }: Guest, frame: Frame): void {
    if (frame.type === 'watch') {
      if (watched.size >= MaxWatchesPerGuest && !watched.has(frame.box)) return
      watched.add(frame.box)
      for (const held of this.#held.frames((box) => box === frame.box)) channel.send(held)
    } else if (frame.type === 'record' && frame.box === 'join') {
      if (joins.size >= MaxJoinsPerGuest && !joins.has(frame.sender)) return
      const { box, sender, bytes, expiresInMs } = frame
      const join = { topic: this.#environment.topic, box, sender, bytes, expiresInMs }
      joins.set(sender, join)
      if (this.#takeJoin(join)) channel.send({ type: 'taken', sender })
    }
  }

  /** Whether somebody watches for joins. */
  #takeJoin(join: SignalRecord): boolean {
    for (const onRecord of this.#joinListeners) onRecord({ ...join, bytes: join.bytes.slice() })
    return this.#joinListeners.size > 0
  }
}
