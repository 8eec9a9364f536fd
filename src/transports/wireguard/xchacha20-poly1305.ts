/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), which seals cookie replies (WireGuard paper, section 5.4.7)
 * and nothing else. Written out here because NoiseCrypto's nonces are counters, and these are random; a reply
 * holds 16 bytes, for which it is about as fast as a native cipher that has to be set up first.
 *
 * Not constant-time (bigint), and needs not be: the key of a cookie reply is a hash of a public key, known to
 * whoever may send a handshake.
 */

import { readUint32 } from './messages.js'

export const NonceLength = 24
const TagLength = 16
const BlockLength = 64

/** RFC 8439, section 2.3: "expand 32-byte k". */
const Constants = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574] as const
/** RFC 8439, section 2.5: p, the clamp of r, and the bit beyond a block (the AEAD pads all to 16 bytes). */
const Prime: bigint = (1n << 130n) - 5n
const Clamp = 0x0ffffffc_0ffffffc_0ffffffc_0fffffffn
const WholeBlock: bigint = 1n << 128n

/** Section 2.2 of the draft: a key for each nonce. The input has 16 bytes. */
export function hchacha20(key: Uint8Array, input: Uint8Array): Uint8Array {
  const state = initialState(key, input)
  permute(state)
  const subkey = new Uint32Array(8)
  subkey.set(state.subarray(0, 4))
  subkey.set(state.subarray(12, 16), 4)
  return bytesOf(subkey)
}

/**
 * @param key 32 bytes
 * @param nonce 24 bytes, never used with this key before (random will do)
 * @returns ciphertext and tag
 */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additionalData: Uint8Array,
): Uint8Array {
  const { subkey, input } = derive(key, nonce)
  const sealed = new Uint8Array(plaintext.length + TagLength)
  sealed.set(plaintext)
  const ciphertext = sealed.subarray(0, plaintext.length)
  chacha20(subkey, input, ciphertext)
  sealed.set(tagOf(subkey, input, ciphertext, additionalData), plaintext.length)
  return sealed
}

/** The reverse of `seal`; undefined for a forgery. */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additionalData: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < TagLength) return undefined
  const { subkey, input } = derive(key, nonce)
  const plaintext = sealed.slice(0, sealed.length - TagLength)
  const tag = tagOf(subkey, input, plaintext, additionalData)
  let difference = 0
  for (let i = 0; i < TagLength; i++) difference |= (tag[i] ?? 0) ^ (sealed[plaintext.length + i] ?? 0)
  if (difference !== 0) return undefined
  chacha20(subkey, input, plaintext)
  return plaintext
}

/** What ChaCha20-Poly1305 is run with: the subkey, and a block's counter (0) and nonce as its input words. */
function derive(
  key: Uint8Array,
  nonce: Uint8Array,
): { readonly subkey: Uint8Array; readonly input: Uint8Array } {
  const input = new Uint8Array(16)
  input.set(nonce.subarray(16, NonceLength), 8)
  return { subkey: hchacha20(key, nonce.subarray(0, 16)), input }
}

/** RFC 8439, section 2.4, in place; the first block is Poly1305's. */
function chacha20(key: Uint8Array, input: Uint8Array, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += BlockLength) {
    const block = keyStream(key, input, 1 + at / BlockLength)
    const end = Math.min(bytes.length, at + BlockLength)
    for (let i = at; i < end; i++) bytes[i] = (bytes[i] ?? 0) ^ (block[i - at] ?? 0)
  }
}

function keyStream(key: Uint8Array, input: Uint8Array, counter: number): Uint8Array {
  const initial = initialState(key, input)
  initial[12] = counter
  const state = initial.slice()
  permute(state)
  for (let i = 0; i < 16; i++) state[i] = (state[i] ?? 0) + (initial[i] ?? 0)
  return bytesOf(state)
}

/** RFC 8439, section 2.8: over additional data, ciphertext and both lengths. */
function tagOf(
  key: Uint8Array,
  input: Uint8Array,
  ciphertext: Uint8Array,
  additionalData: Uint8Array,
): Uint8Array {
  const oneTimeKey = keyStream(key, input, 0)
  const r = littleEndian(oneTimeKey.subarray(0, 16)) & Clamp
  let sum = 0n
  const block = new Uint8Array(16)
  const add = (bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at += 16) {
      block.fill(0)
      block.set(bytes.subarray(at, at + 16))
      sum = ((sum + littleEndian(block) + WholeBlock) * r) % Prime
    }
  }
  add(additionalData)
  add(ciphertext)
  const lengths = new DataView(new ArrayBuffer(16))
  lengths.setUint32(0, additionalData.length, true)
  lengths.setUint32(8, ciphertext.length, true)
  add(new Uint8Array(lengths.buffer))
  sum += littleEndian(oneTimeKey.subarray(16, 32))
  const tag = new DataView(new ArrayBuffer(TagLength))
  tag.setBigUint64(0, BigInt.asUintN(64, sum), true)
  tag.setBigUint64(8, BigInt.asUintN(64, sum >> 64n), true)
  return new Uint8Array(tag.buffer)
}

function initialState(key: Uint8Array, input: Uint8Array): Uint32Array {
  const state = new Uint32Array(16)
  state.set(Constants)
  for (let i = 0; i < 8; i++) state[4 + i] = readUint32(key, 4 * i)
  for (let i = 0; i < 4; i++) state[12 + i] = readUint32(input, 4 * i)
  return state
}

/** The 20 rounds of RFC 8439, section 2.3. */
function permute(state: Uint32Array): void {
  for (let round = 0; round < 10; round++) {
    quarterRound(state, 0, 4, 8, 12)
    quarterRound(state, 1, 5, 9, 13)
    quarterRound(state, 2, 6, 10, 14)
    quarterRound(state, 3, 7, 11, 15)
    quarterRound(state, 0, 5, 10, 15)
    quarterRound(state, 1, 6, 11, 12)
    quarterRound(state, 2, 7, 8, 13)
    quarterRound(state, 3, 4, 9, 14)
  }
}

function quarterRound(state: Uint32Array, ia: number, ib: number, ic: number, id: number): void {
  let a = state[ia] ?? 0
  let b = state[ib] ?? 0
  let c = state[ic] ?? 0
  let d = state[id] ?? 0
  a = (a + b) | 0
  d = rotateLeft(d ^ a, 16)
  c = (c + d) | 0
  b = rotateLeft(b ^ c, 12)
  a = (a + b) | 0
  d = rotateLeft(d ^ a, 8)
  c = (c + d) | 0
  b = rotateLeft(b ^ c, 7)
  state[ia] = a
  state[ib] = b
  state[ic] = c
  state[id] = d
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

/** Of 16 bytes. */
function littleEndian(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return (view.getBigUint64(8, true) << 64n) | view.getBigUint64(0, true)
}

function bytesOf(words: Uint32Array): Uint8Array {
  const bytes = new Uint8Array(4 * words.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < words.length; i++) view.setUint32(4 * i, words[i] ?? 0, true)
  return bytes
}
