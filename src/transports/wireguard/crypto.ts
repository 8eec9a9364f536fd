/**
 * The cryptography of Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (WireGuard paper, section 5.4), by the Noise
 * specification's names. All functions are synchronous. Implemented in src/node/noise-crypto.ts.
 */

/** An X25519 secret key, kept in the form that the implementation computes with. */
export interface PrivateKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array
  /**
   * X25519 (RFC 7748).
   * @param publicKey 32 bytes; must not change afterwards, since the implementation may cache it by identity
   * @returns 32 bytes, or undefined where the result is all zero (a point of small order) or the length wrong
   */
  dh(publicKey: Uint8Array): Uint8Array | undefined
}

export interface NoiseCrypto {
  /** The key whose secret scalar is `secretKey`: 32 bytes, clamped as RFC 7748 has it, not kept. */
  privateKey(secretKey: Uint8Array): PrivateKey
  /** BLAKE2s-256 of the concatenated parts: 32 bytes. */
  hash(...parts: readonly Uint8Array[]): Uint8Array
  /** HMAC with BLAKE2s-256 of the concatenated parts: 32 bytes. */
  hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array
  /** Keyed BLAKE2s with 16 bytes of output (RFC 7693); the key has 1 to 32 bytes. */
  mac(key: Uint8Array, bytes: Uint8Array): Uint8Array
  /**
   * ChaCha20-Poly1305 (RFC 8439); the nonce is 4 zero bytes and the counter as 8 bytes, little-endian. Writes
   * the ciphertext and its 16-byte tag to `output` at `offset`. The plaintext may lie in that same place.
   * @param counter an integer from 0 to 2^53 - 1
   */
  seal(
    key: Uint8Array,
    counter: number,
    plaintext: Uint8Array,
    additionalData: Uint8Array | undefined,
    output: Uint8Array,
    offset: number,
  ): void
  /**
   * The reverse of `seal`.
   * @param sealed ciphertext and tag, at least 16 bytes
   * @returns the plaintext in memory of its own, or undefined for a forgery
   */
  open(
    key: Uint8Array,
    counter: number,
    sealed: Uint8Array,
    additionalData: Uint8Array | undefined,
  ): Uint8Array | undefined
  /** Constant-time for equal lengths; false for different lengths. */
  equal(a: Uint8Array, b: Uint8Array): boolean
}
