/**
 * Raw keys as node:crypto's KeyObjects. A JWK (RFC 8037) is imported several times as fast as DER, which goes
 * through OpenSSL's decoders.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

export type Curve = 'Ed25519' | 'X25519'

/** @param secretKey 32 bytes: an Ed25519 seed, or an X25519 scalar */
export function privateKeyObject(curve: Curve, secretKey: Uint8Array): KeyObject {
  const d = base64Url(secretKey)
  // A JWK must have a public key; Node derives it from the secret one, and does not look at this.
  return createPrivateKey({ key: { kty: 'OKP', crv: curve, d, x: d }, format: 'jwk' })
}

/** @param publicKey 32 bytes */
export function publicKeyObject(curve: Curve, publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64Url(publicKey) }, format: 'jwk' })
}

/** The 32 bytes of the public key that belongs to a secret one. */
export function publicKeyOf(privateKey: KeyObject): Uint8Array {
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  return Uint8Array.from(Buffer.from(x, 'base64url'))
}

function base64Url(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('base64url')
}
