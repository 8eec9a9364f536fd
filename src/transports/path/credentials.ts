/** What authenticates the checks of one pair of peers (RFC 8445 section 5.3). Fresh for every pair. */
import type { Random } from '../../core/ports.js'

export interface IceCredentials {
  /** The username fragment: 8 ice-chars. Not secret. */
  readonly ufrag: string
  /** 24 ice-chars, which is 144 bits. Secret. */
  readonly password: string
}

const IceChars = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const UfragLength = 8
const PasswordLength = 24

export function generateCredentials(random: Random): IceCredentials {
  return { ufrag: iceChars(random, UfragLength), password: iceChars(random, PasswordLength) }
}

/** `<ufrag> <password>`. */
export function formatCredentials({ ufrag, password }: IceCredentials): string {
  return `${ufrag} ${password}`
}

/** Reads what `formatCredentials` writes, of 8 and 24 ice-chars; else undefined. */
export function parseCredentials(text: string): IceCredentials | undefined {
  const [, ufrag, password] = /^([A-Za-z0-9+/]{8}) ([A-Za-z0-9+/]{24})$/.exec(text) ?? []
  return ufrag === undefined || password === undefined ? undefined : { ufrag, password }
}

function iceChars(random: Random, length: number): string {
  // 64 characters: six bits of each byte choose one, all alike.
  return Array.from(random.bytes(length), (byte) => IceChars.charAt(byte & 63)).join('')
}
