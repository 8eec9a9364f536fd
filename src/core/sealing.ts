/**
 * Who may read a record (docs/protocol.md, Sealing). A backend sees the topic, a random sender, and bytes:
 *
 *     beacon   1 ‖ nonce (24) ‖ secretbox(padded message)        under a key derived from the room
 *     join     1 ‖ box key (32) ‖ nonce (24) ‖ box(padded message) ‖ solution (8)
 *                                                                from a fresh key to the sealing key
 *     reply    1 ‖ nonce (24) ‖ box(padded message)              from the sealing key to that fresh key
 */
import { concatenate, toBase32, utf8 } from './encoding.js'
import { MaxMessageBytes } from './envelope.js'
import { DecodeError } from './errors.js'
import type { Crypto, KeyPair, Random } from './ports.js'
import { SolutionBytes } from './puzzle.js'
import type { RoomId } from './room-id.js'
import type { Topic } from './signalling-adapter.js'

const Version = 1
const NonceBytes = 24
const KeyBytes = 32
const TagBytes = 16
const PaddingBytes = 256
const MaxPaddedBytes = paddedLength(MaxMessageBytes)
const JoinHeaderBytes = 1 + KeyBytes + NonceBytes

type Boxes = Pick<Crypto, 'box' | 'boxOpen'>
type SecretBoxes = Pick<Crypto, 'secretbox' | 'secretboxOpen'>

/** What a guest needs to know to find a room: its id, or the room's secret, which comes with an invite. */
export type Whereabouts = RoomId | Uint8Array

/** Where a room's records lie: 20 base32 characters, from which neither the room id nor the secret can be told. */
export function roomTopic(crypto: Pick<Crypto, 'hkdfSha256'>, by: Whereabouts): Topic {
  return toBase32(crypto.hkdfSha256(keyMaterial(by), undefined, 'gonet/1 topic', 13)).slice(0, 20)
}

/** The key under which a room's beacons lie: whoever knows where the room is has it. */
export function beaconKey(crypto: Pick<Crypto, 'hkdfSha256'>, by: Whereabouts): Uint8Array {
  return crypto.hkdfSha256(keyMaterial(by), undefined, 'gonet/1 beacon', KeyBytes)
}

export function sealBeacon(
  crypto: SecretBoxes,
  random: Random,
  key: Uint8Array,
  message: Uint8Array,
): Uint8Array {
  const nonce = random.bytes(NonceBytes)
  return concatenate(Uint8Array.of(Version), nonce, crypto.secretbox(pad(message), nonce, key))
}

/** @throws DecodeError `record-…` */
export function openBeacon(crypto: SecretBoxes, key: Uint8Array, record: Uint8Array): Uint8Array {
  checkRecord(record, 1 + NonceBytes)
  const sealed = record.subarray(1 + NonceBytes)
  return unpad(crypto.secretboxOpen(sealed, record.subarray(1, 1 + NonceBytes), key))
}

/**
 * Seals a join, with a solution of zeros: one for a puzzle of 0 bits.
 * @param from the guest's box key pair, fresh for this join
 * @param to the host's sealing key, from its beacon
 * @returns undefined where `to` is no usable key
 */
export function sealJoin(
  crypto: Boxes,
  random: Random,
  from: KeyPair,
  to: Uint8Array,
  message: Uint8Array,
): Uint8Array | undefined {
  const nonce = random.bytes(NonceBytes)
  const sealed = crypto.box(pad(message), nonce, to, from.secretKey)
  const solution = new Uint8Array(SolutionBytes)
  return sealed && concatenate(Uint8Array.of(Version), from.publicKey, nonce, sealed, solution)
}

/**
 * @returns the message's bytes and the key that they were boxed from, which the answer is boxed to
 * @throws DecodeError `record-…`
 */
export function openJoin(
  crypto: Boxes,
  sealKey: KeyPair,
  record: Uint8Array,
): { readonly message: Uint8Array; readonly box: Uint8Array } {
  checkRecord(record, JoinHeaderBytes + SolutionBytes)
  const box = record.slice(1, 1 + KeyBytes)
  const nonce = record.subarray(1 + KeyBytes, JoinHeaderBytes)
  const sealed = record.subarray(JoinHeaderBytes, -SolutionBytes)
  return { message: unpad(crypto.boxOpen(sealed, nonce, box, sealKey.secretKey)), box }
}

/** What is wrong with a join record, as far as it costs nothing to see. An error would cost more than a hash. */
export function joinRecordProblem(record: Uint8Array): RecordProblem | undefined {
  return recordProblem(record, JoinHeaderBytes + SolutionBytes)
}

/** @returns undefined where `to` is no usable key */
export function sealReply(
  crypto: Boxes,
  random: Random,
  sealKey: KeyPair,
  to: Uint8Array,
  message: Uint8Array,
): Uint8Array | undefined {
  const nonce = random.bytes(NonceBytes)
  const sealed = crypto.box(pad(message), nonce, to, sealKey.secretKey)
  return sealed && concatenate(Uint8Array.of(Version), nonce, sealed)
}

/** @throws DecodeError `record-…` */
export function openReply(crypto: Boxes, box: KeyPair, sealKey: Uint8Array, record: Uint8Array): Uint8Array {
  checkRecord(record, 1 + NonceBytes)
  const nonce = record.subarray(1, 1 + NonceBytes)
  return unpad(crypto.boxOpen(record.subarray(1 + NonceBytes), nonce, sealKey, box.secretKey))
}

/**
 * WireGuard's preshared key for one join and its answer: the tunnel comes up only between the two that saw
 * the same two messages.
 * @param join SHA-512 of the join, 64 bytes
 * @param welcome SHA-512 of the welcome, 64 bytes
 * @param secret that of the invite which the join proves, 16 bytes
 */
export function presharedKey(
  crypto: Pick<Crypto, 'hkdfSha256'>,
  join: Uint8Array,
  welcome: Uint8Array,
  secret: Uint8Array = new Uint8Array(KeyBytes),
): Uint8Array {
  const info = concatenate(utf8('gonet/1 psk'), join, welcome)
  return crypto.hkdfSha256(secret, undefined, info, KeyBytes)
}

function keyMaterial(by: Whereabouts): Uint8Array {
  return typeof by === 'string' ? utf8(by) : by
}

type RecordProblem = 'record-version' | 'record-length'

/** Checks what can be checked before any key is used. */
function checkRecord(record: Uint8Array, clearBytes: number): void {
  switch (recordProblem(record, clearBytes)) {
    case 'record-version':
      throw new DecodeError('record-version', 'record is not of version 1')
    case 'record-length':
      throw new DecodeError('record-length', 'record is not of a padded length')
  }
}

function recordProblem(record: Uint8Array, clearBytes: number): RecordProblem | undefined {
  const paddedBytes = record.length - clearBytes - TagBytes
  if (record[0] !== Version) return 'record-version'
  if (paddedBytes < PaddingBytes || paddedBytes > MaxPaddedBytes || paddedBytes % PaddingBytes !== 0) {
    return 'record-length'
  }
  return undefined
}

/** ISO/IEC 7816-4: one 0x80, then zeros, to a multiple of 256 bytes. */
function pad(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(paddedLength(message.length))
  padded.set(message)
  padded[message.length] = 0x80
  return padded
}

function paddedLength(bytes: number): number {
  return Math.ceil((bytes + 1) / PaddingBytes) * PaddingBytes
}

function unpad(padded: Uint8Array | undefined): Uint8Array {
  if (padded === undefined) throw new DecodeError('record-seal', 'record is not sealed for this reader')
  const end = padded.findLastIndex((byte) => byte !== 0)
  if (padded[end] !== 0x80) throw new DecodeError('record-padding', 'record is not padded as it should be')
  return padded.subarray(0, end)
}
