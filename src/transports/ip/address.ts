import ipaddr from 'ipaddr.js'

/**
 * An address as the wire has it: 4 or 16 bytes. Undefined for anything but four decimal parts or an IPv6
 * address without a zone.
 */
export function parseAddress(text: string): Uint8Array | undefined {
  if (!text.includes(':')) {
    // Costly where it fails, which for an IPv6 address would be every time.
    if (!ipaddr.IPv4.isValidFourPartDecimal(text)) return undefined
    return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray())
  }
  if (text.includes('%') || !ipaddr.IPv6.isValid(text)) return undefined
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray())
}

/** The canonical text: dotted decimal, or RFC 5952. */
export function formatAddress(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray(Array.from(bytes))
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

/** Whether a packet may come from here: RFC 1122 section 3.2.1.3, RFC 4291 section 2.7. */
export function isUnicastSource(bytes: Uint8Array): boolean {
  const first = bytes[0] ?? 0
  if (bytes.length === 4) return first !== 0 && first !== 127 && first < 224
  const unspecifiedOrLoopback = bytes.every((byte, index) => byte === 0 || (index === 15 && byte === 1))
  return first !== 0xff && !unspecifiedOrLoopback
}
