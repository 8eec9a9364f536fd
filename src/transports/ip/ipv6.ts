import { DecodeError } from '../../core/errors.js'
import { HopLimit, type IpPacket } from './packet.js'

const HeaderBytes = 40
const HopByHopOptions = 0
const Routing = 43
const Fragment = 44
const EncapsulatingSecurityPayload = 50
const AuthenticationHeader = 51
const DestinationOptions = 60
const Mobility = 135
const UnsupportedExtensions: ReadonlySet<number> = new Set([
  Routing,
  EncapsulatingSecurityPayload,
  AuthenticationHeader,
  Mobility,
])

/** An IPv6 packet without extension headers (RFC 8200). */
export function encodeIpv6(packet: IpPacket): Uint8Array {
  const bytes = new Uint8Array(HeaderBytes + packet.payload.length)
  bytes[0] = 0x60
  new DataView(bytes.buffer).setUint16(4, packet.payload.length)
  bytes[6] = packet.protocol
  bytes[7] = HopLimit
  bytes.set(packet.source, 8)
  bytes.set(packet.destination, 24)
  bytes.set(packet.payload, HeaderBytes)
  return bytes
}

/**
 * Hop-by-hop and destination options are skipped, and bytes after the payload length (a tunnel's padding)
 * ignored. The result's arrays are views into `bytes`.
 * @throws DecodeError `ipv6-header-invalid`, `ipv6-truncated`, `ipv6-fragment`, `ipv6-extension-header`
 */
export function decodeIpv6(bytes: Uint8Array): IpPacket {
  if (bytes.length < HeaderBytes) {
    throw new DecodeError('ipv6-truncated', 'The IPv6 packet ends inside its header')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint8(0) >> 4 !== 6) {
    throw new DecodeError('ipv6-header-invalid', 'The IPv6 header has a wrong version')
  }
  const end = HeaderBytes + view.getUint16(4)
  if (end > bytes.length) {
    throw new DecodeError('ipv6-truncated', 'The IPv6 packet is shorter than its header says')
  }
  let protocol = view.getUint8(6)
  let offset = HeaderBytes
  while (isSkipped(protocol, offset)) {
    // Every turn takes at least 8 bytes, so the packet's length bounds the loop.
    if (offset + 8 > end) throw extensionTruncated()
    const length = 8 + 8 * view.getUint8(offset + 1)
    if (offset + length > end) throw extensionTruncated()
    protocol = view.getUint8(offset)
    offset += length
  }
  if (protocol === Fragment) throw new DecodeError('ipv6-fragment', 'Fragments are not reassembled')
  if (protocol === HopByHopOptions || UnsupportedExtensions.has(protocol)) {
    throw new DecodeError('ipv6-extension-header', 'The packet has an unsupported IPv6 extension header')
  }
  return {
    source: bytes.subarray(8, 24),
    destination: bytes.subarray(24, 40),
    protocol,
    payload: bytes.subarray(offset, end),
  }
}

/** Hop-by-hop options may stand right after the IPv6 header only (RFC 8200 section 4.1). */
function isSkipped(protocol: number, offset: number): boolean {
  return protocol === DestinationOptions || (protocol === HopByHopOptions && offset === HeaderBytes)
}

function extensionTruncated(): DecodeError {
  return new DecodeError('ipv6-truncated', 'The IPv6 packet ends inside an extension header')
}
