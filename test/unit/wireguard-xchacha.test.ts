import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hchacha20, open, seal } from '../../src/transports/wireguard/xchacha20-poly1305.js'

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex')
const count = (from: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => from + i)

describe('XChaCha20-Poly1305', () => {
  it('derives the subkey of draft-irtf-cfrg-xchacha, section 2.2.1', () => {
    expect(hex(hchacha20(count(0, 32), bytes('000000090000004a0000000031415927')))).toBe(
      '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
    )
  })

  /** Section A.3.1. */
  const vector = {
    key: count(0x80, 32),
    nonce: count(0x40, 24),
    additionalData: bytes('50515253c0c1c2c3c4c5c6c7'),
    plaintext: new TextEncoder().encode(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
        'sunscreen would be it.',
    ),
    sealed:
      'bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39' +
      'ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9' +
      '21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49',
  }

  it('seals and opens the message of section A.3.1', () => {
    const { key, nonce, additionalData, plaintext, sealed } = vector
    expect(hex(seal(key, nonce, plaintext, additionalData))).toBe(sealed)
    expect(open(key, nonce, bytes(sealed), additionalData)).toEqual(plaintext)
  })

  it('opens nothing that differs in one bit', () => {
    const { key, nonce, additionalData, sealed } = vector
    for (let at = 0; at < sealed.length / 2; at++) {
      const forged = bytes(sealed)
      forged[at]! ^= 0x80
      expect(open(key, nonce, forged, additionalData)).toBeUndefined()
    }
    expect(open(key, nonce, bytes(sealed), additionalData.subarray(1))).toBeUndefined()
    expect(open(key, nonce, bytes(sealed).subarray(0, 15), additionalData)).toBeUndefined()
  })

  it('is OpenSSL’s ChaCha20-Poly1305 under the subkey', () => {
    const ofLength = (length: number): fc.Arbitrary<Uint8Array> =>
      fc.uint8Array({ minLength: length, maxLength: length })
    const message = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(ofLength(32), ofLength(24), message, message, (key, nonce, plaintext, additionalData) => {
        const subkey = hchacha20(key, nonce.subarray(0, 16))
        const shortNonce = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)])
        const cipher = createCipheriv('chacha20-poly1305', subkey, shortNonce, { authTagLength: 16 })
        cipher.setAAD(additionalData, { plaintextLength: plaintext.length })
        const expected = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
        const sealed = seal(key, nonce, plaintext, additionalData)
        expect(hex(sealed)).toBe(hex(expected))
        expect(open(key, nonce, sealed, additionalData)).toEqual(plaintext)
      }),
      { numRuns: 300 },
    )
  })
})
