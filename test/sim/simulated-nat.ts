/**
 * NATs as pure code, in the words of RFC 4787: which source an outgoing datagram gets (mapping, section 4), and which
 * incoming ones are let in, and to whom (filtering, section 5).
 */
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import type { Random } from '../../src/core/ports.js'

/** What a mapping, or a filter, looks at besides the inside endpoint. */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/** How one box treats UDP. */
export interface NatBehaviour {
  /** `none` for a firewall, or for no box at all: addresses stay as they are. */
  readonly mapping: Dependence | 'none'
  readonly filtering: Dependence
  /** Which port a new mapping gets: the inside one where it is free, the next, or any. */
  readonly ports: 'preserved' | 'sequential' | 'random'
  /** Whether insiders reach each other's mappings. */
  readonly hairpin: boolean
  /** Whether a datagram that is turned away takes the port for its sender, so that the answer gets another. */
  readonly early: 'drop' | 'occupy'
  /** How long an idle mapping, or permission of a filter, lasts. Only outgoing datagrams renew it (REQ-6). */
  readonly timeoutMs: number
  /** Ports of mappings, both included. */
  readonly range: readonly [least: number, most: number]
}

/** What stands between a client and the internet: boxes from the client on, or nothing that UDP passes. */
export type NatPath = readonly NatBehaviour[] | 'no UDP'

const common = {
  ports: 'preserved',
  hairpin: false,
  early: 'drop',
  timeoutMs: 120_000,
  range: [1024, 65_535],
} as const
const cone = { ...common, mapping: 'endpoint-independent' } as const
const portRestricted: NatBehaviour = { ...cone, filtering: 'address-and-port-dependent' }
const symmetric: NatBehaviour = {
  ...common,
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  ports: 'random',
}

export type NatType =
  | 'open'
  | 'firewall'
  | 'full-cone'
  | 'restricted'
  | 'port-restricted'
  | 'symmetric'
  | 'symmetric-sequential'
  | 'address-symmetric'
  | 'cgnat'
  | 'udp-blocked'
  | 'tcp-443'

/** The types of the lab of real NATs, and some that the kernel does not have. */
export const NatTypes: Readonly<Record<NatType, NatPath>> = {
  open: [],
  firewall: [{ ...common, mapping: 'none', filtering: 'address-and-port-dependent' }],
  'full-cone': [{ ...cone, filtering: 'endpoint-independent' }],
  restricted: [{ ...cone, filtering: 'address-dependent' }],
  'port-restricted': [portRestricted],
  symmetric: [symmetric],
  'symmetric-sequential': [{ ...symmetric, ports: 'sequential' }],
  'address-symmetric': [{ ...symmetric, mapping: 'address-dependent' }],
  cgnat: [portRestricted, portRestricted],
  'udp-blocked': 'no UDP',
  'tcp-443': 'no UDP',
}

/** The same type with boxes that differ in this. */
export function natPath(type: NatType, changes: Partial<NatBehaviour> = {}): NatPath {
  const path: NatPath = NatTypes[type]
  return path === 'no UDP' ? path : path.map((box) => ({ ...box, ...changes }))
}

/** One box, or several in a row. `now` is in ms. */
export interface Nat {
  /** @returns the source on the outside; undefined where the datagram goes no further */
  outbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined
  /** @returns the destination on the inside; undefined where the datagram is turned away */
  inbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined
  /** What becomes of a datagram from one insider to this NAT's own address; undefined where nothing does. */
  hairpin(now: number, source: SocketAddress, destination: SocketAddress): Hairpinned | undefined
  /** Whether the address is of this NAT's outside. */
  owns(address: string): boolean
  /** Forgets everything, as if switched off and on. */
  flush(): void
  /** The outside address changes, and what was mapped is gone. */
  setPublicAddress(address: string): void
}

export interface Hairpinned {
  readonly source: SocketAddress
  readonly destination: SocketAddress
}

/** @param publicAddress the outermost box's; inner boxes have addresses of carriers' networks (RFC 6598) */
export function createNat(path: NatPath, random: Random, publicAddress: string): Nat {
  if (path === 'no UDP') return blocked
  const boxes = path.map((behaviour, index) => {
    const address = index === path.length - 1 ? publicAddress : `100.64.0.${index + 1}`
    return new SimulatedNat(behaviour, random, address)
  })
  return boxes.length === 1 ? boxes[0]! : new NatChain(boxes, publicAddress)
}

interface Mapping {
  readonly inside: SocketAddress
  readonly port: number
  /** Whom it has sent to: by what the filter looks at, when that is forgotten. */
  readonly permissions: Map<string, number>
  expiresAt: number
}

export class SimulatedNat implements Nat {
  readonly #behaviour: NatBehaviour
  readonly #random: Random
  #publicAddress: string
  /** By inside endpoint, and as much of the destination as the mapping depends on. */
  readonly #mappings = new Map<string, Mapping>()
  readonly #byOutside = new Map<string, Mapping>()
  /** Outside endpoint and sender of datagrams that were turned away. */
  readonly #occupied = new Map<string, number>()
  #nextPort: number

  constructor(behaviour: NatBehaviour, random: Random, publicAddress: string) {
    this.#behaviour = behaviour
    this.#random = random
    this.#publicAddress = publicAddress
    this.#nextPort = behaviour.range[0]
  }

  outbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined {
    const { mapping: dependence, filtering, timeoutMs } = this.#behaviour
    const usual = `${formatSocketAddress(source)}>${seenBy(dependence, destination)}`
    const displaced = `${usual}>displaced>${formatSocketAddress(destination)}`
    const key = this.#find(now, displaced) === undefined ? usual : displaced
    let mapping = this.#find(now, key) ?? this.#create(now, key, source)
    if (mapping !== undefined && this.#isOccupied(now, mapping, destination)) {
      mapping = this.#create(now, displaced, source)
    }
    if (mapping === undefined) return undefined
    mapping.expiresAt = now + timeoutMs
    mapping.permissions.set(seenBy(filtering, destination), now + timeoutMs)
    return this.#outsideOf(mapping)
  }

  inbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined {
    const { filtering, mapping: dependence, early, timeoutMs } = this.#behaviour
    const outside = formatSocketAddress(destination)
    const entry = `${outside}<${formatSocketAddress(source)}`
    const isOccupied = (this.#occupied.get(entry) ?? -Infinity) > now
    const mapping = this.#byOutside.get(outside)
    if (mapping !== undefined && mapping.expiresAt > now && !isOccupied) {
      const permission = mapping.permissions.get(seenBy(filtering, source)) ?? -Infinity
      if (permission > now || filtering === 'endpoint-independent') return mapping.inside
    }
    if (early === 'occupy' && dependence !== 'none') {
      this.#occupied.set(entry, now + timeoutMs)
    }
    return undefined
  }

  hairpin(now: number, source: SocketAddress, destination: SocketAddress): Hairpinned | undefined {
    if (!this.#behaviour.hairpin) return undefined
    // The external source address and port, as REQ-9 wants it, and the filter as for anybody.
    const outside = this.outbound(now, source, destination)
    const inside = outside && this.inbound(now, outside, destination)
    return outside && inside && { source: outside, destination: inside }
  }

  owns(address: string): boolean {
    return this.#behaviour.mapping !== 'none' && address === this.#publicAddress
  }

  flush(): void {
    this.#mappings.clear()
    this.#byOutside.clear()
    this.#occupied.clear()
  }

  setPublicAddress(address: string): void {
    this.flush()
    this.#publicAddress = address
  }

  #find(now: number, key: string): Mapping | undefined {
    const mapping = this.#mappings.get(key)
    return mapping !== undefined && mapping.expiresAt > now ? mapping : undefined
  }

  #create(now: number, key: string, inside: SocketAddress): Mapping | undefined {
    const port = this.#behaviour.mapping === 'none' ? inside.port : this.#freePort(now, inside.port)
    if (port === undefined) return undefined
    const mapping = { inside, port, permissions: new Map<string, number>(), expiresAt: now }
    this.#mappings.set(key, mapping)
    this.#byOutside.set(formatSocketAddress(this.#outsideOf(mapping)), mapping)
    return mapping
  }

  /** undefined where all are taken. */
  #freePort(now: number, insidePort: number): number | undefined {
    const { ports, range } = this.#behaviour
    const [least, most] = range
    const count = most - least + 1
    const first = {
      preserved: insidePort,
      sequential: this.#nextPort,
      random: least + Math.floor(count * this.#random.fraction()),
    }[ports]
    for (let step = 0; step < count; step += 1) {
      const port = least + ((((first - least + step) % count) + count) % count)
      const taken = this.#byOutside.get(formatSocketAddress({ address: this.#publicAddress, port }))
      if (taken !== undefined && taken.expiresAt > now) continue
      this.#nextPort = port + 1
      return port
    }
    return undefined
  }

  /** Not where the insider was first: what it has sent to is let in, and occupies nothing. */
  #isOccupied(now: number, mapping: Mapping, destination: SocketAddress): boolean {
    const key = `${formatSocketAddress(this.#outsideOf(mapping))}<${formatSocketAddress(destination)}`
    return (this.#occupied.get(key) ?? -Infinity) > now
  }

  #outsideOf({ inside, port }: Mapping): SocketAddress {
    return this.#behaviour.mapping === 'none' ? inside : { address: this.#publicAddress, port }
  }
}

/** Boxes from the client on; none is no NAT at all. */
class NatChain implements Nat {
  readonly #boxes: readonly SimulatedNat[]
  #publicAddress: string

  constructor(boxes: readonly SimulatedNat[], publicAddress: string) {
    this.#boxes = boxes
    this.#publicAddress = publicAddress
  }

  outbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined {
    return this.#boxes.reduce<SocketAddress | undefined>(
      (outside, box) => outside && box.outbound(now, outside, destination),
      source,
    )
  }

  inbound(now: number, source: SocketAddress, destination: SocketAddress): SocketAddress | undefined {
    return this.#boxes.reduceRight<SocketAddress | undefined>(
      (inside, box) => inside && box.inbound(now, source, inside),
      destination,
    )
  }

  hairpin(now: number, source: SocketAddress, destination: SocketAddress): Hairpinned | undefined {
    const [outermost] = this.#boxes.slice(-1)
    if (outermost === undefined || !this.owns(destination.address)) return undefined
    const inner = new NatChain(this.#boxes.slice(0, -1), this.#publicAddress)
    const carried = inner.outbound(now, source, destination)
    const turned = carried && outermost.hairpin(now, carried, destination)
    const inside = turned && inner.inbound(now, turned.source, turned.destination)
    return turned && inside && { source: turned.source, destination: inside }
  }

  owns(address: string): boolean {
    return this.#boxes.at(-1)?.owns(address) ?? false
  }

  flush(): void {
    for (const box of this.#boxes) box.flush()
  }

  setPublicAddress(address: string): void {
    this.#publicAddress = address
    this.flush()
    this.#boxes.at(-1)?.setPublicAddress(address)
  }
}

const blocked: Nat = {
  outbound: () => undefined,
  inbound: () => undefined,
  hairpin: () => undefined,
  owns: () => false,
  flush: () => undefined,
  setPublicAddress: () => undefined,
}

function seenBy(dependence: Dependence | 'none', { address, port }: SocketAddress): string {
  if (dependence === 'address-dependent') return address
  return dependence === 'address-and-port-dependent' ? formatSocketAddress({ address, port }) : ''
}
