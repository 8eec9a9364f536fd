/** Control messages over the tunnels: the userspace stack's one port, between overlay addresses. */
import { Counters } from '../core/bounded.js'
import { DecodeError } from '../core/errors.js'
import type { Random } from '../core/ports.js'
import type { IcmpError } from '../transports/ip/icmp.js'
import { UserspaceStack } from '../transports/ip/stack.js'
import { type ControlMessage, ControlPort, readControl, writeControl } from './control.js'
import type { Underlay } from './underlay.js'

export interface ReceivedControl {
  /** The sender's overlay address, which its tunnel vouches for. */
  readonly from: string
  readonly message: ControlMessage
}

/** What has come of an echo request. */
export interface Echo {
  readonly handle: number
  /** Undefined where no reply came in 5 s. */
  readonly rttMs: number | undefined
}

export class ControlChannel {
  readonly counters: Counters = new Counters()
  readonly #underlay: Underlay
  readonly #stack: UserspaceStack
  /** No more than the stack has requests under way. */
  readonly #echoes: Echo[] = []

  constructor(options: {
    readonly underlay: Underlay
    readonly random: Random
    /** This member's overlay addresses. */
    readonly addresses: readonly string[]
    /** In bytes. */
    readonly mtu: number
  }) {
    const { underlay, random, addresses, mtu } = options
    this.#underlay = underlay
    this.#stack = new UserspaceStack({ addresses, mtu, random })
    this.#stack.bindUdp(ControlPort)
  }

  /** Gives this member other overlay addresses. */
  setAddresses(addresses: readonly string[]): void {
    this.#stack.setAddresses(addresses)
  }

  /** Best effort, as UDP is. */
  send(now: number, to: string, message: ControlMessage): void {
    const destination = { address: to, port: ControlPort }
    this.#stack.sendUdp(now, { sourcePort: ControlPort, destination, payload: writeControl(message) })
    this.#drain(now)
  }

  /**
   * Sends an ICMP echo request, and returns its handle.
   * @throws UsageError `too-many-echoes`, `no-source-address`
   */
  ping(now: number, to: string): number {
    const handle = this.#stack.ping(now, to)
    this.#drain(now)
    return handle
  }

  /** Whether a packet answers such a request. */
  awaits(packet: Uint8Array): boolean {
    return this.#stack.awaits(packet)
  }

  pollEcho(): Echo | undefined {
    return this.#echoes.shift()
  }

  /** Takes an inner IP packet, and returns the control messages that it brought. */
  handlePacket(now: number, packet: Uint8Array): readonly ReceivedControl[] {
    this.#stack.handlePacket(now, packet)
    this.#drain(now)
    return this.#collect()
  }

  handleTimeout(now: number): void {
    this.#stack.handleTimeout(now)
    this.#drain(now)
    this.#collect()
  }

  pollTimeout(): number | undefined {
    return this.#stack.pollTimeout()
  }

  #collect(): readonly ReceivedControl[] {
    const received: ReceivedControl[] = []
    for (let event = this.#stack.pollEvent(); event !== undefined; event = this.#stack.pollEvent()) {
      if (event.type !== 'datagram') {
        const rttMs = event.type === 'echo-reply' ? event.rttMs : undefined
        this.#echoes.push({ handle: event.handle, rttMs })
        continue
      }
      if (event.source.port !== ControlPort) continue
      try {
        received.push({ from: event.source.address, message: readControl(event.payload) })
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        this.counters.count(error.code)
      }
    }
    return received
  }

  /** Tells the sender of a packet why it got no further. Best effort. */
  refuse(now: number, error: IcmpError, packet: Uint8Array): void {
    this.#stack.refuse(now, error, packet)
    this.#drain(now)
  }

  #drain(now: number): void {
    for (let packet = this.#stack.pollTransmit(); packet !== undefined; packet = this.#stack.pollTransmit()) {
      this.#underlay.send(now, packet)
    }
  }
}
