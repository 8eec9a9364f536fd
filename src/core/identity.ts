import { toBase64, toHex } from './encoding.js'
import type { Crypto, KeyPair } from './ports.js'

/** Who somebody is: an Ed25519 key pair, for signing only. */
export interface Identity extends KeyPair {
  /** 32 bytes: all that is secret, and all that is kept. */
  readonly seed: Uint8Array
}

/** @param seed 32 random bytes */
export function identityFromSeed(crypto: Crypto, seed: Uint8Array): Identity {
  return { ...crypto.signKeyPair(seed), seed }
}

/** Lower-case hex SHA-512 of a public key: 128 digits, of which a room id is a substring. */
export function keyHash(crypto: Pick<Crypto, 'sha512'>, publicKey: Uint8Array): string {
  return toHex(crypto.sha512(publicKey))
}

/** The public key as people and messages write it: base64, 44 characters. */
export function formatKey(publicKey: Uint8Array): string {
  return toBase64(publicKey)
}

const NameBytesMax = 128

/**
 * What is wrong with a display name, as the end of a sentence, or undefined where nothing is. Names are 1 to
 * 32 characters, some of which show, without control characters, newlines, `:` or a leading `*`, so that no name
 * can pass for an event or for another's line (docs/protocol.md, Names).
 */
export function nameProblem(name: string): string | undefined {
  const characters = Array.from(name).length
  if (characters < 1 || characters > 32 || new TextEncoder().encode(name).length > NameBytesMax) {
    return 'a name has 1 to 32 characters'
  }
  if (/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}]/u.test(name)) return 'a name has no control characters'
  if (/^[\p{Default_Ignorable_Code_Point}\p{White_Space}\u2800]*$/u.test(name)) return 'a name can be seen'
  if (name.includes(':')) return 'a name has no colon'
  if (name.startsWith('*')) return 'a name does not begin with an asterisk'
  if (name.trim() !== name) return 'a name does not begin or end with a space'
  return undefined
}
