/** Which authentic initiations of a peer are answered (WireGuard paper, section 5.1): none twice, and not a flood. */
import { HandshakeInitiationIntervalMs } from './constants.js'
import { isLater, TimestampLength } from './tai64n.js'

export class InitiationGuard {
  #greatestTimestamp: Uint8Array = new Uint8Array(TimestampLength)
  #acceptedAt = Number.NEGATIVE_INFINITY

  /** Takes note of an initiation's TAI64N timestamp; or says why it is not to be answered. */
  accept(now: number, timestamp: Uint8Array): 'accepted' | 'replayedInitiation' | 'floodedInitiation' {
    if (!isLater(timestamp, this.#greatestTimestamp)) return 'replayedInitiation'
    if (now < this.#acceptedAt + HandshakeInitiationIntervalMs) return 'floodedInitiation'
    this.#greatestTimestamp = timestamp
    this.#acceptedAt = now
    return 'accepted'
  }
}
