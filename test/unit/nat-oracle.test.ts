import { describe, expect, it } from 'vitest'
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { type OracleOptions, type Outcome, predictOutcome } from '../sim/nat-oracle.js'
import { SeededRandom } from '../sim/seeded-random.js'
import {
  createNat,
  type Dependence,
  type Hairpinned,
  type Nat,
  type NatBehaviour,
  type NatPath,
  type NatType,
  NatTypes,
  natPath,
} from '../sim/simulated-nat.js'

const all = Object.keys(NatTypes) as NatType[]

describe('predictOutcome', () => {
  const table: readonly [NatType, NatType, Outcome][] = [
    ['open', 'open', 'direct'],
    ['open', 'symmetric', 'direct'],
    ['firewall', 'firewall', 'direct'],
    ['firewall', 'symmetric', 'direct by search'],
    ['full-cone', 'symmetric', 'direct'],
    ['restricted', 'symmetric', 'direct'],
    ['port-restricted', 'port-restricted', 'direct'],
    ['port-restricted', 'cgnat', 'direct'],
    ['port-restricted', 'symmetric', 'direct by search'],
    ['cgnat', 'cgnat', 'direct'],
    ['cgnat', 'symmetric', 'direct by search'],
    ['cgnat', 'address-symmetric', 'direct by search'],
    ['symmetric', 'symmetric', 'relay'],
    ['symmetric', 'symmetric-sequential', 'relay'],
    ['symmetric-sequential', 'symmetric-sequential', 'direct by search'],
    ['open', 'udp-blocked', 'relay over tcp'],
    ['tcp-443', 'udp-blocked', 'relay over tcp'],
  ]

  it.each(table)('%s and %s: %s', (a, b, outcome) => {
    expect(predictOutcome(natPath(a), natPath(b))).toBe(outcome)
    expect(predictOutcome(natPath(b), natPath(a))).toBe(outcome)
  })

  it('knows of no search where there is none', () => {
    expect(predictOutcome(natPath('cgnat'), natPath('symmetric'), { search: false })).toBe('relay')
    expect(predictOutcome(natPath('cgnat'), natPath('restricted'), { search: false })).toBe('direct')
  })

  it('wants openers where an early packet takes the port', () => {
    const occupying = natPath('port-restricted', { early: 'occupy' })
    expect(predictOutcome(occupying, occupying)).toBe('direct')
    expect(predictOutcome(occupying, occupying, { openers: false })).toBe('relay')
    expect(predictOutcome(occupying, natPath('full-cone'), { openers: false })).toBe('direct')
  })

  it('wants hairpin where both are behind one', () => {
    const one = natPath('port-restricted')
    expect(predictOutcome(one, one, { behind: 'one NAT with hairpin' })).toBe('direct')
    expect(predictOutcome(one, one, { behind: 'one NAT without hairpin' })).toBe('relay')
  })
})

/** Every single box that mapping, filtering and ports make. */
const dependences = ['endpoint-independent', 'address-dependent', 'address-and-port-dependent'] as const
const boxes = dependences.flatMap((mapping: Dependence) =>
  dependences.flatMap((filtering) =>
    (['sequential', 'random'] as const).map((ports) => ({ mapping, filtering, ports })),
  ),
)
const paths: readonly (readonly [string, NatPath])[] = [
  ...all.map((type) => [type, natPath(type)] as const),
  ...boxes.map((box) => {
    const name = `${box.mapping} mapping, ${box.filtering} filtering, ${box.ports} ports`
    return [name, natPath('symmetric', box)] as const
  }),
]

describe('predictOutcome says what an exhaustive exchange comes to', () => {
  it.each(paths)('%s, and every other', (_, a) => {
    for (const [name, b] of paths) {
      for (const search of [true, false]) compare(name, a, b, { search })
    }
  })

  it.each(paths)('%s, where early packets take ports', (_, a) => {
    for (const [name, b] of paths) {
      for (const [early, other] of [
        ['occupy', 'occupy'],
        ['occupy', 'drop'],
      ] as const) {
        const [first, second] = [changed(a, { early }), changed(b, { early: other })]
        compare(name, first, second, { openers: false, search: false })
        compare(name, first, second, { openers: true })
      }
    }
  })

  it.each(paths)('%s, both behind one', (name, path) => {
    const isTranslated = path !== 'no UDP' && path.some(({ mapping }) => mapping !== 'none')
    if (!isTranslated) return
    compare(name, changed(path, { hairpin: true }), path, { behind: 'one NAT with hairpin', search: false })
    compare(name, changed(path, { hairpin: false }), path, { behind: 'one NAT without hairpin' })
  })
})

function compare(name: string, a: NatPath, b: NatPath, options: OracleOptions): void {
  const measured = exchange(a, b, options)
  expect({ name, options, outcome: measured }).toEqual({
    name,
    options,
    outcome: predictOutcome(a, b, options),
  })
}

function changed(path: NatPath, changes: Partial<NatBehaviour>): NatPath {
  return path === 'no UDP' ? path : path.map((box) => ({ ...box, ...changes }))
}

// --- the exchange: all that two clients can do, on few enough ports to try them all

const Range: readonly [least: number, most: number] = [2000, 2255]
const Server: SocketAddress = { address: '198.51.100.1', port: 3478 }
const Rounds = 6
const Waiting = 16

interface Client {
  readonly nat: Nat
  readonly socket: SocketAddress
  reflexive: SocketAddress
  /** Where it sends to, and from which socket. */
  readonly targets: Map<string, readonly [source: SocketAddress, destination: SocketAddress]>
}

function exchange(a: NatPath, b: NatPath, { search = true, openers = true, behind }: OracleOptions): Outcome {
  if (a === 'no UDP' || b === 'no UDP') {
    const blocked = createNat('no UDP', new SeededRandom(0), '203.0.113.1')
    expect(blocked.outbound(0, Server, Server)).toBeUndefined()
    return 'relay over tcp'
  }
  const orders = [false, true].map((isReversed) => {
    const world = new World(a, b, behind !== undefined && behind !== 'two NATs')
    return world.meet(openers, isReversed)
  })
  const isOpen = orders.every(Boolean)
  if (isOpen) return 'direct'
  const mayBeFound = search && behind === undefined && (openers || !occupies(a, b))
  return mayBeFound && Searches.some((isFound) => isFound(new World(a, b, false)))
    ? 'direct by search'
    : 'relay'
}

function occupies(...all: readonly NatPath[]): boolean {
  return all.flatMap((path) => (path === 'no UDP' ? [] : path)).some(({ early }) => early === 'occupy')
}

class World {
  readonly #clients: readonly [Client, Client]
  #isPathFound = false

  constructor(a: NatPath, b: NatPath, isShared: boolean) {
    const random = new SeededRandom('exchange')
    const natOf = (path: NatPath, index: number): Nat =>
      createNat(changed(path, { range: Range }), random.fork(String(index)), `203.0.113.${index}`)
    const first = natOf(a, 1)
    const second = isShared ? first : natOf(b, 2)
    const isPublic = (nat: Nat, address: string): boolean => !nat.owns(address)
    const client = (nat: Nat, index: number): Client => {
      // Without a NAT that translates, the inside address is the public one.
      const isOwn = isPublic(nat, `203.0.113.${isShared ? 1 : index}`)
      const socket = { address: isOwn ? `203.0.113.${index}` : `10.0.0.${index}`, port: 2020 + index }
      const reflexive = nat.outbound(0, socket, Server)!
      return { nat, socket, reflexive, targets: new Map() }
    }
    this.#clients = [client(first, 1), client(second, 2)]
  }

  /** Both send to the other's reflexive endpoint and to all sources that they see. */
  meet(openers: boolean, isReversed: boolean): boolean {
    const [a, b] = this.#clients
    aim(a, a.socket, b.reflexive)
    aim(b, b.socket, a.reflexive)
    if (openers) this.#open(a, b)
    const order = isReversed ? [b, a] : [a, b]
    for (let round = 0; round < Rounds; round += 1) for (const client of order) this.#sendAll(client)
    return this.#isPathFound
  }

  /** Many sockets of one wait for the other, which sends to all ports from the one that is known. */
  probe(isReversed: boolean): boolean {
    const [hard, other] = isReversed ? [this.#clients[1], this.#clients[0]] : this.#clients
    for (let index = 0; index < Waiting; index += 1) {
      aim(hard, { ...hard.socket, port: 2030 + index }, other.reflexive)
    }
    for (let port = Range[0]; port <= Range[1]; port += 1) {
      aim(other, other.socket, { address: hard.reflexive.address, port })
    }
    this.#open(hard, other)
    for (let round = 0; round < 2; round += 1) for (const client of [other, hard]) this.#sendAll(client)
    return this.#isPathFound
  }

  /** Each sends to the ports that come next at the other. */
  predict(): boolean {
    const [a, b] = this.#clients
    for (const [client, other] of [
      [a, b],
      [b, a],
    ] as const) {
      for (let next = 1; next <= 8; next += 1) {
        const { address, port } = other.reflexive
        aim(client, client.socket, { address, port: Range[0] + ((port - Range[0] + next) % 256) })
      }
    }
    this.#open(a, b)
    for (const client of [a, b, a]) this.#sendAll(client)
    return this.#isPathFound
  }

  /** Packets that go no further than the own NAT. */
  #open(...clients: readonly Client[]): void {
    for (const { nat, targets } of clients) {
      for (const [source, destination] of targets.values()) nat.outbound(0, source, destination)
    }
  }

  #sendAll(client: Client): void {
    for (const [source, destination] of [...client.targets.values()]) this.#send(client, source, destination)
  }

  #send(from: Client, source: SocketAddress, destination: SocketAddress): void {
    const [a, b] = this.#clients
    const to = from === a ? b : a
    const arrived = this.#carry(from, source, destination)
    if (arrived === undefined) return
    aim(to, arrived.destination, arrived.source)
    // A path is one whose answer comes from where the packet went to.
    const answer = this.#carry(to, arrived.destination, arrived.source)
    const isPair =
      answer?.destination.port === source.port && pair(answer.source, Server) === pair(destination, Server)
    if (isPair) this.#isPathFound = true
  }

  #carry(from: Client, source: SocketAddress, destination: SocketAddress): Hairpinned | undefined {
    const [a, b] = this.#clients
    const to = from === a ? b : a
    return from.nat === to.nat && from.nat.owns(destination.address)
      ? from.nat.hairpin(0, source, destination)
      : through(from.nat, to, source, destination)
  }
}

const Searches: readonly ((world: World) => boolean)[] = [
  (world) => world.probe(false),
  (world) => world.probe(true),
  (world) => world.predict(),
]

function through(
  nat: Nat,
  to: Client,
  source: SocketAddress,
  destination: SocketAddress,
): Hairpinned | undefined {
  const outside = nat.outbound(0, source, destination)
  if (outside === undefined || destination.address !== to.reflexive.address) return undefined
  const inside = to.nat.inbound(0, outside, destination)
  return inside && { source: outside, destination: inside }
}

function aim(client: Client, source: SocketAddress, destination: SocketAddress): void {
  client.targets.set(pair(source, destination), [source, destination])
}

function pair(own: SocketAddress, other: SocketAddress): string {
  return `${formatSocketAddress(own)} ${formatSocketAddress(other)}`
}
