/**
 * One UDP port for all peers and all protocols: it sorts datagrams, finds out where this machine can be
 * reached, keeps a path to every peer, and carries their WireGuard tunnels. The path agent alone decides
 * where a peer's datagrams go.
 */
import { Counters } from '../core/bounded.js'
import { GonetError } from '../core/errors.js'
import {
  type Endpoint,
  earliest,
  formatSocketAddress,
  type Machine,
  type SocketAddress,
} from '../core/machine.js'
import type { Crypto, KeyPair, Random, Wall } from '../core/ports.js'
import { type Candidate, formatCandidates } from '../transports/path/candidate.js'
import { generateCredentials, type IceCredentials } from '../transports/path/credentials.js'
import { type PathDatagram, Paths } from '../transports/path/paths.js'
import { OpenerLatencies } from '../transports/path/timing.js'
import type { TurnFailure } from '../transports/turn/events.js'
import { classifyDatagram, type DatagramKind } from '../transports/udp/demultiplexer.js'
import type { NoiseCrypto } from '../transports/wireguard/crypto.js'
import { Device } from '../transports/wireguard/device.js'
import { Nobody } from '../transports/wireguard/device-events.js'
import { Gathering } from './gathering.js'
import { PortSearch, type PortSearchEvent, type PortSearchTransmit } from './port-search.js'
import { type RelayInput, type RelayServer, Relays, type RelayTransmit } from './relays.js'

/** Tunnels, those of joins that are not up yet included. */
const MaxPeers = 4096

export type TransportPolicy = 'all' | 'direct' | 'relay'

export interface UnderlayOptions {
  readonly crypto: Crypto
  readonly noiseCrypto: NoiseCrypto
  readonly random: Random
  readonly wall: Wall
  /** Where this machine's sockets can be reached on its own networks. */
  readonly localAddresses: readonly SocketAddress[]
  /** How many STUN servers there will be: their names are looked up while the room starts. */
  readonly stunServers: number
  /** The same of TURN servers. Default 0. */
  readonly relays?: number
  /** Which paths there may be: direct ones, those through relays of this side's own, or both. Default all. */
  readonly policy?: TransportPolicy
  /** Whether loopback addresses may be candidates. */
  readonly loopback: boolean
  /** What a record takes over the fastest backend in use, in ms; 0 by default. */
  readonly signallingLatencyMs?: number | undefined
}

export type UnderlayEvent =
  /** An inner IP packet from a peer, its source address checked. */
  | { readonly type: 'packet'; readonly peer: string; readonly bytes: Uint8Array }
  /** A WireGuard session with a peer is up. */
  | { readonly type: 'session'; readonly peer: string }
  /** A peer's WireGuard session is gone, or never came up. */
  | { readonly type: 'expired'; readonly peer: string }
  | { readonly type: 'path'; readonly peer: string; readonly candidate: Candidate; readonly rttMs: number }
  /** The peer is to hear of a search: `handleSearch` at its side. */
  | PortSearchEvent
  /** A candidate was found, or has changed. */
  | { readonly type: 'candidates' }
  /** A TURN server gives no relay. `final`: it is not asked again. */
  | {
      readonly type: 'relay-failed'
      readonly relay: string
      readonly final: boolean
      readonly failure: TurnFailure
    }

/** What concerns the room rather than a server. */
export type PeerEvent = Exclude<UnderlayEvent, { readonly type: 'relay-failed' }>

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

/** What is to be sent, and what is to be done for it. */
export type UnderlayTransmit = RelayTransmit | Exclude<PortSearchTransmit, { readonly type: 'scatter' }>

export class Underlay implements Machine<UnderlayEvent, UnderlayTransmit> {
  readonly #options: UnderlayOptions
  /** What was dropped here, and by devices that are gone. */
  readonly #counters = new Counters()
  readonly #paths: Paths
  readonly #gathering: Gathering
  readonly #relays: Relays
  readonly #search: PortSearch
  readonly #devices = new Set<Device>()
  readonly #peers = new Map<string, Peer>()
  readonly #transmits: UnderlayTransmit[] = []
  readonly #events: UnderlayEvent[] = []

  constructor(options: UnderlayOptions) {
    this.#options = options
    const { crypto, random, localAddresses, loopback, policy = 'all', relays = 0, stunServers } = options
    this.#gathering = new Gathering({ random, localAddresses, servers: stunServers + relays })
    this.#paths = new Paths({ crypto, random, loopback, maxPeers: MaxPeers, direct: policy !== 'relay' })
    this.#relays = new Relays({ crypto, random, loopback })
    this.#search = new PortSearch(random, () => (policy === 'all' ? this.#gathering.candidates([]) : []))
  }

  /** Begins to gather candidates. */
  start(now: number): void {
    this.#gathering.start(now)
  }

  /** Where this machine is on its own networks now: they come and go. */
  setLocalAddresses(now: number, addresses: readonly SocketAddress[]): void {
    if (this.#gathering.setLocalAddresses(now, addresses)) {
      this.#relays.handleNetworkChange(now)
      this.#paths.handleNetworkChange(now)
    }
    this.#collect(now)
  }

  /** Where the router forwards from to this machine's port; undefined where it does not. */
  setMappedAddress(now: number, address: SocketAddress | undefined): void {
    this.#gathering.setMappedAddress(address)
    this.#collect(now)
  }

  /** Asks a STUN server where this machine is seen; undefined for one whose name could not be looked up. */
  addStunServer(now: number, server: SocketAddress | undefined): void {
    this.#gathering.addStunServer(now, server)
    this.#collect(now)
  }

  /** Uses a TURN server; undefined for one whose name could not be looked up. */
  addRelay(now: number, server: RelayServer | undefined): void {
    if (server === undefined) this.#gathering.noteUnknownServer()
    else this.#relays.add(now, server)
    this.#collect(now)
  }

  /** The stream of a relay is open, has brought bytes, or has ended. */
  handleRelayStream(now: number, relay: string, input: RelayInput): void {
    if (input.type === 'connected') this.#relays.handleConnected(now, relay)
    else if (input.type === 'bytes') this.#relays.handleStream(now, relay, input.bytes)
    else this.#relays.handleClosed(now, relay, input.reason)
    this.#collect(now)
  }

  /** The peer is behind a hard NAT, and has opened sockets for a search. */
  handleSearch(now: number, peer: string): void {
    this.#search.handleAgreed(now, peer)
    this.#collect(now)
  }

  /** These further sockets are open. */
  handleSockets(now: number, ids: readonly string[]): void {
    this.#search.handleSockets(now, ids)
    this.#collect(now)
  }

  /** Frees what servers hold for this side. */
  close(now: number): void {
    this.#relays.close(now)
    this.#collectRelays(now)
  }

  /** When every server has answered or failed, or has had its time. */
  gathered(now: number): boolean {
    return this.#gathering.isOver(now)
  }

  /** When gathering ends at the latest; undefined before it begins. */
  get gatheringEndsAt(): number | undefined {
    return this.#gathering.endsAt
  }

  /** This machine's candidates, as a message carries them. */
  get candidates(): string {
    const relays = this.#options.policy === 'direct' ? [] : this.#relays.candidates
    return formatCandidates(this.#options.policy === 'relay' ? relays : this.#gathering.candidates(relays))
  }

  /** Where this machine can most likely be reached from afar; empty where it knows no address. */
  get address(): string {
    const { best } = this.#gathering
    return best === undefined || this.#options.policy === 'relay' ? '' : formatSocketAddress(best)
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
   * @param addresses overlay addresses or ranges of them, which lead to it and which it may send from; may be empty
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
      this.#paths.add(now, id, {
        local: ice,
        remote: remote.ice,
        remoteCandidates: remote.candidates,
        // The one who begins has been found by the other already.
        opensForMs: initiator ? 0 : OpenerLatencies * (this.#options.signallingLatencyMs ?? 0),
      })
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      device.removePeer(now, id)
      this.#counters.count(error.code)
      return false
    }
    this.#peers.set(id, { device, initiator, initiated: false })
    this.#relays.permit(now, id, remote.candidates)
    this.#search.addCandidates(id, remote.candidates)
    this.#collect(now)
    return true
  }

  /** Lets overlay addresses lead to a peer, and to no other. */
  assignAddresses(id: string, addresses: readonly string[]): void {
    this.#peers.get(id)?.device.setAllowedAddresses(id, addresses.map(rangeOf))
  }

  /** Where a peer's packets go; undefined where there is no path. Through a relay, what the relay is told. */
  remoteOf(id: string): SocketAddress | undefined {
    return this.#paths.route(id)
  }

  addRemoteCandidates(now: number, id: string, candidates: readonly Candidate[]): void {
    if (!this.#peers.has(id)) return
    this.#paths.addRemoteCandidates(now, id, candidates)
    this.#relays.permit(now, id, candidates)
    this.#search.addCandidates(id, candidates)
    this.#collect(now)
  }

  removePeer(now: number, id: string): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    this.#peers.delete(id)
    this.#paths.remove(id)
    this.#relays.release(id)
    this.#search.removePeer(id)
    peer.device.removePeer(now, id)
  }

  /** The peer that a packet's destination address leads to; undefined where it is nobody's. */
  peerFor(packet: Uint8Array): string | undefined {
    for (const device of this.#devices) {
      const peer = device.peerFor(packet)
      if (peer !== undefined) return peer
    }
    return undefined
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
    all.addAll(countsOf('stun', Object.fromEntries(this.#gathering.counts())))
    for (const device of this.#devices) all.addAll(countsOf('wireguard', device.counters))
    all.addAll(this.#relays.dropped())
    return all.entries()
  }

  /** @param source `via` a further socket, or by the port itself */
  handleDatagram(now: number, source: Endpoint, bytes: Uint8Array): void {
    const kind = classifyDatagram(bytes)
    const isClaimed =
      source.via === undefined &&
      ((kind === 'stun' && this.#gathering.handleDatagram(now, source, bytes)) ||
        // A receiver index can make a packet of a tunnel look like a TURN server's.
        (kind !== 'wireguard' && this.#relays.handleDatagram(now, source, bytes)))
    if (!isClaimed) this.#handleFromPeer(now, kind, source, bytes)
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    this.#gathering.handleTimeout(now)
    this.#relays.handleTimeout(now)
    this.#search.handleTimeout(now)
    this.#paths.handleTimeout(now)
    for (const device of this.#devices) device.handleTimeout(now)
    this.#collect(now)
  }

  pollTransmit(): UnderlayTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): UnderlayEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(
      this.#gathering.pollTimeout(),
      this.#relays.pollTimeout(),
      this.#search.pollTimeout(),
      this.#paths.pollTimeout(),
      ...Array.from(this.#devices, (device) => device.pollTimeout()),
    )
  }

  #handleFromPeer(now: number, kind: DatagramKind, source: Endpoint, bytes: Uint8Array): void {
    if (kind === 'wireguard') {
      const device = this.#deviceFor(bytes)
      if (device === undefined) this.#counters.count('wireguard-for-nobody')
      else device.handleDatagram(now, source, bytes)
    } else if (kind === 'stun') this.#paths.handleDatagram(now, source, bytes)
    else this.#counters.count('datagram-unknown')
  }

  #deviceFor(bytes: Uint8Array): Device | undefined {
    for (const device of this.#devices) if (this.#devices.size === 1 || device.claims(bytes)) return device
    return undefined
  }

  /** Moves what the machines inside have to say to where it belongs; until all are silent. */
  #collect(now: number): void {
    this.#collectGathering()
    for (let moved = true; moved; ) {
      moved = this.#collectPaths(now) || this.#collectDevices(now)
      for (let sent = this.#paths.pollTransmit(); sent !== undefined; sent = this.#paths.pollTransmit()) {
        this.#transmit(now, sent)
      }
      moved = this.#collectRelays(now) || moved
      moved = this.#collectSearch() || moved
    }
  }

  #transmit(now: number, datagram: PathDatagram): void {
    const { destination, bytes } = datagram
    const { via } = destination
    if (via === undefined || !this.#relays.has(via)) this.#transmits.push({ type: 'datagram', datagram })
    else this.#relays.send(now, via, destination, bytes)
  }

  #collectRelays(now: number): boolean {
    const [relays, transmits] = [this.#relays, this.#transmits]
    for (let sent = relays.pollTransmit(); sent !== undefined; sent = relays.pollTransmit())
      transmits.push(sent)
    let moved = false
    for (let event = relays.pollEvent(); event !== undefined; event = relays.pollEvent()) {
      moved = true
      const { type, relay } = event
      switch (type) {
        case 'data': {
          const source: Endpoint = { ...event.source, via: relay }
          this.#handleFromPeer(now, classifyDatagram(event.bytes), source, event.bytes)
          break
        }
        case 'allocated':
          this.#gathering.noteRelay(relay)
          this.#paths.addRelay(now, relay, event.relayed)
          this.#events.push({ type: 'candidates' })
          break
        case 'lost':
          this.#paths.removeRelay(now, relay)
          break
        case 'failed':
          this.#gathering.noteRelay(relay)
          this.#events.push({ ...event, type: 'relay-failed' })
      }
    }
    return moved
  }

  #collectSearch(): boolean {
    let moved = false
    for (let sent = this.#search.pollTransmit(); sent !== undefined; sent = this.#search.pollTransmit()) {
      moved = true
      if (sent.type === 'scatter') this.#paths.scatter(sent.peer, sent.to)
      else this.#transmits.push(sent)
    }
    for (let event = this.#search.pollEvent(); event !== undefined; event = this.#search.pollEvent()) {
      moved = true
      this.#events.push(event)
    }
    return moved
  }

  #collectGathering(): void {
    const gathering = this.#gathering
    for (let event = gathering.pollEvent(); event !== undefined; event = gathering.pollEvent()) {
      this.#events.push(event)
    }
    for (
      let datagram = gathering.pollTransmit();
      datagram !== undefined;
      datagram = gathering.pollTransmit()
    ) {
      this.#transmits.push({ type: 'datagram', datagram })
    }
  }

  #collectPaths(now: number): boolean {
    const event = this.#paths.pollEvent()
    if (event === undefined) return false
    if (event.type === 'selected') {
      const { peer: id, candidate, rttMs } = event
      this.#search.handlePath(now, id, candidate.kind, event.candidate.address.via)
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
        else this.#transmit(now, { destination, bytes: sent.bytes })
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
}

/** A part's own counters, named as docs/protocol.md has them. */
function countsOf(part: string, counters: object): readonly (readonly [reason: string, count: number])[] {
  return Object.entries(counters).map(([reason, count]) => [`${part} ${reason}`, Number(count)])
}

/** An address as the range that holds it alone; ranges are ranges already. */
function rangeOf(address: string): string {
  if (address.includes('/')) return address
  return `${address}/${address.includes(':') ? 128 : 32}`
}
