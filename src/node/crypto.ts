/**
 * The core's Crypto port. Messages are sealed by tweetnacl; keys and signatures are node:crypto's, with the same
 * results (RFC 8032, RFC 7748), up to a hundred times as fast, and at once in a process that has just started.
 */
import {
  createHash,
  createHmac,
  diffieHellman,
  hkdfSync,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import nacl from 'tweetnacl'
import type { Crypto } from '../core/ports.js'
import { privateKeyObject, publicKeyObject, publicKeyOf } from './key-objects.js'

const HSalsa20Input = new Uint8Array(16)
const HSalsa20Constant = new TextEncoder().encode('expand 32-byte k')

/** tweetnacl exports its core functions; its type declarations leave this one out. */
interface LowLevel {
  readonly crypto_core_hsalsa20: (
    output: Uint8Array,
    input: Uint8Array,
    key: Uint8Array,
    constant: Uint8Array,
  ) => number
}

const { crypto_core_hsalsa20: hsalsa20 } = (nacl as unknown as { readonly lowlevel: LowLevel }).lowlevel

export const nodeCrypto: Crypto = {
  sha256: (bytes) => createHash('sha256').update(bytes).digest(),
  sha512: (bytes) => createHash('sha512').update(bytes).digest(),
  hmacSha256: (key, bytes) => createHmac('sha256', key).update(bytes).digest(),
  hmacSha1: (key, bytes) => createHmac('sha1', key).update(bytes).digest(),
  hkdfSha256: (keyMaterial, salt, info, length) =>
    new Uint8Array(hkdfSync('sha256', keyMaterial, salt ?? new Uint8Array(32), info, length)),
  signKeyPair: (seed) => {
    const publicKey = publicKeyOf(privateKeyObject('Ed25519', seed))
    return { publicKey, secretKey: new Uint8Array([...seed, ...publicKey]) }
  },
  sign: (message, secretKey) => new Uint8Array(sign(null, message, signingKey(secretKey))),
  signer: (secretKey) => {
    const key = signingKey(secretKey)
    return (message) => sign(null, message, key)
  },
  verify: (message, signature, publicKey) => {
    if (signature.length !== 64 || publicKey.length !== 32) return false
    return verify(null, message, verifyingKey(publicKey), signature)
  },
  boxKeyPair: (secretKey) => {
    const publicKey = publicKeyOf(privateKeyObject('X25519', secretKey))
    return { publicKey, secretKey: new Uint8Array(secretKey) }
  },
  scalarMult,
  box: (message, nonce, publicKey, secretKey) => {
    const key = boxKey(publicKey, secretKey)
    return key && nacl.secretbox(message, nonce, key)
  },
  boxOpen: (sealed, nonce, publicKey, secretKey) => {
    const key = boxKey(publicKey, secretKey)
    return key && (nacl.secretbox.open(sealed, nonce, key) ?? undefined)
  },
  secretbox: (message, nonce, key) => nacl.secretbox(message, nonce, key),
  secretboxOpen: (sealed, nonce, key) => nacl.secretbox.open(sealed, nonce, key) ?? undefined,
  equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
}

/** Keys made ready lately, the least recently used first: members write often, and importing costs as much again. */
const verifyingKeys = new Map<string, KeyObject>()
const MaxVerifyingKeys = 1024

function verifyingKey(publicKey: Uint8Array): KeyObject {
  const name = String.fromCharCode(...publicKey)
  const key = verifyingKeys.get(name) ?? publicKeyObject('Ed25519', publicKey)
  verifyingKeys.delete(name)
  verifyingKeys.set(name, key)
  if (verifyingKeys.size > MaxVerifyingKeys) {
    const [oldest] = verifyingKeys.keys()
    if (oldest !== undefined) verifyingKeys.delete(oldest)
  }
  return key
}

function scalarMult(secretKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  if (secretKey.length !== 32 || publicKey.length !== 32) return undefined
  const privateKey = privateKeyObject('X25519', secretKey)
  try {
    return diffieHellman({ privateKey, publicKey: publicKeyObject('X25519', publicKey) })
  } catch {
    // OpenSSL refuses to derive from a point of small order.
    return undefined
  }
}

/** crypto_box_beforenm: HSalsa20 over the X25519 shared secret. */
function boxKey(publicKey: Uint8Array, secretKey: Uint8Array): Uint8Array | undefined {
  const shared = scalarMult(secretKey, publicKey)
  if (shared === undefined) return undefined
  const key = new Uint8Array(32)
  hsalsa20(key, HSalsa20Input, shared, HSalsa20Constant)
  return key
}

/** Ed25519 keys are seed ‖ public key in NaCl, and the seed alone elsewhere. */
function signingKey(secretKey: Uint8Array): KeyObject {
  return privateKeyObject('Ed25519', secretKey.subarray(0, 32))
}
