/**
 * WireGuard's cryptography (src/transports/wireguard/crypto.ts) on node:crypto; keyed BLAKE2s, which OpenSSL
 * does not offer with a short output, from @noble/hashes.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  diffieHellman,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto'
import { blake2s } from '@noble/hashes/blake2.js'
import type { NoiseCrypto, PrivateKey } from '../transports/wireguard/crypto.js'
import { privateKeyObject, publicKeyObject, publicKeyOf } from './key-objects.js'

const KeyLength = 32
const TagLength = 16

class NodeNoiseCrypto implements NoiseCrypto {
  /** A handshake uses each public key twice, and the peer's in every handshake. */
  readonly #publicKeys = new WeakMap<Uint8Array, KeyObject>()
  readonly #nonce: Buffer = Buffer.alloc(12)

  privateKey(secretKey: Uint8Array): PrivateKey {
    const key = privateKeyObject('X25519', secretKey)
    return {
      publicKey: publicKeyOf(key),
      dh: (publicKey) => this.#agree(key, publicKey),
    }
  }

  hash(...parts: readonly Uint8Array[]): Uint8Array {
    const hash = createHash('blake2s256')
    for (const part of parts) hash.update(part)
    return hash.digest()
  }

  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
    const hmac = createHmac('blake2s256', key)
    for (const part of parts) hmac.update(part)
    return hmac.digest()
  }

  mac(key: Uint8Array, bytes: Uint8Array): Uint8Array {
    return blake2s(bytes, { key, dkLen: 16 })
  }

  seal(
    key: Uint8Array,
    counter: number,
    plaintext: Uint8Array,
    additionalData: Uint8Array | undefined,
    output: Uint8Array,
    offset: number,
  ): void {
    const cipher = createCipheriv('chacha20-poly1305', key, this.#nonceOf(counter), {
      authTagLength: TagLength,
    })
    if (additionalData !== undefined) cipher.setAAD(additionalData, { plaintextLength: plaintext.length })
    output.set(cipher.update(plaintext), offset)
    cipher.final()
    output.set(cipher.getAuthTag(), offset + plaintext.length)
  }

  open(
    key: Uint8Array,
    counter: number,
    sealed: Uint8Array,
    additionalData: Uint8Array | undefined,
  ): Uint8Array | undefined {
    const length = sealed.length - TagLength
    const decipher = createDecipheriv('chacha20-poly1305', key, this.#nonceOf(counter), {
      authTagLength: TagLength,
    })
    decipher.setAuthTag(sealed.subarray(length))
    if (additionalData !== undefined) decipher.setAAD(additionalData, { plaintextLength: length })
    const plaintext = decipher.update(sealed.subarray(0, length))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    // A Buffer's slice is not a copy, and those who get this take it for a Uint8Array.
    return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length)
  }

  equal(a: Uint8Array, b: Uint8Array): boolean {
    return a.length === b.length && timingSafeEqual(a, b)
  }

  #agree(privateKey: KeyObject, publicKey: Uint8Array): Uint8Array | undefined {
    if (publicKey.length !== KeyLength) return undefined
    try {
      return diffieHellman({ privateKey, publicKey: this.#import(publicKey) })
    } catch {
      // OpenSSL refuses points of small order; nothing else can be wrong with 32 bytes.
      return undefined
    }
  }

  #import(publicKey: Uint8Array): KeyObject {
    let key = this.#publicKeys.get(publicKey)
    if (key === undefined) {
      key = publicKeyObject('X25519', publicKey)
      this.#publicKeys.set(publicKey, key)
    }
    return key
  }

  /** The cipher copies the nonce when it is made, so one buffer serves all. */
  #nonceOf(counter: number): Buffer {
    this.#nonce.writeUInt32LE(counter % 2 ** 32, 4)
    this.#nonce.writeUInt32LE(Math.floor(counter / 2 ** 32), 8)
    return this.#nonce
  }
}

export const nodeNoiseCrypto: NoiseCrypto = new NodeNoiseCrypto()
