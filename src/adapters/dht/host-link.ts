/** A guest's connection to one of those who say that they are the host. */
import type DHT from '@hyperswarm/dht'
import type { Clock } from '../../core/ports.js'
import { Channel } from './channel.js'
import { hasAnswered } from './failure.js'
import type { Frame } from './frames.js'

export interface HostLinkOptions {
  readonly dht: DHT
  readonly hostKey: Buffer
  readonly target: Buffer
  readonly clock: Clock
  /** What to say first. */
  readonly opening: () => readonly Frame[]
  /** The host is there, whether or not a connection comes about. */
  readonly onAnswer: () => void
  readonly onGreeting: () => void
  readonly onFrame: (frame: Frame) => void
  readonly onEnd: () => void
}

/** Punching holes takes some ten seconds where it must be tried for long. */
const ConnectLimitMs = 20_000

export class HostLink {
  readonly connectedAt: number
  readonly #channel: Channel

  /** Starts connecting. */
  constructor({ dht, hostKey, opening, onAnswer, ...options }: HostLinkOptions) {
    this.connectedAt = options.clock.now()
    const stream = dht.connect(hostKey, {
      holepunch: () => {
        onAnswer()
        return true
      },
    })
    stream.once('error', (error) => {
      if (hasAnswered(error)) onAnswer()
    })
    stream.once('open', () => {
      onAnswer()
      this.send({ type: 'hello', target: options.target })
      for (const frame of opening()) this.send(frame)
    })
    this.#channel = new Channel({ ...options, stream, connectLimitMs: ConnectLimitMs })
  }

  get isGreeted(): boolean {
    return this.#channel.isGreeted
  }

  send(frame: Frame): void {
    this.#channel.send(frame)
  }

  close(): void {
    this.#channel.close()
  }
}
