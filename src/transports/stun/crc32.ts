/** Half bytes: a table of 256 would cost more to make than all the short messages of a run. */
const Table: Uint32Array = Uint32Array.from({ length: 16 }, (_, index) => {
  let remainder = index
  for (let bit = 0; bit < 4; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1
  }
  return remainder
})

/** CRC-32 as FINGERPRINT uses it (ITU-T V.42, RFC 8489 section 14.7), unsigned. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    crc = (crc >>> 4) ^ (Table[crc & 0xf] ?? 0)
    crc = (crc >>> 4) ^ (Table[crc & 0xf] ?? 0)
  }
  return ~crc >>> 0
}
