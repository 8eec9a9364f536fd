/** An encrypted connection between a guest and a host, as frames both ways, within limits. */
import type DHT from '@hyperswarm/dht'
import type { Clock } from '../../core/ports.js'
import { encodeFrame, type Frame, FrameDecoder } from './frames.js'

export interface ChannelOptions {
  readonly stream: DHT.SecretStream
  /** The meeting point that both must mean. */
  readonly target: Buffer
  readonly clock: Clock
  /** How long connecting may take. */
  readonly connectLimitMs: number
  /** The other side means the same meeting point. */
  readonly onGreeting: () => void
  /** Whatever comes after the greeting. */
  readonly onFrame: (frame: Frame) => void
  readonly onEnd: () => void
}

/** Of one connection, each way. An honest one has a few of some kilobytes. */
const MaxFrames = 256
const MaxBytes = 1024 * 1024
/** How long the other side has to greet once it is connected. */
const GreetingLimitMs = 4_000
const KeepAliveMs = 15_000
const SilenceLimitMs = 45_000

export class Channel {
  readonly #options: ChannelOptions
  readonly #decoder = new FrameDecoder()
  #frames = 0
  #bytesIn = 0
  #bytesOut = 0
  #isGreeted = false
  #isOver = false
  #cancelLimit: () => void

  constructor(options: ChannelOptions) {
    this.#options = options
    const { stream, connectLimitMs } = options
    this.#cancelLimit = this.#limit(connectLimitMs)
    stream.on('error', () => undefined)
    stream.once('close', () => {
      this.#end()
    })
    stream.on('data', (bytes: Buffer) => {
      this.#read(bytes)
    })
    stream.once('end', () => {
      this.close()
    })
    stream.setKeepAlive(KeepAliveMs)
    stream.setTimeout(SilenceLimitMs)
    if (stream.rawStream === null) stream.once('open', () => this.#connected())
    else this.#connected()
  }

  get isGreeted(): boolean {
    return this.#isGreeted
  }

  /** The address that it comes from; empty before it is connected. */
  get remoteHost(): string {
    return this.#options.stream.rawStream?.remoteHost ?? ''
  }

  send(frame: Frame): void {
    if (this.#isOver) return
    const bytes = encodeFrame(frame)
    this.#bytesOut += bytes.length
    // Who asks for ever more begins anew.
    if (this.#bytesOut > MaxBytes) this.close()
    else this.#options.stream.write(bytes)
  }

  close(): void {
    this.#options.stream.destroy()
    this.#end()
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelLimit()
    this.#options.onEnd()
  }

  #limit(limitMs: number): () => void {
    return this.#options.clock.after(limitMs, () => {
      this.close()
    })
  }

  #connected(): void {
    if (this.#isOver) return
    this.#cancelLimit()
    this.#cancelLimit = this.#limit(GreetingLimitMs)
    // What is decrypted comes message by message, and one could be of 16 MiB.
    this.#options.stream.rawStream?.on('data', (bytes: Buffer) => {
      this.#bytesIn += bytes.length
      if (this.#bytesIn > MaxBytes) this.close()
    })
  }

  #read(bytes: Buffer): void {
    try {
      for (const frame of this.#decoder.push(bytes)) {
        if (this.#isOver) return
        this.#frames += 1
        if (this.#frames > MaxFrames) this.close()
        else if (this.#isGreeted) this.#options.onFrame(frame)
        else this.#greet(frame)
      }
    } catch {
      this.close()
    }
  }

  #greet(frame: Frame): void {
    if (frame.type !== 'hello' || !this.#options.target.equals(frame.target)) {
      this.close()
      return
    }
    this.#isGreeted = true
    this.#cancelLimit()
    this.#options.onGreeting()
  }
}
