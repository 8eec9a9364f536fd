/**
 * A direct path between a hard NAT, which gives each destination another port (RFC 4787: address- and port-dependent
 * mapping), and one that keeps its port but lets in only where it has sent to. The hard side opens many sockets and
 * sends from each to the steady one's address; the steady side tries ports of the hard one's address at random. Of
 * some 64,000 ports 256 are right: half of all searches need 175 tries, 95 of a hundred 750.
 *
 * It is agreed on inside the tunnel, which a relay carries meanwhile. Nobody else can have this side send that many.
 */
import { type Endpoint, earliest, type Machine, type SocketAddress } from '../core/machine.js'
import type { Random } from '../core/ports.js'
import { type Candidate, type CandidateKind, isRelayTarget } from '../transports/path/candidate.js'

export type PortSearchTransmit =
  /** UDP sockets are to be opened; `handleSockets` says which are. */
  | { readonly type: 'open-sockets'; readonly ids: readonly string[] }
  | { readonly type: 'close-sockets'; readonly ids: readonly string[] }
  /** A check to each of these, without waiting for answers. */
  | { readonly type: 'scatter'; readonly peer: string; readonly to: readonly Endpoint[] }

/** The peer is to hear, through the tunnel, that the sockets are open. */
export interface PortSearchEvent {
  readonly type: 'search'
  readonly peer: string
}

const Sockets = 256
/** Direct checks have this long before a search begins, and an agreement before it is said again. */
const PatienceMs = 500
const SearchMs = 10_000
/** The hard side waits a little longer than the steady one tries. */
const OpenMs = SearchMs + 2000
/** Tries at a time, and how often: 100 a second. */
const Tries = 5
const TriesMs = 50
/** After a search that found nothing; doubles up to the limit. */
const RestMs = 60_000
const RestLimitMs = 15 * 60_000
const [LeastPort, MostPort] = [1024, 65_535]

interface Peer {
  candidates: readonly Candidate[]
  isRelayed: boolean
  /** When the next search may be agreed to. */
  restUntil: number
  restMs: number
  /** The socket of the path that was found. */
  socket: string | undefined
}

interface Opening {
  readonly peer: string
  readonly target: SocketAddress
  ids: readonly string[]
  agreeAt: number | undefined
  readonly endsAt: number
}

interface Probing {
  readonly peer: string
  readonly address: string
  readonly tried: Set<number>
  nextAt: number
  readonly endsAt: number
}

export class PortSearch implements Machine<PortSearchEvent, PortSearchTransmit> {
  readonly #random: Random
  readonly #own: () => readonly Candidate[]
  readonly #peers = new Map<string, Peer>()
  /** When a search may begin, for each peer that is reached through a relay. */
  readonly #startAt = new Map<string, number>()
  #opening: Opening | undefined
  #probing: Probing | undefined
  #opened = 0
  readonly #transmits: PortSearchTransmit[] = []
  readonly #events: PortSearchEvent[] = []

  /** @param own this side's candidates */
  constructor(random: Random, own: () => readonly Candidate[]) {
    this.#random = random
    this.#own = own
  }

  addCandidates(peer: string, candidates: readonly Candidate[]): void {
    const known = this.#peers.get(peer)
    if (known !== undefined) known.candidates = known.candidates.concat(candidates)
    else
      this.#peers.set(peer, {
        candidates,
        isRelayed: false,
        restUntil: -Infinity,
        restMs: RestMs,
        socket: undefined,
      })
  }

  removePeer(peer: string): void {
    const socket = this.#peers.get(peer)?.socket
    this.#peers.delete(peer)
    this.#startAt.delete(peer)
    if (this.#probing?.peer === peer) this.#probing = undefined
    if (this.#opening?.peer === peer) this.#endOpening()
    if (socket !== undefined) this.#transmits.push({ type: 'close-sockets', ids: [socket] })
  }

  /** Notes the path that a peer's packets take now. */
  handlePath(now: number, id: string, kind: CandidateKind, via: string | undefined): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    peer.isRelayed = kind === 'relay'
    if (peer.isRelayed) {
      if (!this.#startAt.has(id)) this.#startAt.set(id, now + PatienceMs)
      return
    }
    this.#startAt.delete(id)
    peer.restMs = RestMs
    if (this.#probing?.peer === id) this.#probing = undefined
    if (this.#opening?.peer !== id) return
    if (via !== undefined && this.#opening.ids.includes(via)) peer.socket = via
    this.#endOpening(via)
  }

  /** The peer, which is behind a hard NAT, has opened its sockets. */
  handleAgreed(now: number, id: string): void {
    const peer = this.#peers.get(id)
    const address = peer && hardAddress(peer.candidates)
    if (peer?.isRelayed !== true || address === undefined || this.#probing !== undefined) return
    if (hardAddress(this.#own()) !== undefined || now < peer.restUntil) return
    this.#probing = { peer: id, address, tried: new Set(), nextAt: now, endsAt: now + SearchMs }
    this.#rest(now, id, peer)
    this.handleTimeout(now)
  }

  /** These sockets are open. */
  handleSockets(now: number, ids: readonly string[]): void {
    const opening = this.#opening
    if (opening === undefined || !ids.some((id) => opening.ids.includes(id))) {
      this.#transmits.push({ type: 'close-sockets', ids })
      return
    }
    opening.ids = ids
    const to = ids.map((via) => ({ ...opening.target, via }))
    this.#transmits.push({ type: 'scatter', peer: opening.peer, to })
    opening.agreeAt = now
    this.handleTimeout(now)
  }

  handleTimeout(now: number): void {
    if (this.#opening !== undefined) this.#attend(now, this.#opening)
    if (this.#probing !== undefined && now >= this.#probing.nextAt) this.#probe(now, this.#probing)
    for (const [id, startAt] of this.#startAt) {
      const peer = this.#peers.get(id)
      if (peer !== undefined && startAt <= now) this.#begin(now, id, peer)
    }
  }

  pollTransmit(): PortSearchTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): PortSearchEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const { endsAt, agreeAt } = this.#opening ?? {}
    return earliest(endsAt, agreeAt, this.#probing?.nextAt, ...this.#startAt.values())
  }

  #begin(now: number, id: string, peer: Peer): void {
    const target = hardAddress(this.#own()) === undefined ? undefined : steadyAddress(peer.candidates)
    if (target === undefined) {
      // It is the other's to begin, or there is no use; unless more becomes known.
      this.#startAt.set(id, now + RestMs)
    } else if (this.#opening !== undefined) {
      this.#startAt.set(id, this.#opening.endsAt)
    } else {
      const ids = Array.from({ length: Sockets }, () => `socket-${this.#opened++}`)
      this.#opening = { peer: id, target, ids, agreeAt: undefined, endsAt: now + OpenMs }
      this.#transmits.push({ type: 'open-sockets', ids })
      this.#rest(now, id, peer)
    }
  }

  #attend(now: number, opening: Opening): void {
    if (now >= opening.endsAt) this.#endOpening()
    else if (opening.agreeAt !== undefined && now >= opening.agreeAt) {
      opening.agreeAt = now + PatienceMs
      this.#events.push({ type: 'search', peer: opening.peer })
    }
  }

  #probe(now: number, probing: Probing): void {
    if (now >= probing.endsAt) {
      this.#probing = undefined
      return
    }
    probing.nextAt = now + TriesMs
    const to = Array.from({ length: Tries }, () => ({
      address: probing.address,
      port: this.#untried(probing),
    }))
    this.#transmits.push({ type: 'scatter', peer: probing.peer, to })
  }

  #untried({ tried }: Probing): number {
    for (;;) {
      const port = LeastPort + Math.floor((MostPort - LeastPort + 1) * this.#random.fraction())
      if (tried.has(port)) continue
      tried.add(port)
      return port
    }
  }

  #rest(now: number, id: string, peer: Peer): void {
    peer.restUntil = now + peer.restMs
    this.#startAt.set(id, peer.restUntil)
    peer.restMs = Math.min(2 * peer.restMs, RestLimitMs)
  }

  /** @param kept the socket that a path goes through now */
  #endOpening(kept?: string): void {
    const ids = this.#opening?.ids.filter((id) => id !== kept) ?? []
    this.#opening = undefined
    this.#transmits.push({ type: 'close-sockets', ids })
  }
}

/** The address of a hard NAT: two STUN servers see two ports of it. Undefined for any other NAT. */
function hardAddress(candidates: readonly Candidate[]): string | undefined {
  const ports = new Map<string, number>()
  for (const { kind, address } of candidates) {
    if (kind !== 'srflx' || !isPublicIpv4(address)) continue
    if ((ports.get(address.address) ?? address.port) !== address.port) return address.address
    ports.set(address.address, address.port)
  }
  return undefined
}

/** Where a NAT that keeps its port, or a firewall, is seen. */
function steadyAddress(candidates: readonly Candidate[]): SocketAddress | undefined {
  if (hardAddress(candidates) !== undefined) return undefined
  const usable = candidates.filter(({ address }) => isPublicIpv4(address))
  return (usable.find(({ kind }) => kind === 'srflx') ?? usable.find(({ kind }) => kind === 'host'))?.address
}

const AnyIpv4: SocketAddress = { address: '192.0.2.1', port: 1 }

function isPublicIpv4(address: SocketAddress): boolean {
  return isRelayTarget(address, { loopback: false, relayed: AnyIpv4 })
}
