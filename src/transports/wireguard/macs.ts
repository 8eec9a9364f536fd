/**
 * mac1 (WireGuard paper, section 5.4.4): proves that the sender knows the receiver's public key. It is checked
 * before anything costly. mac2, which proves the sender's address under load, is sent as zeros (section 5.4.4
 * allows it where no cookie was received).
 */
import { LabelMac1 } from './constants.js'
import type { NoiseCrypto } from './crypto.js'

const MacLength = 16

/** The key for mac1 on messages to the owner of a public key. */
export function mac1Key(crypto: NoiseCrypto, publicKey: Uint8Array): Uint8Array {
  return crypto.hash(new TextEncoder().encode(LabelMac1), publicKey)
}

/** Writes mac1 over an initiation or a response that is complete up to there. */
export function writeMac1(crypto: NoiseCrypto, key: Uint8Array, message: Uint8Array): void {
  const at = message.length - 2 * MacLength
  message.set(crypto.mac(key, message.subarray(0, at)), at)
}

/** Whether an initiation or a response, of the right length, carries the right mac1. */
export function verifyMac1(crypto: NoiseCrypto, key: Uint8Array, message: Uint8Array): boolean {
  const at = message.length - 2 * MacLength
  return crypto.equal(crypto.mac(key, message.subarray(0, at)), message.subarray(at, at + MacLength))
}
