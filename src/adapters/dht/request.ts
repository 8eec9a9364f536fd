/**
 * A guest's request where no connection serves: its joins and what it waits for, in a mailbox under a key of
 * its own, which is announced at the inbox's meeting point.
 */
import DHT from '@hyperswarm/dht'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import type { TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import type { RequestKeys } from './host-mailbox.js'
import { ExchangeKey, meetingPoint, topicKey } from './keys.js'
import { Mailbox } from './mailbox.js'

const FirstRetryMs = 500
const LongestRetryMs = 10_000

export class Request implements RequestKeys {
  readonly exchange: ExchangeKey
  /** The senders of the joins in it. */
  readonly senders: ReadonlySet<string>
  readonly #environment: TopicEnvironment
  readonly #keyPair: DHT.KeyPair
  readonly #target: Buffer
  readonly #over = new AbortController()
  #wasAnnounced = false

  /** Starts storing it, once: hosts read each request once, and what changes becomes another. */
  constructor(environment: TopicEnvironment, frames: readonly Frame[], onStored: () => void) {
    const { topic, random } = environment
    this.#environment = environment
    this.#keyPair = DHT.keyPair(Buffer.from(random.bytes(32)))
    this.exchange = new ExchangeKey(random)
    this.#target = meetingPoint(topic, 'inbox')
    this.senders = new Set(frames.flatMap((frame) => (frame.type === 'record' ? [frame.sender] : [])))
    void this.#store([{ type: 'exchange', publicKey: this.exchange.publicKey }, ...frames], onStored)
  }

  get publicKey(): Buffer {
    return this.#keyPair.publicKey
  }

  /** Gives it up; resolves when it is announced no more. */
  async close(): Promise<void> {
    this.#over.abort()
    const { dht } = this.#environment.node
    if (this.#wasAnnounced && !dht.destroyed) await dht.unannounce(this.#target, this.#keyPair)
  }

  async #store(frames: readonly Frame[], onStored: () => void): Promise<void> {
    const { node, topic, clock, random } = this.#environment
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    const mailbox = new Mailbox(node.dht, this.#keyPair, topicKey(topic), random)
    try {
      for (;;) {
        await node.whenUp(signal)
        try {
          await abortable(mailbox.write(frames), signal)
          this.#wasAnnounced = true
          await abortable(node.dht.announce(this.#target, this.#keyPair, []).finished(), signal)
          onStored()
          return
        } catch {
          await delay(clock, backoff.next(), signal)
        }
      }
    } catch {
      // Given up.
    }
  }
}
