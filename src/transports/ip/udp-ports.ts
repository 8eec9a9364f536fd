/**
 * Which packets have to do with a UDP port: looked at where packets pass that this program neither made nor takes
 * in itself, so nothing is verified here but what the answer depends on.
 */
import { IpProtocol } from './packet.js'

const Ipv4HeaderBytes = 20
const Ipv6HeaderBytes = 40
const Ipv4FragmentOffset = 0x1fff
const Ipv6FragmentOffset = 0xfff8
/** Where both ports stand. */
const PortsBytes = 4

const HopByHopOptions = 0
const Routing = 43
const Fragment = 44
const AuthenticationHeader = 51
const DestinationOptions = 60
const Mobility = 135
const HostIdentity = 139
const Shim6 = 140
/** Those that say their length in units of 8 bytes, the first not counted (RFC 6564 section 4). */
const Skipped: ReadonlySet<number> = new Set([
  HopByHopOptions,
  Routing,
  DestinationOptions,
  Mobility,
  HostIdentity,
  Shim6,
])

/**
 * Whether an IP packet is a UDP datagram from or to a port, or the beginning of one; also where that cannot be told,
 * since a header is missing or cut off. What follows the first fragment of a datagram has no ports, and is none of a
 * port by itself: no fragment but the first can bring them (their offsets are multiples of 8), and a first fragment
 * that does not hold them all counts as one of the port (RFC 1858 section 3.2, RFC 7112 section 5).
 */
export function concernsUdpPort(packet: Uint8Array, port: number): boolean {
  const version = (packet[0] ?? 0) >> 4
  if (version === 4) return concernsInIpv4(packet, port)
  return version === 6 ? concernsInIpv6(packet, port) : true
}

function concernsInIpv4(packet: Uint8Array, port: number): boolean {
  const headerBytes = ((packet[0] ?? 0) & 0x0f) * 4
  if (headerBytes < Ipv4HeaderBytes || packet.length < headerBytes) return true
  if (packet[9] !== IpProtocol.udp || (readUint16(packet, 6) & Ipv4FragmentOffset) !== 0) return false
  return hasPort(packet, headerBytes, port)
}

function concernsInIpv6(packet: Uint8Array, port: number): boolean {
  if (packet.length < Ipv6HeaderBytes) return true
  let next = packet[6] ?? 0
  let offset = Ipv6HeaderBytes
  // Every turn takes at least 8 bytes, so the packet's length bounds the loop.
  for (;;) {
    if (next === IpProtocol.udp) return hasPort(packet, offset, port)
    const isFragment = next === Fragment
    if (!isFragment && next !== AuthenticationHeader && !Skipped.has(next)) return false
    if (offset + 8 > packet.length) return true
    if (isFragment && (readUint16(packet, offset + 2) & Ipv6FragmentOffset) !== 0) return false
    const length = packet[offset + 1] ?? 0
    // RFC 4302 section 2.2 counts in units of 4 bytes, the first two not counted.
    const headerBytes = isFragment ? 8 : next === AuthenticationHeader ? 4 * (length + 2) : 8 * (length + 1)
    next = packet[offset] ?? 0
    offset += Math.max(8, headerBytes)
  }
}

function hasPort(packet: Uint8Array, offset: number, port: number): boolean {
  if (offset + PortsBytes > packet.length) return true
  return readUint16(packet, offset) === port || readUint16(packet, offset + 2) === port
}

function readUint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
}
