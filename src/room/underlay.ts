/**
 * One UDP port for all peers and all protocols: it sorts datagrams, finds out where this machine can be
 * reached, keeps a path to every peer, and carries their WireGuard tunnels. The path agent alone decides
 * where a peer's datagrams go.
 */
import { Counters } from '../core/bounded.js'
import { GonetError } from '../core/errors.js'
import {
  type Datagram,
  earliest,
  formatSocketAddress,
  type Machine,
  type SocketAddress,
} from '../core/machine.js'
import { MaxCandidates } from '../core/messages.js'
import type { Crypto, KeyPair, Random, Wall } from '../core/ports.js'
import { type Candidate, formatCandidates, parseCandidates } from '../transports/path/candidate.js'
import {
  formatCredentials,
  generateCredentials,
  type IceCredentials,
  parseCredentials,
} from '../transports/path/credentials.js'
import { Paths } from '../transports/path/paths.js'
import { StunClient } from '../transports/stun/client.js'
import { classifyDatagram } from '../transports/udp/demultiplexer.js'
import type { NoiseCrypto } from '../transports/wireguard/crypto.js'
import { Device } from '../transports/wireguard/device.js'
import { Nobody } from '../transports/wireguard/device-events.js'

/** How long gathering candidates may delay a join. */
const GatheringMs = 500
/** Tunnels, those of joins that are not up yet included. */
const MaxPeers = 4096

export interface UnderlayOptions {
  readonly crypto: Crypto
  readonly noiseCrypto: NoiseCrypto
  readonly random: Random
  readonly wall: Wall
  /** Where this machine's sockets can be reached on its own networks. */
  readonly localAddresses: readonly SocketAddress[]
  /** How many STUN servers there will be: their names are looked up while the room starts. */
  readonly stunServers: number
  /** Whether loopback addresses may be candidates. */
  readonly loopback: boolean
}

export type UnderlayEvent =
  /** An inner IP packet from a peer, its source address checked. */
  | { readonly type: 'packet'; readonly peer: string; readonly bytes: Uint8Array }
  /** A WireGuard session with a peer is up. */
  | { readonly type: 'session'; readonly peer: string }
  /** A peer's WireGuard session is gone, or never came up. */
  | { readonly type: 'expired'; readonly peer: string }
  | { readonly type: 'path'; readonly peer: string; readonly candidate: Candidate; readonly rttMs: number }
  /** A server-reflexive candidate was found or has changed. */
  | { readonly type: 'candidates' }

/** What a peer signalled about itself. */
export interface RemotePeer {
  /** Its WireGuard public key. */
  readonly wireguard: Uint8Array
  readonly presharedKey: Uint8Array
  readonly ice: IceCredentials
  readonly candidates: readonly Candidate[]
}

interface Peer {
  readonly device: Device
  /** Whether this side begins the handshake, and whether it has: there is no use before there is a path. */
  readonly initiator: boolean
  initiated: boolean
}

export class Underlay implements Machine<UnderlayEvent, Datagram> {
  readonly #options: UnderlayOptions
  /** What was dropped here, and by devices that are gone. */
  readonly #counters = new Counters()
  readonly #paths: Paths
  readonly #stun: StunClient[] = []
  readonly #devices = new Set<Device>()
  readonly #peers = new Map<string, Peer>()
  /** What each STUN server said, by its address; undefined where it does not answer. */
  readonly #reflexive = new Map<string, SocketAddress | undefined>()
  #unknownServers = 0
  readonly #transmits: Datagram[] = []
  readonly #events: UnderlayEvent[] = []
  #gatheringEndsAt: number | undefined
  #localAddresses: readonly SocketAddress[]
  #mapped: SocketAddress | undefined

  constructor(options: UnderlayOptions) {
    this.#localAddresses = options.localAddresses
    this.#options = options
    const { crypto, random, loopback } = options
    this.#paths = new Paths({ crypto, random, loopback, maxPeers: MaxPeers })
  }

  /** Begins to gather candidates. */
  start(now: number): void {
    this.#gatheringEndsAt = now + GatheringMs
  }

  /** Where this machine is on its own networks now: they come and go. */
  setLocalAddresses(addresses: readonly SocketAddress[]): void {
    const before = this.candidates
    this.#localAddresses = addresses
    if (this.candidates !== before) this.#events.push({ type: 'candidates' })
  }

  /** Where the router forwards from to this machine's port; undefined where it does not. */
  setMappedAddress(address: SocketAddress | undefined): void {
    const before = this.candidates
    this.#mapped = address
    if (this.candidates !== before) this.#events.push({ type: 'candidates' })
  }

  /** Asks a STUN server where this machine is seen; undefined for one whose name could not be looked up. */
  addStunServer(now: number, server: SocketAddress | undefined): void {
    if (server === undefined) {
      this.#unknownServers += 1
      return
    }
    const client = new StunClient({ random: this.#options.random, servers: [server] })
    this.#stun.push(client)
    client.start(now)
    this.#collect(now)
  }

  /** When every STUN server has answered or failed, or has had its time. */
  gathered(now: number): boolean {
    const heardOf = this.#reflexive.size + this.#unknownServers
    return now >= (this.#gatheringEndsAt ?? now) || heardOf >= this.#options.stunServers
  }

  /** When gathering ends at the latest; undefined before it begins. */
  get gatheringEndsAt(): number | undefined {
    return this.#gatheringEndsAt
  }

  /** This machine's candidates, as a message carries them. */
  get candidates(): string {
    return formatCandidates(this.#candidates())
  }

  /** Where this machine can most likely be reached from afar; empty where it knows no address. */
  get address(): string {
    const [best] = [...this.#reflexive.values(), ...this.#localAddresses].filter((each) => each !== undefined)
    return best === undefined ? '' : formatSocketAddress(best)
  }

  /** A WireGuard device for a key pair of this side: one an epoch of a host, one a join of a guest. */
  addDevice(keyPair: KeyPair): Device {
    const { noiseCrypto, random, wall } = this.#options
    const device = new Device({
      secretKey: keyPair.secretKey,
      crypto: noiseCrypto,
      random,
      wall,
      routeOf: (peer, replyTo) => this.#paths.route(peer, replyTo),
    })
    this.#devices.add(device)
    return device
  }

  removeDevice(now: number, device: Device): void {
    for (const [id, peer] of this.#peers) if (peer.device === device) this.removePeer(now, id)
    if (this.#devices.delete(device)) this.#counters.addAll(countsOf('wireguard', device.counters))
  }

  /** Fresh credentials for the checks of one pair of peers. */
  credentials(): IceCredentials {
    return generateCredentials(this.#options.random)
  }

  /**
   * Looks for a path to a peer and prepares its tunnel.
   * @param addresses its overlay addresses, which lead to it and which it may send from; may be empty
   * @returns false where it cannot be a peer: its key is of small order or a peer's already, or there are too
   *   many; then nothing has changed
   */
  addPeer(
    now: number,
    id: string,
    local: { readonly device: Device; readonly ice: IceCredentials; readonly initiator: boolean },
    remote: RemotePeer,
    addresses: readonly string[],
  ): boolean {
    const { device, ice, initiator } = local
    const { wireguard: publicKey, presharedKey } = remote
    try {
      device.addPeer(now, { id, publicKey, presharedKey, allowedAddresses: addresses.map(rangeOf) })
      this.#paths.add(now, id, { local: ice, remote: remote.ice, remoteCandidates: remote.candidates })
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      device.removePeer(now, id)
      this.#counters.count(error.code)
      return false
    }
    this.#peers.set(id, { device, initiator, initiated: false })
    this.#collect(now)
    return true
  }

  /** Lets overlay addresses lead to a peer, and to no other. */
  assignAddresses(id: string, addresses: readonly string[]): void {
    this.#peers.get(id)?.device.setAllowedAddresses(id, addresses.map(rangeOf))
  }

  addRemoteCandidates(now: number, id: string, candidates: readonly Candidate[]): void {
    if (!this.#peers.has(id)) return
    this.#paths.addRemoteCandidates(now, id, candidates)
    this.#collect(now)
  }

  removePeer(now: number, id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    this.#paths.remove(id)
    peer.device.removePeer(now, id)
  }

  /** Sends an IP packet to the peer that its destination address leads to. */
  send(now: number, packet: Uint8Array): void {
    for (const device of this.#devices) {
      if (device.send(now, packet)) {
        this.#collect(now)
        return
      }
    }
    this.#counters.count('packet-no-route')
  }

  /** What was dropped, by part and reason. */
  dropped(): readonly (readonly [reason: string, count: number])[] {
    const all = new Counters()
    all.addAll(this.#counters.entries())
    all.addAll(countsOf('path', this.#paths.counters))
    for (const client of this.#stun) all.addAll(countsOf('stun', client.counters))
    for (const device of this.#devices) all.addAll(countsOf('wireguard', device.counters))
    return all.entries()
  }

  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): void {
    switch (classifyDatagram(bytes)) {
      case 'wireguard': {
        const device = this.#deviceFor(bytes)
        if (device === undefined) this.#counters.count('wireguard-for-nobody')
        else device.handleDatagram(now, source, bytes)
        break
      }
      case 'stun':
        if (!this.#stun.some((client) => client.handleDatagram(now, source, bytes))) {
          this.#paths.handleDatagram(now, source, bytes)
        }
        break
      case 'unknown':
        this.#counters.count('datagram-unknown')
    }
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    for (const client of this.#stun) client.handleTimeout(now)
    this.#paths.handleTimeout(now)
    for (const device of this.#devices) device.handleTimeout(now)
    this.#collect(now)
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): UnderlayEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(
      ...this.#stun.map((client) => client.pollTimeout()),
      this.#paths.pollTimeout(),
      ...Array.from(this.#devices, (device) => device.pollTimeout()),
    )
  }

  #deviceFor(bytes: Uint8Array): Device | undefined {
    for (const device of this.#devices) if (this.#devices.size === 1 || device.claims(bytes)) return device
    return undefined
  }

  #candidates(): readonly Candidate[] {
    const localAddresses = this.#localAddresses
    const known = new Set(localAddresses.map(formatSocketAddress))
    const reflexive: Candidate[] = []
    for (const address of this.#reflexive.values()) {
      if (address === undefined) continue
      if (!known.has(formatSocketAddress(address))) reflexive.push({ kind: 'srflx', address })
      known.add(formatSocketAddress(address))
    }
    const mapped = this.#mapped
    const asked: Candidate[] =
      mapped === undefined || known.has(formatSocketAddress(mapped))
        ? []
        : [{ kind: 'mapped', address: mapped }]
    const hosts = localAddresses.map((address): Candidate => ({ kind: 'host', address }))
    // Without any of one kind, some network would be out of reach.
    const some = asked.concat(reflexive).slice(0, MaxCandidates / 2)
    return hosts.slice(0, MaxCandidates - some.length).concat(some)
  }

  /** Moves what the machines inside have to say to where it belongs; until all are silent. */
  #collect(now: number): void {
    this.#collectStun()
    for (let moved = true; moved; ) moved = this.#collectPaths(now) || this.#collectDevices(now)
    this.#drainDatagrams(this.#paths)
  }

  #collectStun(): void {
    for (const client of this.#stun) {
      for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent()) {
        const mapped = event.type === 'reflexive' ? event.mapped : undefined
        this.#reflexive.set(formatSocketAddress(event.server), mapped)
        if (mapped !== undefined) this.#events.push({ type: 'candidates' })
      }
      this.#drainDatagrams(client)
    }
  }

  #collectPaths(now: number): boolean {
    const event = this.#paths.pollEvent()
    if (event === undefined) return false
    if (event.type === 'selected') {
      const { peer: id, candidate, rttMs } = event
      this.#events.push({ type: 'path', peer: id, candidate, rttMs })
      const peer = this.#peers.get(id)
      if (peer?.initiator === true && !peer.initiated) {
        peer.initiated = true
        peer.device.initiate(now, id)
      }
    }
    return true
  }

  #collectDevices(now: number): boolean {
    let moved = false
    for (const device of this.#devices) {
      for (let sent = device.pollTransmit(); sent !== undefined; sent = device.pollTransmit()) {
        moved = true
        const destination = sent.peer === Nobody ? sent.replyTo : this.#paths.route(sent.peer, sent.replyTo)
        if (destination === undefined) this.#counters.count('datagram-no-path')
        else this.#transmits.push({ destination, bytes: sent.bytes })
        this.#paths.sent(now, sent.peer)
      }
      for (let event = device.pollEvent(); event !== undefined; event = device.pollEvent()) {
        moved = true
        if (event.type === 'authenticated') this.#paths.authenticated(now, event.peer, event.source)
        else this.#events.push(event)
      }
    }
    return moved
  }

  #drainDatagrams(machine: Machine<unknown, Datagram>): void {
    for (let sent = machine.pollTransmit(); sent !== undefined; sent = machine.pollTransmit()) {
      this.#transmits.push(sent)
    }
  }
}

/** A part's own counters, named as docs/protocol.md has them. */
function countsOf(part: string, counters: object): readonly (readonly [reason: string, count: number])[] {
  return Object.entries(counters).map(([reason, count]) => [`${part} ${reason}`, Number(count)])
}

/** An address as the range that holds it alone. */
function rangeOf(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`
}

/**
 * Reads what a message says of its sender's reachability.
 * @returns undefined where it is not of its form
 */
export function readReachability(
  ice: string,
  candidates: string,
): { readonly ice: IceCredentials; readonly candidates: readonly Candidate[] } | undefined {
  const [credentials, list] = [parseCredentials(ice), parseCandidates(candidates)]
  return credentials && list && { ice: credentials, candidates: list }
}

export { formatCredentials, parseCandidates }
