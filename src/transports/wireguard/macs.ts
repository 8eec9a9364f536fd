/**
 * The two MACs at the end of initiations and responses (WireGuard paper, section 5.4.4). mac1 proves that the
 * sender knows the receiver's public key, and is checked before anything costly. mac2 proves that it receives
 * what is sent to its address, and is asked for under load only (cookie.ts).
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
  return crypto.equal(crypto.mac(key, message.subarray(0, at)), readMac1(message))
}

/** A view of an initiation's or response's mac1. */
export function readMac1(message: Uint8Array): Uint8Array {
  return message.subarray(message.length - 2 * MacLength, message.length - MacLength)
}

/** Writes mac2 over an initiation or a response that is complete up to there. */
export function writeMac2(crypto: NoiseCrypto, cookie: Uint8Array, message: Uint8Array): void {
  const at = message.length - MacLength
  message.set(crypto.mac(cookie, message.subarray(0, at)), at)
}

/** Whether an initiation or a response, of the right length, carries a mac2 made with this cookie. */
export function verifyMac2(crypto: NoiseCrypto, cookie: Uint8Array, message: Uint8Array): boolean {
  const at = message.length - MacLength
  return crypto.equal(crypto.mac(cookie, message.subarray(0, at)), message.subarray(at))
}

/** Whether there is a mac2 at all: without a cookie it is zeros. */
export function hasMac2(message: Uint8Array): boolean {
  return message.subarray(message.length - MacLength).some((byte) => byte !== 0)
}
