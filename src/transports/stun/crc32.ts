const Table: Uint32Array = Uint32Array.from({ length: 256 }, (_, index) => {
  let remainder = index
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1
  }
  return remainder
})

/** CRC-32 as FINGERPRINT uses it (ITU-T V.42, RFC 8489 section 14.7), unsigned. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) crc = (crc >>> 8) ^ (Table[(crc ^ byte) & 0xff] ?? 0)
  return ~crc >>> 0
}
