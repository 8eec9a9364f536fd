/**
 * The internet checksum (RFC 1071). Sums are kept as plain numbers and folded once at the end: 64 kB of
 * 0xff bytes stay far below 2^53.
 */

/** The sum of the big-endian 16-bit words, an odd last byte counting as a word's high half. Not folded. */
export function sumOfWords(bytes: Uint8Array): number {
  let sum = 0
  const even = bytes.length & ~1
  for (let offset = 0; offset < even; offset += 2) {
    sum += ((bytes[offset] ?? 0) << 8) | (bytes[offset + 1] ?? 0)
  }
  return bytes.length === even ? sum : sum + ((bytes[even] ?? 0) << 8)
}

/**
 * The sum of the pseudo-header. RFC 768 (IPv4) and RFC 8200 section 8.1 (IPv6) lay it out differently, but
 * the words that are not zero are the same. `length` is the upper layer's, in bytes.
 */
export function sumOfPseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): number {
  return sumOfWords(source) + sumOfWords(destination) + protocol + length
}

/**
 * The checksum for a field that counted as zero in `sum`. Over bytes that hold their checksum already, the
 * result is 0 where it is right.
 */
export function checksumOf(sum: number): number {
  let folded = sum
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000)
  return ~folded & 0xffff
}
