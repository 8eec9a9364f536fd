import nacl from 'tweetnacl'
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/core/identity.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')
const random = new SeededRandom('crypto')

describe('nodeCrypto', () => {
  it('signs as RFC 8032 section 7.1, test 3, has it', () => {
    const seed = hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7')
    const identity = identityFromSeed(nodeCrypto, seed)
    expect(toHex(identity.publicKey)).toBe('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025')
    const signature = nodeCrypto.sign(hex('af82'), identity.secretKey)
    expect(toHex(signature)).toBe(
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac' +
        '18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    )
    expect(nodeCrypto.verify(hex('af82'), signature, identity.publicKey)).toBe(true)
    expect(nodeCrypto.verify(hex('af83'), signature, identity.publicKey)).toBe(false)
    expect(nodeCrypto.verify(hex('af82'), signature.subarray(1), identity.publicKey)).toBe(false)
    expect(nodeCrypto.verify(hex('af82'), signature, new Uint8Array(32))).toBe(false)
  })

  it('signs the same for those who sign often', () => {
    const identity = identityFromSeed(nodeCrypto, random.bytes(32))
    const message = random.bytes(100)
    const signature = nodeCrypto.signer(identity.secretKey)(message)
    expect(toHex(signature)).toBe(toHex(nodeCrypto.sign(message, identity.secretKey)))
  })

  it('agrees on the key of RFC 7748 section 6.1', () => {
    const secret = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')
    const theirs = hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
    expect(toHex(nodeCrypto.boxKeyPair(secret).publicKey)).toBe(
      'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f',
    )
    expect(toHex(nodeCrypto.scalarMult(secret, theirs))).toBe(
      '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
    )
  })

  it('refuses points of small order', () => {
    const secret = random.bytes(32)
    const one = Uint8Array.of(1, ...new Uint8Array(31))
    for (const point of [new Uint8Array(32), one, new Uint8Array(31)]) {
      expect(nodeCrypto.scalarMult(secret, point)).toBeUndefined()
      expect(nodeCrypto.box(Uint8Array.of(1), new Uint8Array(24), point, secret)).toBeUndefined()
    }
  })

  it('boxes as tweetnacl does, though node:crypto agrees on the key', () => {
    const [alice, bob] = [nodeCrypto.boxKeyPair(random.bytes(32)), nodeCrypto.boxKeyPair(random.bytes(32))]
    const [message, nonce] = [random.bytes(100), random.bytes(24)]
    const sealed = nodeCrypto.box(message, nonce, bob.publicKey, alice.secretKey)!
    expect(sealed).toEqual(nacl.box(message, nonce, bob.publicKey, alice.secretKey))
    expect(nodeCrypto.boxOpen(sealed, nonce, alice.publicKey, bob.secretKey)).toEqual(message)
    sealed[20]! ^= 1
    expect(nodeCrypto.boxOpen(sealed, nonce, alice.publicKey, bob.secretKey)).toBeUndefined()
  })

  it('derives as RFC 5869 has it: test case 3, without salt and info', () => {
    const derived = nodeCrypto.hkdfSha256(hex('0b'.repeat(22)), undefined, '', 42)
    expect(toHex(derived)).toBe(
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    )
  })

  it('compares unequal lengths without throwing', () => {
    expect(nodeCrypto.equal(new Uint8Array(3), new Uint8Array(4))).toBe(false)
    expect(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true)
    expect(nodeCrypto.equal(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false)
  })
})
