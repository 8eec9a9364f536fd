/**
 * SymmetricState of the Noise specification (revision 34, section 5.2), for BLAKE2s and ChaChaPoly. In the
 * WireGuard paper its chaining key is C and its hash is H.
 */
import { DecodeError } from '../../core/errors.js'
import type { NoiseCrypto } from './crypto.js'

const TagLength = 16

export class SymmetricState {
  readonly #crypto: NoiseCrypto
  #chainingKey: Uint8Array
  #hash: Uint8Array
  /** Empty until the first key exchange, and no cipher takes an empty key. */
  #key: Uint8Array

  private constructor(crypto: NoiseCrypto, chainingKey: Uint8Array, hash: Uint8Array, key: Uint8Array) {
    this.#crypto = crypto
    this.#chainingKey = chainingKey
    this.#hash = hash
    this.#key = key
  }

  /**
   * @param protocolName longer than 32 bytes, so that it is hashed
   * @param prologue what both sides must agree on
   */
  static initialize(crypto: NoiseCrypto, protocolName: string, prologue: Uint8Array): SymmetricState {
    const hash = crypto.hash(new TextEncoder().encode(protocolName))
    return new SymmetricState(crypto, hash, crypto.hash(hash, prologue), new Uint8Array(0))
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = this.#crypto.hash(this.#hash, bytes)
  }

  /** A key exchange's result goes into the chaining key and makes the next encryption key. */
  mixKey(keyMaterial: Uint8Array): void {
    const [chainingKey, key] = hkdf(this.#crypto, this.#chainingKey, keyMaterial, 2)
    this.#advance(chainingKey, key)
  }

  mixKeyAndHash(keyMaterial: Uint8Array): void {
    const [chainingKey, hash, key] = hkdf(this.#crypto, this.#chainingKey, keyMaterial, 3)
    this.mixHash(hash)
    hash.fill(0)
    this.#advance(chainingKey, key)
  }

  /** Writes ciphertext and tag to `output` at `offset`. Each key encrypts once here, so the counter is 0. */
  encryptAndHash(plaintext: Uint8Array, output: Uint8Array, offset: number): void {
    this.#crypto.seal(this.#key, 0, plaintext, this.#hash, output, offset)
    this.mixHash(output.subarray(offset, offset + plaintext.length + TagLength))
  }

  /** @throws DecodeError `wireguard-forged` */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#crypto.open(this.#key, 0, ciphertext, this.#hash)
    if (plaintext === undefined) {
      throw new DecodeError('wireguard-forged', 'A handshake message that does not authenticate')
    }
    this.mixHash(ciphertext)
    return plaintext
  }

  /** The initiator's sending key and the responder's; this state is wiped. */
  split(): readonly [Uint8Array, Uint8Array] {
    const keys = hkdf(this.#crypto, this.#chainingKey, new Uint8Array(0), 2)
    this.wipe()
    return keys
  }

  /** A copy to go on from, so that a message that turns out forged leaves the original as it was. */
  clone(): SymmetricState {
    return new SymmetricState(
      this.#crypto,
      Uint8Array.from(this.#chainingKey),
      Uint8Array.from(this.#hash),
      Uint8Array.from(this.#key),
    )
  }

  wipe(): void {
    this.#chainingKey.fill(0)
    this.#hash.fill(0)
    this.#key.fill(0)
  }

  #advance(chainingKey: Uint8Array, key: Uint8Array): void {
    this.#chainingKey.fill(0)
    this.#key.fill(0)
    this.#chainingKey = chainingKey
    this.#key = key
  }
}

/** HKDF of the Noise specification (section 4.3): RFC 5869 with an empty info. */
export function hkdf(
  crypto: NoiseCrypto,
  chainingKey: Uint8Array,
  keyMaterial: Uint8Array,
  outputs: 2,
): readonly [Uint8Array, Uint8Array]
export function hkdf(
  crypto: NoiseCrypto,
  chainingKey: Uint8Array,
  keyMaterial: Uint8Array,
  outputs: 3,
): readonly [Uint8Array, Uint8Array, Uint8Array]
export function hkdf(
  crypto: NoiseCrypto,
  chainingKey: Uint8Array,
  keyMaterial: Uint8Array,
  outputs: number,
): readonly Uint8Array[] {
  const temporary = crypto.hmac(chainingKey, keyMaterial)
  const results: Uint8Array[] = []
  let last: Uint8Array = new Uint8Array(0)
  for (let i = 1; i <= outputs; i++) {
    last = crypto.hmac(temporary, last, Uint8Array.of(i))
    results.push(last)
  }
  temporary.fill(0)
  return results
}
