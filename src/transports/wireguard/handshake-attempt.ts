/**
 * The attempt to bring a handshake about, as its initiator (WireGuard paper, section 6.4): initiations every
 * RekeyTimeout, for RekeyAttemptTime since somebody last wanted to get through.
 */
import {
  FirstRekeyTimeoutsMs,
  RekeyAttemptTimeMs,
  RekeyTimeoutJitterMaxMs,
  RekeyTimeoutMs,
} from './constants.js'
import type { PrivateKey } from './crypto.js'
import {
  consumeResponse,
  createInitiation,
  type PendingInitiation,
  type RemoteStatic,
  type SessionKeys,
} from './handshake.js'
import type { Response } from './messages.js'
import type { Timers } from './timers.js'
import type { TunnelEnvironment } from './tunnel-environment.js'

export interface HandshakeAttemptOptions {
  readonly environment: TunnelEnvironment
  readonly remote: RemoteStatic
  /** Those of the tunnel: `retransmitHandshake` is set as long as an attempt is under way. */
  readonly timers: Timers
  readonly reserveIndex: () => number
  readonly transmit: (now: number, initiation: Uint8Array) => void
}

export class HandshakeAttempt {
  readonly #options: HandshakeAttemptOptions
  /** The latest initiation, until it is answered. */
  #pending: PendingInitiation | undefined
  #startedAt = 0
  #sentAt = Number.NEGATIVE_INFINITY
  /** How long the latest initiation keeps the next from going. */
  #timeoutMs = RekeyTimeoutMs
  /** The same for the next ones; RekeyTimeout where there are no more. */
  #timeouts: readonly number[] = []

  constructor(options: HandshakeAttemptOptions) {
    this.#options = options
  }

  /** Starts one with an initiation now, whenever the last one was, and repeats it sooner at first. */
  start(now: number): void {
    this.#startedAt = now
    this.#timeouts = FirstRekeyTimeoutsMs
    this.#send(now)
  }

  /** Starts one unless one is under way. */
  request(now: number): void {
    if (this.#options.timers.isSet('retransmitHandshake')) return
    this.#startedAt = now
    this.#sendWhenDue(now)
  }

  /** Someone still wants to get through: the attempt's time starts again. */
  prolong(now: number): void {
    this.#startedAt = now
  }

  /** Sends the next initiation. @returns false where the attempt has taken too long */
  retry(now: number): boolean {
    if (now >= this.#startedAt + RekeyAttemptTimeMs) return false
    this.#sendWhenDue(now)
    return true
  }

  /** @returns undefined where the response is to none of our initiations. @throws DecodeError for a forged one */
  consume(response: Response): SessionKeys | undefined {
    const pending = this.#pending
    if (pending?.sender !== response.receiver) return undefined
    const { environment, remote } = this.#options
    const keys = consumeResponse(environment.privateKey, remote, pending, response)
    pending.state.wipe()
    this.#pending = undefined
    this.#timeoutMs = RekeyTimeoutMs
    this.#timeouts = []
    return keys
  }

  /** Forgets the initiation that waits for its response. */
  abandon(): void {
    if (this.#pending === undefined) return
    this.#pending.state.wipe()
    this.#options.environment.releaseIndex(this.#pending.sender)
    this.#pending = undefined
  }

  #sendWhenDue(now: number): void {
    const due = this.#sentAt + this.#timeoutMs
    if (now < due) this.#options.timers.set('retransmitHandshake', due)
    else this.#send(now)
  }

  #send(now: number): void {
    const { environment, remote, timers, reserveIndex, transmit } = this.#options
    const { crypto, privateKey, random, timestamps } = environment
    this.abandon()
    const ephemeral = newEphemeral(environment)
    const { bytes, pending } = createInitiation(
      crypto,
      privateKey,
      remote,
      ephemeral,
      reserveIndex(),
      timestamps.next(),
    )
    this.#pending = pending
    this.#sentAt = now
    const [timeoutMs = RekeyTimeoutMs, ...later] = this.#timeouts
    this.#timeoutMs = timeoutMs
    this.#timeouts = later
    const retryAt = now + timeoutMs + random.fraction() * RekeyTimeoutJitterMaxMs
    timers.set('retransmitHandshake', Math.min(retryAt, this.#startedAt + RekeyAttemptTimeMs))
    transmit(now, bytes)
  }
}

/** A key pair for one handshake. */
export function newEphemeral({ crypto, random }: TunnelEnvironment): PrivateKey {
  const secretKey = random.bytes(32)
  const ephemeral = crypto.privateKey(secretKey)
  secretKey.fill(0)
  return ephemeral
}
