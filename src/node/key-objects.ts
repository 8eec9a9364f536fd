/**
 * Raw keys as node:crypto's KeyObjects. In Node 20 a JWK (RFC 8037) is imported ten times as fast as DER, which goes
 * through OpenSSL's decoders; newer releases look at the public key of a JWK, which is not at hand, and take DER as
 * fast.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

export type Curve = 'Ed25519' | 'X25519'

/** A private key's DER (RFC 8410, section 7) up to its 32 bytes. */
const Pkcs8 = {
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
}

/** Whether this Node takes a JWK for what its secret key says; found out with the first. */
let derivesPublicKeys: boolean | undefined

/** @param secretKey 32 bytes: an Ed25519 seed, or an X25519 scalar */
export function privateKeyObject(curve: Curve, secretKey: Uint8Array): KeyObject {
  if (derivesPublicKeys !== false) {
    try {
      const key = privateKeyOfJwk(curve, secretKey)
      derivesPublicKeys = true
      return key
    } catch (error) {
      if (derivesPublicKeys === true) throw error
      derivesPublicKeys = false
    }
  }
  const der = Buffer.concat([Pkcs8[curve], secretKey])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  der.fill(0)
  return key
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

/** A JWK must have a public key: where Node derives it from the secret one, it does not look at this. */
function privateKeyOfJwk(curve: Curve, secretKey: Uint8Array): KeyObject {
  const d = base64Url(secretKey)
  return createPrivateKey({ key: { kty: 'OKP', crv: curve, d, x: d }, format: 'jwk' })
}

function base64Url(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('base64url')
}
