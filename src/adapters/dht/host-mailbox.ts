/** A guest's way to a host to whom no connection can be made: the host's mailbox, and its answers. */
import DHT from '@hyperswarm/dht'
import { Backoff } from '../shared/backoff.js'
import { abortable, delay } from '../waiting.js'
import type { TopicEnvironment } from './environment.js'
import type { Frame } from './frames.js'
import type { ExchangeKey } from './keys.js'
import { readMailbox } from './mailbox.js'

/** Under which our request lies, and what makes its answers ours. */
export interface RequestKeys {
  readonly publicKey: Buffer
  readonly exchange: ExchangeKey
}

export interface HostMailboxOptions extends Pick<TopicEnvironment, 'node' | 'clock' | 'random'> {
  readonly hostKey: Buffer
  readonly sealingKey: Buffer
  /** Our request, where there is one. */
  readonly request: () => RequestKeys | undefined
  readonly onFrames: (frames: readonly Frame[]) => void
}

const FirstReadMs = 1_500
const LongestReadMs = 10_000
const AnswerPollMs = 1_500

export class HostMailbox {
  readonly #options: HostMailboxOptions
  readonly #over = new AbortController()
  #exchangeKey: Uint8Array | undefined
  /** What was read last: the host's records, and its answers. */
  #records: readonly Frame[] = []
  #answers: readonly Frame[] = []

  /** Starts reading. */
  constructor(options: HostMailboxOptions) {
    this.#options = options
    void this.#readForEver().catch(() => undefined)
    void this.#readAnswers().catch(() => undefined)
  }

  /** Reports once more what was read last. */
  repeat(): void {
    this.#options.onFrames([...this.#records, ...this.#answers])
  }

  close(): void {
    this.#over.abort()
  }

  async #readForEver(): Promise<void> {
    const { node, clock, random, hostKey, sealingKey, onFrames } = this.#options
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: FirstReadMs, longestMs: LongestReadMs })
    let seq = 0
    for (;;) {
      await node.whenUp(signal)
      const found = await this.#read(hostKey, sealingKey, seq)
      if (found !== undefined) {
        seq = found.seq
        backoff.reset()
        for (const frame of found.frames) if (frame.type === 'exchange') this.#exchangeKey = frame.publicKey
        this.#records = found.frames.filter((frame) => frame.type === 'record' && frame.box === 'host')
        onFrames(this.#records)
      }
      await delay(clock, backoff.next(), signal)
    }
  }

  async #readAnswers(): Promise<void> {
    const { node, clock, random, hostKey, request, onFrames } = this.#options
    const { signal } = this.#over
    const backoff = new Backoff(random, { firstMs: AnswerPollMs, longestMs: AnswerPollMs })
    let current: { keys: RequestKeys; seq: number } | undefined
    for (;;) {
      await delay(clock, backoff.next(), signal)
      await node.whenUp(signal)
      const keys = request()
      if (keys === undefined || this.#exchangeKey === undefined) continue
      if (current?.keys !== keys) current = { keys, seq: 0 }
      const pair = { hostKey, guestKey: keys.publicKey }
      const derived = keys.exchange.answerKeys(this.#exchangeKey, pair)
      if (derived === undefined) return
      const { publicKey } = DHT.keyPair(derived.seed)
      const found = await this.#read(publicKey, derived.sealingKey, current.seq)
      if (found === undefined) continue
      current.seq = found.seq
      this.#answers = found.frames.filter(
        (frame) => frame.type === 'record' && frame.box.startsWith('reply/'),
      )
      onFrames(this.#answers)
    }
  }

  async #read(
    key: Buffer,
    sealingKey: Buffer,
    afterSeq: number,
  ): Promise<{ seq: number; frames: readonly Frame[] } | undefined> {
    const { signal } = this.#over
    const read = readMailbox(this.#options.node.dht, key, sealingKey, afterSeq).catch(() => undefined)
    return abortable(read, signal)
  }
}
