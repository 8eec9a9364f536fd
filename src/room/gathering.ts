/** Gathering candidates (RFC 8445 section 5.1.1): where peers may reach this machine's port, as far as is known. */
import { Counters } from '../core/bounded.js'
import {
  type Datagram,
  earliest,
  formatSocketAddress,
  type Machine,
  type SocketAddress,
} from '../core/machine.js'
import { MaxCandidates } from '../core/messages.js'
import type { Random } from '../core/ports.js'
import type { Candidate } from '../transports/path/candidate.js'
import { StunClient } from '../transports/stun/client.js'

/** How long gathering may delay a join. */
const GatheringMs = 500

export interface GatheringOptions {
  readonly random: Random
  readonly localAddresses: readonly SocketAddress[]
  /** How many STUN and TURN servers there will be: their names are looked up while the room starts. */
  readonly servers: number
}

/** A candidate was found, or has changed. */
export interface GatheringEvent {
  readonly type: 'candidates'
}

export class Gathering implements Machine<GatheringEvent, Datagram> {
  readonly #options: GatheringOptions
  readonly #stun: StunClient[] = []
  /** What each STUN server said, by its address; undefined where it does not answer. */
  readonly #reflexive = new Map<string, SocketAddress | undefined>()
  /** TURN servers that have given a relay, or refused one. */
  readonly #heardRelays = new Set<string>()
  #unknownServers = 0
  #localAddresses: readonly SocketAddress[]
  #mapped: SocketAddress | undefined
  #endsAt: number | undefined
  readonly #transmits: Datagram[] = []
  readonly #events: GatheringEvent[] = []

  constructor(options: GatheringOptions) {
    this.#options = options
    this.#localAddresses = options.localAddresses
  }

  start(now: number): void {
    this.#endsAt = now + GatheringMs
  }

  /** @returns whether they are others than before; then servers are asked anew what they see */
  setLocalAddresses(now: number, addresses: readonly SocketAddress[]): boolean {
    const isSame =
      addresses.map(formatSocketAddress).join() === this.#localAddresses.map(formatSocketAddress).join()
    if (isSame) return false
    this.#localAddresses = addresses
    this.#events.push({ type: 'candidates' })
    for (const client of this.#stun) client.restart(now)
    this.#collect()
    return true
  }

  setMappedAddress(address: SocketAddress | undefined): void {
    this.#mapped = address
    this.#events.push({ type: 'candidates' })
  }

  /** @param server undefined for one whose name could not be looked up */
  addStunServer(now: number, server: SocketAddress | undefined): void {
    if (server === undefined) {
      this.noteUnknownServer()
      return
    }
    const client = new StunClient({ random: this.#options.random, servers: [server] })
    this.#stun.push(client)
    client.start(now)
    this.#collect()
  }

  /** Notes a server of which nothing is to be expected. */
  noteUnknownServer(): void {
    this.#unknownServers += 1
  }

  /** Notes that a TURN server has given a relay, or refused one. */
  noteRelay(relay: string): void {
    this.#heardRelays.add(relay)
  }

  /** When every server has answered or failed, or has had its time. */
  isOver(now: number): boolean {
    const heardOf = this.#reflexive.size + this.#heardRelays.size + this.#unknownServers
    return now >= (this.#endsAt ?? now) || heardOf >= this.#options.servers
  }

  /** When it is over at the latest; undefined before it begins. */
  get endsAt(): number | undefined {
    return this.#endsAt
  }

  /** @param relays what TURN servers gave */
  candidates(relays: readonly Candidate[]): readonly Candidate[] {
    const localAddresses = this.#localAddresses
    const known = new Set(localAddresses.map(formatSocketAddress))
    const reflexive: Candidate[] = []
    const mapped = this.#mapped
    if (mapped !== undefined) reflexive.push({ kind: 'mapped', address: mapped })
    reflexive.push(...relays)
    for (const address of this.#reflexive.values()) {
      if (address !== undefined) reflexive.push({ kind: 'srflx', address })
    }
    const others = reflexive.filter(({ address }) => {
      const key = formatSocketAddress(address)
      return !known.has(key) && known.add(key)
    })
    const hosts = localAddresses.map((address): Candidate => ({ kind: 'host', address }))
    // Without any of one kind, some network would be out of reach.
    const some = others.slice(0, MaxCandidates / 2)
    return hosts.slice(0, MaxCandidates - some.length).concat(some)
  }

  /** Where this machine can most likely be reached from afar. */
  get best(): SocketAddress | undefined {
    return [...this.#reflexive.values(), ...this.#localAddresses].find((each) => each !== undefined)
  }

  counts(): readonly (readonly [reason: string, count: number])[] {
    const all = new Counters()
    for (const { counters } of this.#stun) all.addAll(Object.entries(counters))
    return all.entries()
  }

  /** @returns whether a STUN server has answered by it */
  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): boolean {
    const isAnswer = this.#stun.some((client) => client.handleDatagram(now, source, bytes))
    if (isAnswer) this.#collect()
    return isAnswer
  }

  handleTimeout(now: number): void {
    for (const client of this.#stun) client.handleTimeout(now)
    this.#collect()
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): GatheringEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...this.#stun.map((client) => client.pollTimeout()))
  }

  #collect(): void {
    for (const client of this.#stun) {
      for (let event = client.pollEvent(); event !== undefined; event = client.pollEvent()) {
        const mapped = event.type === 'reflexive' ? event.mapped : undefined
        this.#reflexive.set(formatSocketAddress(event.server), mapped)
        if (mapped !== undefined) this.#events.push({ type: 'candidates' })
      }
      for (let sent = client.pollTransmit(); sent !== undefined; sent = client.pollTransmit()) {
        this.#transmits.push(sent)
      }
    }
  }
}
