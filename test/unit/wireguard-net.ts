/**
 * WireGuard devices on a pretended network under a clock that jumps: latency, loss and reordering by seed.
 */

import { earliest, formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import type { Random } from '../../src/core/ports.js'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import { Device, type DeviceOptions, type PeerOptions } from '../../src/transports/wireguard/device.js'
import { type DeviceEvent, Nobody } from '../../src/transports/wireguard/device-events.js'

export interface Sent {
  readonly at: number
  readonly from: string
  readonly to: string
  readonly type: number
  readonly bytes: Uint8Array
  readonly replyTo: SocketAddress | undefined
}

interface InFlight {
  readonly at: number
  readonly from: string
  readonly to: string
  readonly bytes: Uint8Array
}

export class Node {
  readonly device: Device
  readonly events: DeviceEvent[] = []
  readonly address: SocketAddress

  constructor(
    readonly name: string,
    options: DeviceOptions,
    number: number,
  ) {
    this.device = new Device(options)
    this.address = { address: `192.0.2.${number}`, port: 51820 }
  }

  /** Events of one type since the last take of it. */
  take<T extends DeviceEvent['type']>(type: T): Extract<DeviceEvent, { type: T }>[] {
    const taken: Extract<DeviceEvent, { type: T }>[] = []
    for (let i = 0; i < this.events.length; ) {
      const event = this.events[i]!
      if (event.type === type) taken.push(...(this.events.splice(i, 1) as typeof taken))
      else i++
    }
    return taken
  }

  payloads(): string[] {
    return this.take('packet').map((event) => new TextDecoder().decode(event.bytes.subarray(20)))
  }
}

export class Net {
  now = 1000
  /** Wall time minus monotonic time. */
  wallOffsetMs: number = Date.UTC(2026, 0, 1)
  readonly sent: Sent[] = []
  readonly random: Random
  latencyMs: () => number = () => 10
  deliver: (sent: Sent) => boolean = () => true
  readonly #nodes = new Map<string, Node>()
  #inFlight: InFlight[] = []

  constructor(seed = 1) {
    this.random = seededRandom(seed)
  }

  add(name: string, options: Partial<DeviceOptions> = {}): Node {
    const wall = { unixMs: () => this.now + this.wallOffsetMs }
    const node = new Node(
      name,
      { secretKey: this.random.bytes(32), crypto: nodeNoiseCrypto, random: this.random, wall, ...options },
      this.#nodes.size + 1,
    )
    this.#nodes.set(name, node)
    return node
  }

  /** Makes `to` a peer of `from`; a peer's id is its node's name. */
  peer(from: Node, to: Node, options: Partial<PeerOptions> & Pick<PeerOptions, 'allowedAddresses'>): void {
    from.device.addPeer(this.now, { id: to.name, publicKey: to.device.publicKey, ...options })
  }

  /** Drains all devices, then lets `ms` go by, deadline by deadline. */
  run(ms: number): void {
    const end = this.now + ms
    this.#drain()
    for (let steps = 0; steps < 1_000_000; steps++) {
      const next = this.#nextDeadline()
      if (next === undefined || next > end) {
        this.now = end
        return
      }
      this.now = Math.max(this.now, next)
      const due = this.#inFlight.filter((datagram) => datagram.at <= this.now)
      this.#inFlight = this.#inFlight.filter((datagram) => datagram.at > this.now)
      for (const { from, to, bytes } of due)
        this.#nodes.get(to)?.device.handleDatagram(this.now, this.#nodes.get(from)!.address, bytes)
      for (const node of this.#nodes.values()) node.device.handleTimeout(this.now)
      this.#drain()
    }
    throw new Error('the devices never come to rest')
  }

  /** How many messages of a type a node has sent. */
  count(from: string, type: number): number {
    return this.sent.filter((sent) => sent.from === from && sent.type === type).length
  }

  /** Nobody's name where no node is there: what is sent to it is lost. */
  #nameAt(address: SocketAddress): string {
    const wanted = formatSocketAddress(address)
    return (
      Array.from(this.#nodes.values()).find((node) => formatSocketAddress(node.address) === wanted)?.name ??
      ''
    )
  }

  #nextDeadline(): number | undefined {
    const devices = [...this.#nodes.values()].map((node) => node.device.pollTimeout())
    return earliest(...devices, ...this.#inFlight.map((datagram) => datagram.at))
  }

  #drain(): void {
    for (const node of this.#nodes.values()) {
      for (let out = node.device.pollTransmit(); out !== undefined; out = node.device.pollTransmit()) {
        const { peer, bytes, replyTo } = out
        const to = peer === Nobody ? this.#nameAt(replyTo!) : peer
        const sent = { at: this.now, from: node.name, to, type: bytes[0]!, bytes, replyTo }
        this.sent.push(sent)
        if (this.deliver(sent)) {
          this.#inFlight.push({ at: this.now + this.latencyMs(), from: node.name, to, bytes })
        }
      }
      for (let event = node.device.pollEvent(); event !== undefined; event = node.device.pollEvent()) {
        node.events.push(event)
      }
    }
  }
}

/** Two devices that are each other's peers: a is 10.0.0.1, b is 10.0.0.2. */
export function createPair(
  options: {
    readonly device?: Partial<DeviceOptions>
    readonly peer?: Partial<PeerOptions>
    readonly seed?: number
  } = {},
): { readonly net: Net; readonly a: Node; readonly b: Node } {
  const net = new Net(options.seed)
  const a = net.add('a', options.device)
  const b = net.add('b', options.device)
  net.peer(a, b, { allowedAddresses: ['10.0.0.2/32', 'fd00::2/128'], ...options.peer })
  net.peer(b, a, { allowedAddresses: ['10.0.0.1/32', 'fd00::1/128'], ...options.peer })
  return { net, a, b }
}

/** An IPv4 packet with no more than WireGuard reads of it. */
export function ipv4Packet(source: string, destination: string, payload: string): Uint8Array {
  const body = new TextEncoder().encode(payload)
  const packet = new Uint8Array(20 + body.length)
  packet[0] = 0x45
  new DataView(packet.buffer).setUint16(2, packet.length)
  packet.set(source.split('.').map(Number), 12)
  packet.set(destination.split('.').map(Number), 16)
  packet.set(body, 20)
  return packet
}

/** An IPv6 packet between fd00::<source> and fd00::<destination>. */
export function ipv6Packet(source: number, destination: number, payloadLength: number): Uint8Array {
  const packet = new Uint8Array(40 + payloadLength)
  packet[0] = 0x60
  new DataView(packet.buffer).setUint16(4, payloadLength)
  packet[8] = packet[24] = 0xfd
  packet[23] = source
  packet[39] = destination
  return packet
}

/** mulberry32: not for secrets, but the same for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { fraction, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(fraction() * 256)) }
}
