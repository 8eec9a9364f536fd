/** What a router changes in the packets that it forwards. */
import { checksumOf, sumOfWords } from './checksum.js'

/**
 * A copy with one hop less to go: IPv4's time to live (RFC 1812 section 5.3.1) or IPv6's hop limit (RFC 8200 section
 * 3). Undefined where none is left.
 * @param packet a whole IPv4 or IPv6 header at least
 */
export function forwarded(packet: Uint8Array): Uint8Array | undefined {
  const isV4 = (packet[0] ?? 0) >> 4 === 4
  const at = isV4 ? 8 : 7
  const left = packet[at] ?? 0
  if (left <= 1) return undefined
  const copy = packet.slice()
  copy[at] = left - 1
  if (!isV4) return copy
  // Updated, not made anew: a checksum that was wrong stays wrong (RFC 1624 section 3).
  const [checksum, before, after] = [word(packet, 10), word(packet, at), word(copy, at)]
  new DataView(copy.buffer).setUint16(10, checksumOf((~checksum & 0xffff) + (~before & 0xffff) + after))
  return copy
}

/** The 16 bits there. */
function word(bytes: Uint8Array, offset: number): number {
  return sumOfWords(bytes.subarray(offset, offset + 2))
}
