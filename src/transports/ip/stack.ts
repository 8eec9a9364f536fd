import { DecodeError, GonetError, UsageError } from '../../core/errors.js'
import { earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { formatAddress, isUnicastSource, parseAddress } from './address.js'
import { decodeEcho, type Echo, encodeEcho, encodeError, type IcmpError, IcmpHeaderBytes } from './icmp.js'
import { decodeIpv4, encodeIpv4 } from './ipv4.js'
import { decodeIpv6, encodeIpv6 } from './ipv6.js'
import { type IpPacket, IpProtocol } from './packet.js'
import { decodeUdp, encodeUdp, UdpHeaderBytes } from './udp.js'

export type StackEvent =
  | {
      readonly type: 'datagram'
      readonly localPort: number
      /** The address of ours that it came to. */
      readonly local: string
      readonly source: SocketAddress
      readonly payload: Uint8Array
    }
  | {
      readonly type: 'echo-reply'
      readonly handle: number
      readonly address: string
      readonly rttMs: number
    }
  | { readonly type: 'echo-timeout'; readonly handle: number; readonly address: string }

export interface UserspaceStackOptions {
  readonly addresses: readonly string[]
  /** The largest packet sent, in bytes; 1280 by default (the least that IPv6 allows). */
  readonly mtu?: number
  readonly random: Random
}

export interface UdpSend {
  readonly sourcePort: number
  readonly destination: SocketAddress
  readonly payload: Uint8Array
  /** One of the stack's addresses; by default the first of the destination's family. */
  readonly source?: string
}

export interface PingOptions {
  /** 56 by default. */
  readonly payloadBytes?: number
  /** 5,000 by default. */
  readonly timeoutMs?: number
}

const QueueLimit = 1024
const PendingEchoLimit = 1024
/** RFC 4443 section 2.4 (f) asks for a token bucket, and gives 10 a second as its example. */
const UnreachablePerSecond = 10
/** RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c): the largest error, its own headers included. */
const LargestErrorV4 = 576
const LargestErrorV6 = 1280

interface PendingEcho {
  readonly handle: number
  readonly address: string
  readonly sentAt: number
  readonly deadline: number
}

/**
 * A host's IP layer without an operating system: IPv4 and IPv6, UDP, and ICMP echo. Packets that are not
 * for one of its addresses are dropped; it routes nothing, fragments nothing and reassembles nothing.
 */
export class UserspaceStack implements Machine<StackEvent, Uint8Array> {
  readonly #mtu: number
  readonly #identifier: number
  readonly #ports = new Set<number>()
  readonly #pendingEchoes = new Map<number, PendingEcho>()
  readonly #transmits: Uint8Array[] = []
  readonly #events: StackEvent[] = []
  readonly #dropped = new Map<string, number>()
  #addresses: ReadonlyMap<string, Uint8Array> = new Map()
  #nextHandle = 0
  #unreachableTokens = UnreachablePerSecond
  #unreachableAt: number | undefined

  /** @throws UsageError `address-invalid` */
  constructor(options: UserspaceStackOptions) {
    this.#mtu = options.mtu ?? 1280
    // Another stack behind the same address (before a restart) may still get echo replies.
    this.#identifier = Math.floor(options.random.fraction() * 0x10000)
    this.setAddresses(options.addresses)
  }

  /** How many inbound packets were dropped, and outbound ones not sent, by reason. */
  get dropped(): ReadonlyMap<string, number> {
    return this.#dropped
  }

  /**
   * Replaces the stack's addresses; bound ports and echoes under way stay.
   * @throws UsageError `address-invalid`
   */
  setAddresses(addresses: readonly string[]): void {
    this.#addresses = new Map(
      addresses.map((text) => {
        const bytes = addressBytes(text)
        return [formatAddress(bytes), bytes]
      }),
    )
  }

  /** Takes the datagrams to a port, on all addresses of the stack. Binding twice is binding once. */
  bindUdp(port: number): void {
    checkPort(port)
    this.#ports.add(port)
  }

  unbindUdp(port: number): void {
    this.#ports.delete(port)
  }

  /**
   * @throws UsageError `address-invalid`, `port-invalid`, `no-source-address` (none of ours has the
   * destination's family, or `source` is not ours), `datagram-too-large` (with its headers, for the MTU)
   */
  sendUdp(_now: number, datagram: UdpSend): void {
    const { sourcePort, destination, payload } = datagram
    checkPort(sourcePort)
    checkPort(destination.port)
    const to = addressBytes(destination.address)
    const from = this.#sourceFor(to, datagram.source)
    this.#checkSize(to, UdpHeaderBytes + payload.length)
    this.#transmit(encodeUdp(from, to, { sourcePort, destinationPort: destination.port, payload }))
  }

  /**
   * Sends one echo request; exactly one `echo-reply` or `echo-timeout` with the returned handle follows.
   * @throws UsageError `address-invalid`, `no-source-address`, `datagram-too-large`, `too-many-echoes` (1,024)
   */
  ping(now: number, address: string, options: PingOptions = {}): number {
    const { payloadBytes = 56, timeoutMs = 5000 } = options
    const to = addressBytes(address)
    const from = this.#sourceFor(to, undefined)
    this.#checkSize(to, IcmpHeaderBytes + payloadBytes)
    if (this.#pendingEchoes.size >= PendingEchoLimit) {
      throw new UsageError('too-many-echoes', `${PendingEchoLimit} echo requests are waiting for an answer`)
    }
    while (this.#pendingEchoes.has(this.#nextHandle & 0xffff)) this.#nextHandle += 1
    const handle = this.#nextHandle
    this.#nextHandle += 1
    const sequence = handle & 0xffff
    this.#pendingEchoes.set(sequence, {
      handle,
      address: formatAddress(to),
      sentAt: now,
      deadline: now + timeoutMs,
    })
    const data = Uint8Array.from({ length: payloadBytes }, (_, index) => index & 0xff)
    this.#transmit(encodeEcho(from, to, { kind: 'request', identifier: this.#identifier, sequence, data }))
    return handle
  }

  /** Whether a packet answers an echo request of this stack. */
  awaits(packet: Uint8Array): boolean {
    if (this.#pendingEchoes.size === 0) return false
    try {
      const ip = (packet[0] ?? 0) >> 4 === 6 ? decodeIpv6(packet) : decodeIpv4(packet)
      const icmp = ip.source.length === 4 ? IpProtocol.icmp : IpProtocol.icmpv6
      const echo = ip.protocol === icmp ? decodeEcho(ip) : undefined
      return echo?.kind === 'reply' && this.#pendingFor(echo, ip.source) !== undefined
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return false
    }
  }

  /** One packet from the tunnel. Whatever is wrong with it, it is dropped and counted. */
  handlePacket(now: number, packet: Uint8Array): void {
    let dropped: string | undefined
    try {
      dropped = this.#receive(now, packet)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      dropped = error.code
    }
    if (dropped !== undefined) this.#drop(dropped)
  }

  /**
   * Tells the sender of a packet that was on its way through this machine why it got no further, from the first of
   * our addresses of its family. Nobody is told of a fragment, an error, or what cannot be answered (RFC 1122 section
   * 3.2.2, RFC 4443 section 2.4 (e)); not more often than 10 times a second.
   */
  refuse(now: number, error: IcmpError, bytes: Uint8Array): void {
    try {
      const packet = decodePacket(bytes)
      const icmp = packet.source.length === 4 ? IpProtocol.icmp : IpProtocol.icmpv6
      const isAnswerable = isUnicastSource(packet.source) && isUnicastSource(packet.destination)
      if (!isAnswerable || (packet.protocol === icmp && decodeEcho(packet) === undefined)) return
      this.#sendError(now, error, packet, this.#sourceFor(packet.source, undefined), bytes)
    } catch (failure) {
      if (!(failure instanceof GonetError)) throw failure
      this.#drop(failure.code)
    }
  }

  handleTimeout(now: number): void {
    for (const [sequence, { handle, address, deadline }] of this.#pendingEchoes) {
      if (deadline > now) continue
      this.#pendingEchoes.delete(sequence)
      this.#events.push({ type: 'echo-timeout', handle, address })
    }
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): StackEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...Array.from(this.#pendingEchoes.values(), ({ deadline }) => deadline))
  }

  /** Returns why the packet was dropped, where it was. */
  #receive(now: number, bytes: Uint8Array): string | undefined {
    const packet = decodePacket(bytes)
    const local = formatAddress(packet.destination)
    // What comes to a multicast or broadcast address ends here, so nothing below ever answers it.
    if (!this.#addresses.has(local)) return 'destination-not-ours'
    if (!isUnicastSource(packet.source)) return 'source-invalid'
    if (packet.protocol === IpProtocol.udp) return this.#receiveUdp(now, packet, local, bytes)
    const icmp = packet.source.length === 4 ? IpProtocol.icmp : IpProtocol.icmpv6
    return packet.protocol === icmp ? this.#receiveIcmp(now, packet) : 'protocol-unknown'
  }

  #receiveUdp(now: number, packet: IpPacket, local: string, bytes: Uint8Array): string | undefined {
    const { sourcePort, destinationPort, payload } = decodeUdp(packet)
    if (!this.#ports.has(destinationPort)) {
      this.#sendError(now, 'port-unreachable', packet, packet.destination, bytes)
      return 'udp-port-unbound'
    }
    if (this.#events.length >= QueueLimit) return 'event-queue-full'
    this.#events.push({
      type: 'datagram',
      localPort: destinationPort,
      local,
      source: { address: formatAddress(packet.source), port: sourcePort },
      // A copy: the tunnel may use its buffer again before the event is read.
      payload: payload.slice(),
    })
    return undefined
  }

  #receiveIcmp(now: number, packet: IpPacket): string | undefined {
    const echo = decodeEcho(packet)
    if (echo === undefined) return 'icmp-type-unknown'
    const { source, destination } = packet
    if (echo.kind === 'request') {
      this.#transmit(encodeEcho(destination, source, { ...echo, kind: 'reply' }))
      return undefined
    }
    const pending = this.#pendingFor(echo, source)
    if (pending === undefined) return 'echo-reply-unexpected'
    this.#pendingEchoes.delete(echo.sequence)
    const { handle, address, sentAt } = pending
    this.#events.push({ type: 'echo-reply', handle, address, rttMs: now - sentAt })
    return undefined
  }

  #pendingFor({ identifier, sequence }: Echo, source: Uint8Array): PendingEcho | undefined {
    const pending = this.#pendingEchoes.get(sequence)
    return identifier === this.#identifier && pending?.address === formatAddress(source) ? pending : undefined
  }

  #sendError(now: number, error: IcmpError, packet: IpPacket, from: Uint8Array, bytes: Uint8Array): void {
    const elapsedMs = now - (this.#unreachableAt ?? now)
    this.#unreachableAt = now
    this.#unreachableTokens = Math.min(
      UnreachablePerSecond,
      this.#unreachableTokens + (elapsedMs * UnreachablePerSecond) / 1000,
    )
    if (this.#unreachableTokens < 1) {
      this.#drop('unreachable-rate-limited')
      return
    }
    this.#unreachableTokens -= 1
    const limit = packet.source.length === 4 ? LargestErrorV4 : LargestErrorV6
    const headers = ipHeaderBytes(packet.source) + IcmpHeaderBytes
    const quote = bytes.subarray(0, Math.min(limit, this.#mtu) - headers)
    this.#transmit(encodeError(from, packet.source, error, quote))
  }

  #sourceFor(destination: Uint8Array, wanted: string | undefined): Uint8Array {
    const text = wanted === undefined ? undefined : formatAddress(addressBytes(wanted))
    for (const [ours, bytes] of this.#addresses) {
      if (bytes.length === destination.length && (text === undefined || text === ours)) return bytes
    }
    throw new UsageError('no-source-address', 'The stack has no such source address for the destination')
  }

  #checkSize(destination: Uint8Array, payloadBytes: number): void {
    if (ipHeaderBytes(destination) + payloadBytes <= this.#mtu) return
    throw new UsageError('datagram-too-large', `The packet is larger than the MTU of ${this.#mtu} bytes`)
  }

  #transmit(packet: IpPacket): void {
    const bytes = packet.source.length === 4 ? encodeIpv4(packet) : encodeIpv6(packet)
    // Only an echo reply can be too large here: everything else was measured before.
    if (bytes.length > this.#mtu) this.#drop('reply-too-large')
    else if (this.#transmits.length >= QueueLimit) this.#drop('transmit-queue-full')
    else this.#transmits.push(bytes)
  }

  #drop(reason: string): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1)
  }
}

function decodePacket(bytes: Uint8Array): IpPacket {
  return (bytes[0] ?? 0) >> 4 === 6 ? decodeIpv6(bytes) : decodeIpv4(bytes)
}

function ipHeaderBytes(address: Uint8Array): number {
  return address.length === 4 ? 20 : 40
}

function addressBytes(text: string): Uint8Array {
  const bytes = parseAddress(text)
  if (bytes === undefined) throw new UsageError('address-invalid', 'This is not an IP address')
  return bytes
}

function checkPort(port: number): void {
  if (Number.isInteger(port) && port >= 1 && port <= 0xffff) return
  throw new UsageError('port-invalid', 'A port is a whole number from 1 to 65535')
}
