/** The protocols that share the one UDP port. */
export type DatagramKind = 'wireguard' | 'stun' | 'unknown'

/** The shortest WireGuard message: a transport message that carries nothing. */
const MinWireguardBytes = 32
const MinStunBytes = 20
const StunCookie = 0x2112a442

/**
 * Which protocol a datagram belongs to, judged by its first bytes alone.
 *
 * WireGuard's shape comes first: a receiver index can equal STUN's cookie, whereas no STUN message of a
 * method in use has WireGuard's first four bytes.
 * @param bytes the UDP payload
 */
export function classifyDatagram(bytes: Uint8Array): DatagramKind {
  if (bytes.length < MinStunBytes) return 'unknown'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // The type is the first byte, the three reserved bytes are zero: one little-endian number from 1 to 4.
  const typeAndReserved = view.getUint32(0, true)
  if (bytes.length >= MinWireguardBytes && typeAndReserved >= 1 && typeAndReserved <= 4) return 'wireguard'
  // STUN's two top bits are zero (RFC 8489 section 5).
  if (view.getUint8(0) < 0x40 && view.getUint32(4) === StunCookie) return 'stun'
  return 'unknown'
}
