/**
 * Where a member's IP packets go, besides those of gonet's own: between the room and this machine's programs, where
 * there is a network interface for them, and at a host from member to member (docs/protocol.md, Packets).
 *
 * Control messages are gonet's alone. What comes from a program, or passes through, and has to do with their port is
 * dropped, so that nobody speaks for gonet who is not gonet; and programs see none of them.
 */
import type { Counters } from '../core/bounded.js'
import { parseAddress } from '../transports/ip/address.js'
import { forwarded } from '../transports/ip/forwarding.js'
import { concernsUdpPort } from '../transports/ip/udp-ports.js'
import { type InnerHeader, readInnerHeader } from '../transports/wireguard/inner-packet.js'
import { ControlPort } from './control.js'
import type { ControlChannel } from './control-channel.js'
import type { Underlay } from './underlay.js'

export interface OverlayRouterOptions {
  readonly underlay: Underlay
  readonly control: ControlChannel
  readonly counters: Counters
  /** This member's own overlay addresses. */
  readonly addresses: readonly string[]
  /** Takes what is for this machine's programs; undefined where they have no interface. */
  readonly deliver: ((packet: Uint8Array) => void) | undefined
  /** Whether what a member sends to another goes through this one. */
  readonly forwards: boolean
  /** Whether packets may go to a peer: it is in the room. */
  readonly mayReach: (peer: string) => boolean
}

export class OverlayRouter {
  readonly #options: OverlayRouterOptions
  #addresses: readonly Uint8Array[]

  constructor(options: OverlayRouterOptions) {
    this.#options = options
    this.#addresses = options.addresses.flatMap((address) => parseAddress(address) ?? [])
  }

  /** Gives this member other overlay addresses. */
  setAddresses(addresses: readonly string[]): void {
    this.#addresses = addresses.flatMap((address) => parseAddress(address) ?? [])
  }

  /**
   * Takes an IP packet that came through a tunnel, from the member that its source address says.
   * @returns false where it is for gonet itself
   */
  handleFromRoom(now: number, packet: Uint8Array): boolean {
    const { control, counters, deliver, forwards } = this.#options
    const header = readInnerHeader(packet)
    if (header === undefined) return false
    if (!this.#isOwn(packet, header.destinationOffset, header)) {
      if (forwards) this.#forward(now, packet)
      return forwards
    }
    if (deliver === undefined || concernsUdpPort(packet, ControlPort) || control.awaits(packet)) return false
    if (this.#isOwn(packet, header.sourceOffset, header)) counters.count('packet-from-ourselves')
    else deliver(packet)
    return true
  }

  /**
   * Takes an IP packet from one of this machine's programs.
   * @param packet kept until it is sent: must not change
   */
  handleFromPrograms(now: number, packet: Uint8Array): void {
    const { counters, underlay } = this.#options
    const header = readInnerHeader(packet)
    // What systems say to their links by themselves comes from other addresses: nobody is to hear of it.
    if (header === undefined || !this.#isOwn(packet, header.sourceOffset, header)) {
      counters.count('packet-from-elsewhere')
    } else if (concernsUdpPort(packet, ControlPort)) counters.count('control-from-program')
    else if (!this.#leadsSomewhere(packet)) counters.count('packet-no-member')
    else underlay.send(now, packet)
  }

  #forward(now: number, packet: Uint8Array): void {
    const { control, counters, underlay } = this.#options
    if (concernsUdpPort(packet, ControlPort)) {
      counters.count('control-forwarded')
      return
    }
    if (!this.#leadsSomewhere(packet)) {
      counters.count('packet-no-member')
      control.refuse(now, 'address-unreachable', packet)
      return
    }
    const onward = forwarded(packet)
    if (onward === undefined) {
      counters.count('packet-hop-limit')
      control.refuse(now, 'hop-limit-exceeded', packet)
    } else underlay.send(now, onward)
  }

  #leadsSomewhere(packet: Uint8Array): boolean {
    const { mayReach, underlay } = this.#options
    const peer = underlay.peerFor(packet)
    return peer !== undefined && mayReach(peer)
  }

  #isOwn(packet: Uint8Array, offset: number, { addressLength }: InnerHeader): boolean {
    return this.#addresses.some(
      (own) => own.length === addressLength && own.every((byte, at) => packet[offset + at] === byte),
    )
  }
}
