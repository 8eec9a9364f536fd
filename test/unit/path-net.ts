/**
 * Path machines on a pretended network under a clock that jumps. Each machine has one address on every link
 * it is on: what it sends to another's address on a link comes from its own address on that link.
 */
import { earliest, formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import type { Candidate, CandidateKind } from '../../src/transports/path/candidate.js'
import { CheckCredentials } from '../../src/transports/path/checks.js'
import { generateCredentials, type IceCredentials } from '../../src/transports/path/credentials.js'
import { type PathEvent, Paths, type PathsOptions } from '../../src/transports/path/paths.js'
import { SeededRandom } from '../sim/seeded-random.js'

export interface Sent {
  readonly at: number
  readonly from: string
  readonly to: SocketAddress
  readonly bytes: Uint8Array
  readonly isCheck: boolean
}

interface InFlight {
  readonly at: number
  readonly from: PathNode
  readonly source: SocketAddress
  readonly to: SocketAddress
  /** Undefined for a packet of the tunnel. */
  readonly bytes: Uint8Array | undefined
}

export class PathNode {
  readonly paths: Paths
  readonly events: (PathEvent & { readonly at: number })[] = []

  constructor(
    readonly name: string,
    /** By link. */
    readonly addresses: SocketAddress[],
    options: PathsOptions,
  ) {
    this.paths = new Paths(options)
  }

  /** What was said of a peer, without the times. */
  said(peer: string): string[] {
    return this.events
      .filter((event) => event.peer === peer)
      .map((event) =>
        event.type === 'selected'
          ? `${event.candidate.kind} ${formatSocketAddress(event.candidate.address)}`
          : event.type,
      )
  }

  /** When a peer's path was last selected. */
  selectedAt(peer: string): number | undefined {
    return this.events.findLast((event) => event.peer === peer && event.type === 'selected')?.at
  }
}

export class PathNet {
  now = 1000
  readonly random: SeededRandom
  readonly sent: Sent[] = []
  latencyMs: (link: number, from: string) => number = () => 10
  isUp: (link: number, from: string, to: string) => boolean = () => true
  readonly #nodes = new Map<string, PathNode>()
  #inFlight: InFlight[] = []

  constructor(seed: string | number = 1) {
    this.random = new SeededRandom(seed)
  }

  add(name: string, addresses: readonly SocketAddress[], options: Partial<PathsOptions> = {}): PathNode {
    const random = this.random.fork(name)
    const node = new PathNode(name, [...addresses], {
      crypto: nodeCrypto,
      random,
      loopback: false,
      ...options,
    })
    this.#nodes.set(name, node)
    return node
  }

  /**
   * Makes two machines look for each other.
   * @returns the credentials of each
   */
  join(
    a: PathNode,
    b: PathNode,
    known: { readonly ofA?: readonly Candidate[]; readonly ofB?: readonly Candidate[] } = {},
  ): { readonly ofA: IceCredentials; readonly ofB: IceCredentials } {
    const ofA = generateCredentials(this.random)
    const ofB = generateCredentials(this.random)
    const { ofA: candidatesOfA = candidatesOf(a), ofB: candidatesOfB = candidatesOf(b) } = known
    a.paths.add(this.now, b.name, { local: ofA, remote: ofB, remoteCandidates: candidatesOfB })
    b.paths.add(this.now, a.name, { local: ofB, remote: ofA, remoteCandidates: candidatesOfA })
    return { ofA, ofB }
  }

  /** Sends a packet of the tunnel where the path leads; there, it counts as authentic. */
  tunnel(from: PathNode, to: PathNode): void {
    const destination = from.paths.route(to.name)
    from.paths.sent(this.now, to.name)
    if (destination !== undefined) this.#carry(from, destination, undefined)
  }

  /** Drains all machines, then lets `ms` go by, deadline by deadline. */
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
      const due = this.#inFlight.filter(({ at }) => at <= this.now)
      this.#inFlight = this.#inFlight.filter(({ at }) => at > this.now)
      for (const datagram of due) this.#deliver(datagram)
      for (const { paths } of this.#nodes.values()) {
        if ((paths.pollTimeout() ?? Infinity) <= this.now) paths.handleTimeout(this.now)
      }
      this.#drain()
    }
    throw new Error('the machines never come to rest')
  }

  /** Runs for `ms` with a packet of the tunnel each way every `everyMs`. */
  runBusy(ms: number, a: PathNode, b: PathNode, everyMs = 100): void {
    for (let at = 0; at < ms; at += everyMs) {
      this.tunnel(a, b)
      this.tunnel(b, a)
      this.run(Math.min(everyMs, ms - at))
    }
  }

  /** The checks that a machine has sent, to one target or to all. */
  checks(from: PathNode, to?: SocketAddress): Sent[] {
    return this.sent.filter(
      (sent) => sent.from === from.name && sent.isCheck && (to === undefined || isSame(sent.to, to)),
    )
  }

  #nextDeadline(): number | undefined {
    const deadlines = Array.from(this.#nodes.values(), ({ paths }) => paths.pollTimeout())
    return earliest(...deadlines, ...this.#inFlight.map(({ at }) => at))
  }

  #carry(from: PathNode, to: SocketAddress, bytes: Uint8Array | undefined): void {
    for (const node of this.#nodes.values()) {
      const link = node.addresses.findIndex((address) => isSame(address, to))
      const source = from.addresses[link]
      if (source === undefined || !this.isUp(link, from.name, node.name)) continue
      this.#inFlight.push({ at: this.now + this.latencyMs(link, from.name), from, source, to, bytes })
    }
  }

  #deliver({ from, source, to, bytes }: InFlight): void {
    for (const { addresses, paths } of this.#nodes.values()) {
      if (!addresses.some((address) => isSame(address, to))) continue
      if (bytes === undefined) paths.authenticated(this.now, from.name, source)
      else paths.handleDatagram(this.now, source, bytes)
    }
  }

  #drain(): void {
    for (const node of this.#nodes.values()) {
      for (let out = node.paths.pollTransmit(); out !== undefined; out = node.paths.pollTransmit()) {
        const { destination: to, bytes } = out
        this.sent.push({
          at: this.now,
          from: node.name,
          to,
          bytes,
          isCheck: bytes[0] === 0 && bytes[1] === 1,
        })
        this.#carry(node, to, bytes)
      }
      for (let event = node.paths.pollEvent(); event !== undefined; event = node.paths.pollEvent()) {
        node.events.push({ ...event, at: this.now })
      }
    }
  }
}

export function at(address: string, port = 41_641): SocketAddress {
  return { address, port }
}

/** Candidates of a kind for each of these addresses. */
export function candidates(kind: CandidateKind, ...addresses: readonly SocketAddress[]): Candidate[] {
  return addresses.map((address) => ({ kind, address }))
}

function candidatesOf({ addresses }: PathNode): Candidate[] {
  return candidates('srflx', ...addresses)
}

/** Two machines a and b on as many links as wanted, not yet joined: 192.0.2.<link> and 198.51.100.<link>. */
export function createPair(
  links = 1,
  options: Partial<PathsOptions> = {},
): { readonly net: PathNet; readonly a: PathNode; readonly b: PathNode } {
  const net = new PathNet()
  const numbers = Array.from({ length: links }, (_, link) => link + 1)
  const a = net.add(
    'a',
    numbers.map((number) => at(`192.0.2.${number}`)),
    options,
  )
  const b = net.add(
    'b',
    numbers.map((number) => at(`198.51.100.${number}`)),
    options,
  )
  return { net, a, b }
}

/** A check as the owner of `sender` sends it. */
export function checkFrom(
  sender: IceCredentials,
  receiver: IceCredentials,
  random: SeededRandom,
): Uint8Array {
  return new CheckCredentials(nodeCrypto, sender, receiver).request(random.bytes(12))
}

/** The most of these that fall into any time of this length. */
export function mostWithin(windowMs: number, sent: readonly Sent[]): number {
  let most = 0
  let first = 0
  for (let last = 0; last < sent.length; last++) {
    while (sent[last]!.at - sent[first]!.at >= windowMs) first += 1
    most = Math.max(most, last - first + 1)
  }
  return most
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return a.port === b.port && a.address === b.address
}
