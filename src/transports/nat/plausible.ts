/**
 * Which addresses a STUN server can be believed: it sees no address that its own network has not, and sends nobody
 * to one.
 */
import ipaddr from 'ipaddr.js'
import type { SocketAddress } from '../../core/machine.js'

type Realm = 'loopback' | 'inner' | 'public'

/**
 * Whether this can be where a server sees somebody, or another address of its own.
 * @param server where it was asked
 */
export function isPlausible({ address, port }: SocketAddress, server: SocketAddress): boolean {
  if (port < 1 || address.includes(':') !== server.address.includes(':')) return false
  const realm = realmOf(address)
  return realm !== undefined && (realm === 'public' || realm === realmOf(server.address))
}

const Inner: ReadonlySet<string> = new Set(['private', 'uniqueLocal', 'linkLocal', 'carrierGradeNat'])
const Nowhere: ReadonlySet<string> = new Set([
  'unspecified',
  'broadcast',
  'multicast',
  'ipv4Mapped',
  'rfc6145',
  'rfc6052',
])

/** undefined for what is no single machine's address. */
function realmOf(address: string): Realm | undefined {
  const parsed = ipaddr.parse(address)
  const range = parsed.range()
  if (range === 'loopback') return 'loopback'
  if (parsed instanceof ipaddr.IPv4 && ((parsed.octets[0] ?? 0) === 0 || (parsed.octets[0] ?? 0) >= 240)) {
    return undefined
  }
  if (Nowhere.has(range)) return undefined
  return Inner.has(range) ? 'inner' : 'public'
}
