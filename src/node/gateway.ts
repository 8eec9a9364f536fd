/** The router that this machine's packets to the internet go through, by what Linux says of its routes. */
import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import ipaddr from 'ipaddr.js'

export interface Gateway {
  readonly family: 4 | 6
  /** With its zone where it is a link's own. */
  readonly address: string
  /** The network interface that leads to it. */
  readonly device: string
}

/**
 * The default gateway of each family, at most one each: that of the best metric. Empty where there is none, and
 * on systems other than Linux, whose routes no file tells.
 */
export function defaultGateways(): readonly Gateway[] {
  return [
    parseIpv4Routes(read('/proc/net/route'), endianness()),
    parseIpv6Routes(read('/proc/net/ipv6_route')),
  ].filter((gateway) => gateway !== undefined)
}

/** include/uapi/linux/route.h and ipv6_route.h. */
const RouteFlag = { up: 0x1, gateway: 0x2, reject: 0x200 } as const

interface Route {
  readonly gateway: Gateway
  readonly metric: number
}

/**
 * Reads /proc/net/route: device, destination, gateway, flags, two counts, metric, mask, and more.
 * @param order that of the machine, in which the addresses are written
 */
export function parseIpv4Routes(text: string, order: 'BE' | 'LE' = 'LE'): Gateway | undefined {
  const routes = text.split('\n').flatMap((line): Route[] => {
    const [device = '', destination, gateway = '', flags = '', , , metric, mask] = line.trim().split(/\s+/)
    if (destination !== '00000000' || mask !== '00000000' || !/^[0-9A-F]{8}$/i.test(gateway)) return []
    if (!isThrough(Number.parseInt(flags, 16))) return []
    const octets = octetsOf(gateway)
    const address = (order === 'LE' ? octets.reverse() : octets).join('.')
    return [{ gateway: { family: 4, address, device }, metric: Number(metric) }]
  })
  return best(routes)
}

/**
 * Reads /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric, two counts, flags,
 * device; all in hex.
 */
export function parseIpv6Routes(text: string): Gateway | undefined {
  const routes = text.split('\n').flatMap((line): Route[] => {
    const [, length, , , hop = '', metric = '', , , flags = '', device = ''] = line.trim().split(/\s+/)
    if (length !== '00' || !/^[0-9a-f]{32}$/i.test(hop) || !isThrough(Number.parseInt(flags, 16))) return []
    const parsed = ipaddr.fromByteArray(octetsOf(hop)) as ipaddr.IPv6
    const zone = parsed.range() === 'linkLocal' ? `%${device}` : ''
    const address = `${parsed.toRFC5952String()}${zone}`
    return [{ gateway: { family: 6, address, device }, metric: Number.parseInt(metric, 16) }]
  })
  return best(routes)
}

function isThrough(flags: number): boolean {
  const wanted = RouteFlag.up | RouteFlag.gateway
  return (flags & (wanted | RouteFlag.reject)) === wanted
}

function best(routes: readonly Route[]): Gateway | undefined {
  return [...routes].sort((a, b) => a.metric - b.metric)[0]?.gateway
}

function octetsOf(hex: string): number[] {
  return hex.match(/../g)?.map((pair) => Number.parseInt(pair, 16)) ?? []
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
