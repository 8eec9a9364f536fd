/**
 * One session (a pair of transport keys) and its messages (WireGuard paper, section 5.4.6).
 */
import { PaddingMultiple, RejectAfterMessages } from './constants.js'
import type { NoiseCrypto } from './crypto.js'
import type { SessionKeys } from './handshake.js'
import { type Transport, TransportHeaderLength, transportHeader } from './messages.js'
import { ReplayWindow } from './replay.js'

export class Session {
  readonly localIndex: number
  /** Whether we initiated it: then it is ours to renew. */
  readonly initiator: boolean
  readonly #crypto: NoiseCrypto
  readonly #keys: SessionKeys
  readonly #createdAt: number
  readonly #createdAtUnixMs: number
  readonly #replayWindow = new ReplayWindow()
  #sendCounter = 0

  constructor(crypto: NoiseCrypto, keys: SessionKeys, initiator: boolean, now: number, unixMs: number) {
    this.localIndex = keys.localIndex
    this.initiator = initiator
    this.#crypto = crypto
    this.#keys = keys
    this.#createdAt = now
    this.#createdAtUnixMs = unixMs
  }

  /** How many messages were sealed. */
  get sent(): number {
    return this.#sendCounter
  }

  /**
   * In ms, by the clock that says more: a machine's sleep may not show in the monotonic time, and a clock that
   * is set forward only renews the session early.
   */
  age(now: number, unixMs: number): number {
    return Math.max(now - this.#createdAt, unixMs - this.#createdAtUnixMs)
  }

  /** A whole transport message. An empty packet makes a keepalive. Not after RejectAfterMessages. */
  seal(packet: Uint8Array): Uint8Array {
    const paddedLength = Math.ceil(packet.length / PaddingMultiple) * PaddingMultiple
    const counter = this.#sendCounter++
    const bytes = transportHeader(this.#keys.remoteIndex, counter, paddedLength)
    bytes.set(packet, TransportHeaderLength)
    const padded = bytes.subarray(TransportHeaderLength, TransportHeaderLength + paddedLength)
    this.#crypto.seal(this.#keys.sendKey, counter, padded, undefined, bytes, TransportHeaderLength)
    return bytes
  }

  /** The padded packet; or why there is none. */
  open(message: Transport): Uint8Array | 'forged' | 'replayed' {
    if (message.counter >= RejectAfterMessages) return 'forged'
    const packet = this.#crypto.open(
      this.#keys.receiveKey,
      message.counter,
      message.encryptedPacket,
      undefined,
    )
    if (packet === undefined) return 'forged'
    return this.#replayWindow.accept(message.counter) ? packet : 'replayed'
  }

  /** Zeros the keys. Neither seal nor open may follow. */
  wipe(): void {
    this.#keys.sendKey.fill(0)
    this.#keys.receiveKey.fill(0)
  }
}
