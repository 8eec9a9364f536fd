/**
 * Addresses inside a room (docs/protocol.md, Addresses): an IPv4 network that the host allocates from, and
 * an IPv6 address per member that needs no allocation, since it comes from the room and the member's key.
 */
import ipaddr from 'ipaddr.js'
import { concatenate, fromBase64, fromUtf8, toBase64, utf8 } from './encoding.js'
import { UsageError } from './errors.js'
import type { Crypto, Store } from './ports.js'
import type { RoomId } from './room-id.js'

/** An address that was given out and never used is free again after this. */
const ProvisionalMs = 60_000
/** Addresses that stick to their keys across restarts. */
const MaxRemembered = 4096
/** Addresses given out at a time, before those that can be reclaimed are. */
const MaxLeases = 2 * MaxRemembered
const StoreName = 'addresses'
/** Of a room's IPv6 network, in bits. */
export const PrefixLength6 = 64

/** An IPv4 network: its first address as a 32-bit number, and its prefix length in bits (8 to 30). */
export interface Subnet {
  readonly base: number
  readonly prefixLength: number
}

/** @throws UsageError `subnet-invalid` */
export function parseSubnet(text: string): Subnet {
  const match = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(text)
  const base = match?.[1] === undefined ? undefined : parseIpv4(match[1])
  const prefixLength = Number(match?.[2])
  if (base === undefined || prefixLength < 8 || prefixLength > 30 || base % hostCount(prefixLength) !== 0) {
    throw new UsageError('subnet-invalid', `'${text}' is not an IPv4 network`, {
      advice: 'Write it as its first address and a prefix length from 8 to 30, such as 10.7.0.0/16',
    })
  }
  return { base, prefixLength }
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatIpv4(subnet.base)}/${subnet.prefixLength}`
}

/**
 * A room's network unless it is configured: 10.x.0.0/16, where x comes from the host's key and moves on past
 * networks that the host is in.
 * @param taken networks of the host's interfaces
 */
export function defaultSubnet(
  crypto: Pick<Crypto, 'sha256'>,
  hostKey: Uint8Array,
  taken: readonly Subnet[],
): Subnet {
  const first = crypto.sha256(concatenate(utf8('gonet/1 subnet'), hostKey))[0] ?? 0
  for (let step = 0; step < 256; step += 1) {
    const subnet = { base: 10 * 2 ** 24 + ((first + step) % 256) * 2 ** 16, prefixLength: 16 }
    if (!taken.some((other) => overlaps(subnet, other))) return subnet
  }
  throw new UsageError('subnet-exhausted', 'every network from 10.0.0.0/16 to 10.255.0.0/16 is in use here', {
    advice: 'Choose one with network.subnet in the configuration',
  })
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  const size = hostCount(Math.min(a.prefixLength, b.prefixLength))
  return Math.floor(a.base / size) === Math.floor(b.base / size)
}

/** The host's own address: the first of the network. */
export function hostAddress(subnet: Subnet): string {
  return formatIpv4(subnet.base + 1)
}

export function subnetContains(subnet: Subnet, address: string): boolean {
  const number = parseIpv4(address)
  return number !== undefined && overlaps(subnet, { base: number, prefixLength: 32 })
}

/** How many addresses a network has, the first (its own) and the last (broadcast) included. */
export function subnetSize(subnet: Subnet): number {
  return hostCount(subnet.prefixLength)
}

/** The address with this number in a network. */
export function formatNumber(subnet: Subnet, number: number): string {
  return formatIpv4(subnet.base + number)
}

/** The number of a member's address in a network; undefined where it is none: the host's own is 1. */
export function numberIn(subnet: Subnet, address: string): number | undefined {
  const whole = parseIpv4(address)
  const number = whole === undefined ? 0 : whole - subnet.base
  return number >= 2 && number <= subnetSize(subnet) - 2 ? number : undefined
}

/** The unique local IPv6 address (RFC 4193) of a member: 40 bits from the room, 64 from the key. */
export function memberAddress6(crypto: Pick<Crypto, 'sha256'>, room: RoomId, key: Uint8Array): string {
  const member = crypto.sha256(concatenate(utf8('gonet/1 member'), key)).subarray(0, 8)
  return ipaddr.fromByteArray(Array.from(concatenate(networkBytes6(crypto, room), member))).toString()
}

/** The IPv6 network that all members of a room are in, in CIDR notation. */
export function roomNetwork6(crypto: Pick<Crypto, 'sha256'>, room: RoomId): string {
  const bytes = concatenate(networkBytes6(crypto, room), new Uint8Array(8))
  return `${ipaddr.fromByteArray(Array.from(bytes)).toString()}/${PrefixLength6}`
}

function networkBytes6(crypto: Pick<Crypto, 'sha256'>, room: RoomId): Uint8Array {
  const network = crypto.sha256(utf8(`gonet/1 network ${room}`)).subarray(0, 5)
  return concatenate(Uint8Array.of(0xfd), network, new Uint8Array(2))
}

interface Lease {
  readonly key: string
  readonly number: number
  /** When it was last used; provisional leases end `ProvisionalMs` later. */
  usedAt: number
}

/** Gives out the addresses of a network. An address sticks to its key for as long as there is room. */
export class AddressPool {
  readonly #subnet: Subnet
  readonly #store: Store
  /** By key, the least recently used first. */
  readonly #provisional = new Map<string, Lease>()
  readonly #committed = new Map<string, Lease>()
  /** The numbers of all of them. */
  readonly #taken = new Set<number>()
  #next = 2
  /** Lines that the store has; the last of a key, or of a number, counts. */
  #savedLines = 0
  #mustRewrite = false

  constructor(subnet: Subnet, store: Store) {
    this.#subnet = subnet
    this.#store = store
    this.#load()
  }

  /**
   * The address of a member, provisional until `commit`.
   * @returns undefined where every address is in use
   */
  allocate(now: number, publicKey: Uint8Array, inUse: (key: string) => boolean): string | undefined {
    const key = toBase64(publicKey)
    const leases = this.#committed.has(key) ? this.#committed : this.#provisional
    const number = leases.get(key)?.number ?? this.#free(now, inUse)
    if (number === undefined) return undefined
    this.#use(leases, { key, number, usedAt: now })
    return formatIpv4(this.#subnet.base + number)
  }

  /** The number that a member has or had last. */
  numberOf(publicKey: Uint8Array): number | undefined {
    const key = toBase64(publicKey)
    return (this.#committed.get(key) ?? this.#provisional.get(key))?.number
  }

  /** The numbers of those members. */
  numbersOf(isMeant: (key: string) => boolean): ReadonlySet<number> {
    const leases = [...this.#committed.values(), ...this.#provisional.values()]
    return new Set(leases.filter(({ key }) => isMeant(key)).map(({ number }) => number))
  }

  /**
   * The address of a member that another allocator has chosen, provisional until `commit`. Whoever had it
   * here before has it no more.
   */
  assign(now: number, publicKey: Uint8Array, number: number): string {
    const key = toBase64(publicKey)
    const isKnown = this.#committed.get(key)?.number === number
    for (const leases of [this.#committed, this.#provisional]) {
      for (const lease of leases.values()) {
        if (lease.number !== number && lease.key !== key) continue
        leases.delete(lease.key)
        this.#taken.delete(lease.number)
      }
    }
    this.#use(isKnown ? this.#committed : this.#provisional, { key, number, usedAt: now })
    return formatIpv4(this.#subnet.base + number)
  }

  /**
   * Makes a member's address stick, across restarts too: the member was admitted.
   * @throws GonetError `store-failed`: then it sticks until the restart
   */
  commit(now: number, publicKey: Uint8Array): void {
    const key = toBase64(publicKey)
    const provisional = this.#provisional.get(key)
    const lease = provisional ?? this.#committed.get(key)
    if (lease === undefined) return
    this.#provisional.delete(key)
    this.#use(this.#committed, { ...lease, usedAt: now })
    if (provisional !== undefined) this.#save(lease)
  }

  /** One line more, and from time to time all of them anew. */
  #save(lease: Lease): void {
    const mustRewrite = this.#mustRewrite || this.#savedLines >= 2 * MaxRemembered
    const leases = mustRewrite ? Array.from(this.#committed.values()).slice(-MaxRemembered) : [lease]
    const lines = utf8(leases.map(({ key, number }) => `${key} ${number}\n`).join(''))
    // What failed once is brought by the next address, with all others.
    this.#mustRewrite = true
    if (mustRewrite) this.#store.write(StoreName, lines)
    else this.#store.append(StoreName, lines)
    this.#mustRewrite = false
    this.#savedLines = mustRewrite ? leases.length : this.#savedLines + 1
  }

  #free(now: number, inUse: (key: string) => boolean): number | undefined {
    const isCrowded = this.#taken.size >= MaxLeases
    return (isCrowded ? undefined : this.#fresh()) ?? this.#reclaimed(now, inUse) ?? this.#fresh()
  }

  /** The lowest number that was never given out. */
  #fresh(): number | undefined {
    const last = hostCount(this.#subnet.prefixLength) - 2
    while (this.#next <= last) {
      const number = this.#next
      this.#next += 1
      if (!this.#taken.has(number)) return number
    }
    return undefined
  }

  #reclaimed(now: number, inUse: (key: string) => boolean): number | undefined {
    const [provisional] = this.#provisional.values()
    if (provisional !== undefined && now - provisional.usedAt >= ProvisionalMs) {
      this.#provisional.delete(provisional.key)
      return provisional.number
    }
    for (const lease of this.#committed.values()) {
      if (inUse(lease.key)) continue
      this.#committed.delete(lease.key)
      return lease.number
    }
    return undefined
  }

  #use(leases: Map<string, Lease>, lease: Lease): void {
    leases.delete(lease.key)
    leases.set(lease.key, lease)
    this.#taken.add(lease.number)
  }

  #load(): void {
    const text = fromUtf8(this.#store.read(StoreName) ?? new Uint8Array()) ?? ''
    const lines = text.split('\n')
    // Behind a line that a crash has torn, another would be lost with it.
    this.#mustRewrite = lines.pop() !== ''
    this.#savedLines = lines.length
    const last = hostCount(this.#subnet.prefixLength) - 2
    const newest = new Map<string, number>()
    for (const line of lines.reverse()) {
      const [key = '', digits = ''] = line.split(' ')
      const number = /^\d{1,8}$/.test(digits) ? Number(digits) : 0
      if (fromBase64(key, 32) === undefined || number < 2 || number > last) continue
      if (newest.has(key) || this.#taken.has(number)) continue
      newest.set(key, number)
      this.#taken.add(number)
    }
    for (const [key, number] of Array.from(newest).reverse()) {
      this.#use(this.#committed, { key, number, usedAt: -Infinity })
    }
  }
}

function hostCount(prefixLength: number): number {
  return 2 ** (32 - prefixLength)
}

function parseIpv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined
  }
  return parts.reduce((number, part) => number * 256 + Number(part), 0)
}

function formatIpv4(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.')
}
