/** RFC 4648 section 6 in either case, without padding: what fits into labels. `toBase32` is the core's. */
const Alphabet = 'abcdefghijklmnopqrstuvwxyz234567'

/** Undefined for text that no bytes give. */
export function fromBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  let length = 0
  let bits = 0
  let value = 0
  for (const character of text.toLowerCase()) {
    const digit = Alphabet.indexOf(character)
    if (digit < 0) return undefined
    value = ((value << 5) | digit) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[length++] = value >>> bits
    value &= (1 << bits) - 1
  }
  return bits < 5 && value === 0 ? bytes : undefined
}

/** Two digits: 0 to 1023. */
export function writeNumber(value: number): string {
  return Alphabet.charAt((value >> 5) & 31) + Alphabet.charAt(value & 31)
}

/** Undefined for anything but two digits. */
export function readNumber(text: string): number | undefined {
  const [high, low] = [Alphabet.indexOf(text.charAt(0)), Alphabet.indexOf(text.charAt(1))]
  return text.length !== 2 || high < 0 || low < 0 ? undefined : high * 32 + low
}
