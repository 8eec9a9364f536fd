/**
 * What WireGuard reads of the packets that it carries: where the addresses are, and where the packet ends
 * (RFC 791 section 3.1, RFC 8200 section 3).
 */
export interface InnerHeader {
  /** The whole packet's length in bytes, by its header: the rest is padding. */
  readonly length: number
  readonly addressLength: 4 | 16
  readonly sourceOffset: number
  readonly destinationOffset: number
}

const Ipv4HeaderLength = 20
const Ipv6HeaderLength = 40

/** Undefined for what is no whole IPv4 or IPv6 packet. */
export function readInnerHeader(packet: Uint8Array): InnerHeader | undefined {
  const version = (packet[0] ?? 0) >> 4
  if (version === 4) {
    const length = readUint16(packet, 2)
    if (packet.length < Ipv4HeaderLength || length < Ipv4HeaderLength || length > packet.length)
      return undefined
    return { length, addressLength: 4, sourceOffset: 12, destinationOffset: 16 }
  }
  if (version === 6) {
    const length = Ipv6HeaderLength + readUint16(packet, 4)
    if (length > packet.length) return undefined
    return { length, addressLength: 16, sourceOffset: 8, destinationOffset: 24 }
  }
  return undefined
}

function readUint16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
}
