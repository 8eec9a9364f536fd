/** Packets that wait for a session (WireGuard paper, section 6.1): the latest are kept. */
import { MaxStagedPackets } from './constants.js'
import type { DeviceCounters } from './counters.js'

/** Sent where there is nothing else to send: it becomes a message without a packet. */
const Keepalive = new Uint8Array(0)

export class StagedPackets {
  readonly #counters: DeviceCounters
  readonly #packets: Uint8Array[] = []

  constructor(counters: DeviceCounters) {
    this.#counters = counters
  }

  add(packet: Uint8Array): void {
    if (this.#packets.length >= MaxStagedPackets) {
      this.#packets.shift()
      this.#counters.stagedDropped++
    }
    this.#packets.push(packet)
  }

  /** Sees to it that there is something to send. */
  addKeepaliveIfEmpty(): void {
    if (this.#packets.length === 0) this.add(Keepalive)
  }

  /** The oldest one. */
  take(): Uint8Array | undefined {
    return this.#packets.shift()
  }

  /** Gives all of them up. */
  drop(): void {
    this.#counters.stagedDropped += this.#packets.length
    this.#packets.length = 0
  }
}
