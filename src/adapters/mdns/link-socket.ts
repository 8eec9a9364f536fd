/**
 * The socket that multicast-dns is given, one for each family of addresses. Where dgram sends by one interface,
 * it sends by all of its own, and it lets in only what can be meant for us: small, from this link, with one of
 * our names in it. Nothing else is parsed.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import { BlockList } from 'node:net'
import type { Family, LinkInterface } from './interfaces.js'

/** RFC 6762 section 3. */
export const Groups: Readonly<Record<Family, string>> = { 4: '224.0.0.251', 6: 'ff02::fb' }
/** RFC 6762 section 2. */
export const Port = 5353
/** RFC 6762 section 11. */
const Hops = 255
/** RFC 6762 section 17. */
const MaxPacketBytes = 9000
/** Room for the answers of many neighbours at once. The kernel grants what its limits allow. */
const ReceiveBufferBytes = 1024 * 1024

export interface LinkSocketOptions {
  readonly family: Family
  /** At least one, all of that family. */
  readonly interfaces: readonly LinkInterface[]
  /** Whether a packet is worth parsing. */
  readonly isWanted: (packet: Buffer, source: string) => boolean
}

export class LinkSocket extends EventEmitter {
  readonly #family: Family
  readonly #interfaces: readonly LinkInterface[]
  readonly #socket: Socket
  /** Where the socket takes part: the names that dgram has for interfaces. */
  #joined: readonly string[] = []

  constructor({ family, interfaces, isWanted }: LinkSocketOptions) {
    super()
    this.#family = family
    this.#interfaces = interfaces
    const neighbours = networksOf(interfaces)
    this.#socket = createSocket({
      type: family === 4 ? 'udp4' : 'udp6',
      ipv6Only: family === 6,
      reuseAddr: true,
      // Only addresses are given, and sending by one interface must not wait until another is set.
      lookup: (address, _, found) => found(null, address, family),
    })
    this.#socket.on('error', (error) => this.emit('error', error))
    this.#socket.on('message', (packet, remote) => {
      if (packet.length > MaxPacketBytes || !isNeighbour(neighbours, remote)) return
      if (isWanted(packet, remote.address)) this.emit('message', packet, remote)
    })
  }

  /**
   * Takes part on every interface that lets it, and on which it does not yet.
   * @returns how many are new, and why it cannot on the others
   */
  join(): { readonly joined: number; readonly failures: readonly Error[] } {
    const failures: Error[] = []
    const joined: string[] = []
    for (const each of this.#interfaces) {
      const name = this.#family === 4 ? each.address : `::%${each.name}`
      if (this.#joined.includes(name)) continue
      try {
        this.#socket.addMembership(Groups[this.#family], name)
        joined.push(name)
      } catch (error) {
        failures.push(error as Error)
      }
    }
    if (this.#joined.length === 0 && joined.length > 0) this.#setOptions()
    this.#joined = [...this.#joined, ...joined]
    return { joined: joined.length, failures }
  }

  bind(port: number, address: string, callback: () => void): void {
    this.#socket.bind({ port, address }, callback)
  }

  /** Sends by every interface; `callback` gets an error where none of them took it. As dgram has it. */
  send(
    packet: Uint8Array,
    offset: number,
    length: number,
    port: number,
    address: string,
    callback: (error: Error | null) => void,
  ): void {
    let left = this.#joined.length
    let isSent = false
    const settle = (error: Error | null): void => {
      left -= 1
      isSent ||= error === null
      if (left === 0) callback(isSent ? null : error)
    }
    if (left === 0) callback(new Error('no interface takes part'))
    for (const name of this.#joined) {
      try {
        this.#socket.setMulticastInterface(name)
        this.#socket.send(packet, offset, length, port, address, settle)
      } catch (error) {
        settle(error as Error)
      }
    }
  }

  close(callback?: () => void): void {
    this.#socket.close(callback)
  }

  #setOptions(): void {
    this.#socket.setMulticastTTL(Hops)
    this.#socket.setMulticastLoopback(true)
    try {
      this.#socket.setRecvBufferSize(ReceiveBufferBytes)
    } catch {
      // The default has to do.
    }
  }
}

/** RFC 6762 section 11: what comes from elsewhere is ignored. */
function networksOf(interfaces: readonly LinkInterface[]): BlockList {
  const networks = new BlockList()
  networks.addSubnet('fe80::', 10, 'ipv6')
  for (const cidr of interfaces.flatMap(({ networks: own }) => own)) {
    const [address = '', prefix] = cidr.split('/')
    networks.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return networks
}

function isNeighbour(networks: BlockList, { address, family }: RemoteInfo): boolean {
  return networks.check(address.replace(/%.*/, ''), family === 'IPv6' ? 'ipv6' : 'ipv4')
}
