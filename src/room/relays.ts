/**
 * The relays of this side: an allocation on each TURN server (RFC 8656), which every peer shares. A relay is a
 * base of its own: what is sent and what comes `via` it is told from what goes through this machine's own port.
 */
import { Counters } from '../core/bounded.js'
import { earliest, type Machine, type SocketAddress } from '../core/machine.js'
import type { Crypto, Random } from '../core/ports.js'
import { type Candidate, isRelayTarget, isUsableTarget } from '../transports/path/candidate.js'
import type { PathDatagram } from '../transports/path/paths.js'
import type { LongTermKey, TurnCredentials } from '../transports/turn/authentication.js'
import { TurnClient } from '../transports/turn/client.js'
import type { TurnFailure } from '../transports/turn/events.js'

/** A TURN server to use. */
export interface RelayServer {
  /** What it is called in events, such as its URL. */
  readonly id: string
  readonly address: SocketAddress
  /** Over UDP it shares this machine's port; a stream is whoever runs the machine's to open. */
  readonly transport: 'udp' | 'stream'
  readonly longTermKey: LongTermKey
  /** Asked for each allocation. */
  readonly credentials: () => TurnCredentials
}

export interface RelaysOptions {
  readonly crypto: Crypto
  readonly random: Random
  /** Whether this machine itself may be reached through a relay. */
  readonly loopback: boolean
}

export type RelayTransmit =
  | { readonly type: 'datagram'; readonly datagram: PathDatagram }
  /** Bytes for a relay's stream. */
  | { readonly type: 'stream'; readonly relay: string; readonly bytes: Uint8Array }
  /** A relay's stream is to be opened; one that is open is closed before. */
  | {
      readonly type: 'connect'
      readonly relay: string
      readonly server: SocketAddress
      /** What its certificate is to say, where the server has sent us on with a name. */
      readonly domain: string | undefined
    }

/** What becomes of a relay's stream. */
export type RelayInput =
  | { readonly type: 'connected' }
  | { readonly type: 'bytes'; readonly bytes: Uint8Array }
  /** `reason`: a sentence without a final stop. */
  | { readonly type: 'closed'; readonly reason: string }

export type RelayEvent =
  /** What is sent to `relayed` comes here. */
  | { readonly type: 'allocated'; readonly relay: string; readonly relayed: SocketAddress }
  | { readonly type: 'lost'; readonly relay: string }
  | {
      readonly type: 'data'
      readonly relay: string
      readonly source: SocketAddress
      readonly bytes: Uint8Array
    }
  /** `final`: it is not tried again. */
  | {
      readonly type: 'failed'
      readonly relay: string
      readonly final: boolean
      readonly failure: TurnFailure
    }

/** Each costs every peer a round of checks. */
export const MaxRelays = 3

interface Relay {
  readonly server: RelayServer
  readonly client: TurnClient
  /** Where the server is now: it may have sent us elsewhere. */
  address: SocketAddress
  domain: string | undefined
  relayed: SocketAddress | undefined
}

export class Relays implements Machine<RelayEvent, RelayTransmit> {
  readonly #options: RelaysOptions
  readonly #relays = new Map<string, Relay>()
  /** What each peer has signalled. */
  readonly #peers = new Map<string, readonly Candidate[]>()
  readonly #transmits: RelayTransmit[] = []
  readonly #events: RelayEvent[] = []

  constructor(options: RelaysOptions) {
    this.#options = options
  }

  /** Where peers reach this side through relays. */
  get candidates(): readonly Candidate[] {
    return Array.from(this.#relays.values()).flatMap(({ relayed }) =>
      relayed === undefined ? [] : [{ kind: 'relay', address: relayed }],
    )
  }

  /** Begins to use a server. Does nothing for one that is used, nor beyond the most that there may be. */
  add(now: number, server: RelayServer): void {
    if (this.#relays.has(server.id) || this.#relays.size >= MaxRelays) return
    const { crypto, random } = this.#options
    const { address, credentials, longTermKey, transport } = server
    const family = address.address.includes(':') ? 6 : 4
    const client = new TurnClient({ crypto, random, longTermKey, transport, credentials, family })
    const relay: Relay = { server, client, address, domain: undefined, relayed: undefined }
    this.#relays.set(server.id, relay)
    this.#connect(now, relay)
  }

  has(id: string): boolean {
    return this.#relays.has(id)
  }

  /** Lets a peer's candidates reach this side through the relays, besides those that it had before. */
  permit(now: number, peer: string, candidates: readonly Candidate[]): void {
    this.#peers.set(peer, (this.#peers.get(peer) ?? []).concat(candidates))
    for (const relay of this.#relays.values()) this.#permit(now, relay, candidates)
  }

  release(peer: string): void {
    const candidates = this.#peers.get(peer)
    if (candidates === undefined || !this.#peers.delete(peer) || this.#relays.size === 0) return
    const kept = new Set(Array.from(this.#peers.values(), addressesOf).flat())
    const released = addressesOf(candidates).filter((address) => !kept.has(address))
    for (const { client } of this.#relays.values()) client.release(released)
  }

  /** @returns whether a relay sends from there, so that the datagram is for it */
  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): boolean {
    for (const relay of this.#relays.values()) {
      const { address, server } = relay
      if (server.transport !== 'udp' || address.port !== source.port || address.address !== source.address)
        continue
      relay.client.handleBytes(now, bytes)
      this.#collect(now, relay)
      return true
    }
    return false
  }

  /** The stream of a relay is open. */
  handleConnected(now: number, id: string): void {
    this.#handle(now, id, (client) => client.start(now))
  }

  /** This machine may be in another network: what a server still knows of it is asked at once. */
  handleNetworkChange(now: number): void {
    for (const id of this.#relays.keys()) this.#handle(now, id, (client) => client.handleNetworkChange(now))
  }

  handleStream(now: number, id: string, bytes: Uint8Array): void {
    this.#handle(now, id, (client) => client.handleBytes(now, bytes))
  }

  /** The stream of a relay has ended, or could not be opened. @param reason a sentence without a final stop */
  handleClosed(now: number, id: string, reason: string): void {
    this.#handle(now, id, (client) => client.handleClosed(now, reason))
  }

  /** Sends through a relay; what it has no permission for, or no room, is dropped. */
  send(now: number, id: string, peer: SocketAddress, bytes: Uint8Array): void {
    this.#handle(now, id, (client) => void client.send(now, peer, bytes))
  }

  /** Frees all allocations. */
  close(now: number): void {
    for (const relay of this.#relays.values()) {
      relay.client.close(now)
      this.#collect(now, relay)
    }
  }

  dropped(): readonly (readonly [reason: string, count: number])[] {
    const all = new Counters()
    for (const { client } of this.#relays.values()) {
      for (const [reason, count] of Object.entries(client.counters)) all.addAll([[`turn ${reason}`, count]])
    }
    return all.entries()
  }

  handleTimeout(now: number): void {
    for (const relay of this.#relays.values()) {
      relay.client.handleTimeout(now)
      this.#collect(now, relay)
    }
  }

  pollTransmit(): RelayTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): RelayEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...Array.from(this.#relays.values(), ({ client }) => client.pollTimeout()))
  }

  #handle(now: number, id: string, input: (client: TurnClient) => void): void {
    const relay = this.#relays.get(id)
    if (relay === undefined) return
    input(relay.client)
    this.#collect(now, relay)
  }

  #connect(now: number, relay: Relay): void {
    if (relay.server.transport === 'udp') relay.client.start(now)
    else {
      const { address, domain, server } = relay
      this.#transmits.push({ type: 'connect', relay: server.id, server: address, domain })
    }
    this.#collect(now, relay)
  }

  #permit(now: number, relay: Relay, candidates: readonly Candidate[]): void {
    const { relayed, client } = relay
    if (relayed === undefined) return
    const { loopback } = this.#options
    const fit = candidates.filter(({ address }) => isRelayTarget(address, { loopback, relayed }))
    if (fit.length === 0) return
    client.permit(now, addressesOf(fit))
    this.#collect(now, relay)
  }

  #collect(now: number, relay: Relay): void {
    const { client, server } = relay
    for (let bytes = client.pollTransmit(); bytes !== undefined; bytes = client.pollTransmit()) {
      this.#transmits.push(
        server.transport === 'udp'
          ? { type: 'datagram', datagram: { destination: relay.address, bytes } }
          : { type: 'stream', relay: server.id, bytes },
      )
    }
    for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent()) {
      switch (event.type) {
        case 'allocated':
          relay.relayed = event.relayed
          this.#events.push({ type: 'allocated', relay: server.id, relayed: event.relayed })
          for (const candidates of this.#peers.values()) this.#permit(now, relay, candidates)
          break
        case 'data':
          this.#events.push({ type: 'data', relay: server.id, source: event.peer, bytes: event.bytes })
          break
        case 'lost':
          this.#lose(relay)
          this.#goBack(relay)
          break
        case 'failed': {
          const { type, final, ...failure } = event
          this.#goBack(relay)
          this.#events.push({ type, relay: server.id, final, failure })
          break
        }
        case 'redirect':
          // To wherever it is, but not to this machine or a group.
          if (!isUsableTarget(event.server, this.#options)) {
            client.handleClosed(now, 'It sends us to an address that no server can have')
            break
          }
          relay.address = event.server
          relay.domain = event.domain
          this.#connect(now, relay)
          break
        case 'reconnect':
          this.#connect(now, relay)
          break
        case 'closed':
          this.#lose(relay)
          break
        case 'permitted':
        case 'denied':
          break
      }
    }
  }

  /** To the server that was configured, wherever it has sent us since. */
  #goBack(relay: Relay): void {
    relay.address = relay.server.address
    relay.domain = undefined
  }

  #lose(relay: Relay): void {
    if (relay.relayed === undefined) return
    relay.relayed = undefined
    this.#events.push({ type: 'lost', relay: relay.server.id })
  }
}

function addressesOf(candidates: readonly Candidate[]): readonly string[] {
  return Array.from(new Set(candidates.map(({ address }) => address.address)))
}
