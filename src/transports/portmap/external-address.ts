import ipaddr from 'ipaddr.js'
import type { SocketAddress } from '../../core/machine.js'

/** What cannot be reached from the internet. Ranges for documentation serve in labs, as for candidates. */
const InnerRanges: ReadonlySet<string> = new Set([
  'unspecified',
  'private',
  'loopback',
  'linkLocal',
  'carrierGradeNat',
  'uniqueLocal',
  'multicast',
  'broadcast',
])

/**
 * Whether what a router gives as its external address is one: behind a second NAT it has but an address of
 * the network between the two.
 */
export function isExternalAddress({ address, port }: SocketAddress): boolean {
  if (port < 1 || port > 65_535 || !Number.isInteger(port)) return false
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) {
    const parsed = ipaddr.IPv4.parse(address)
    const first = parsed.octets[0] ?? 0
    return first > 0 && first < 240 && !InnerRanges.has(parsed.range())
  }
  if (address.includes('%') || !ipaddr.IPv6.isValid(address)) return false
  // 2000::/3 is all that is routed (RFC 4291 section 2.4).
  const parsed = ipaddr.IPv6.parse(address)
  return ((parsed.parts[0] ?? 0) & 0xe000) === 0x2000 && !InnerRanges.has(parsed.range())
}
