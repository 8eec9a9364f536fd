/** One entry of the replicated log: its bytes, its hash, its signature, its place in the order. */
import { concatenate, fromUtf8, toHex, utf8 } from '../core/encoding.js'
import { DecodeError } from '../core/errors.js'
import type { Crypto } from '../core/ports.js'
import { isEntryName, MaxNameBytes, MaxTextBytes } from './text.js'

export const MaxParents = 8
/** Lamport and wall times are 48 bits wide. */
export const MaxTime: number = 2 ** 48 - 1
export const MaxSequence: number = 2 ** 32 - 1
const FormatVersion = 1
const SignatureBytes = 64
export const HashBytes = 32
const FixedBytes = 90
const SmallestEntryBytes: number = FixedBytes + 2 + 3 + SignatureBytes
export const LargestEntryBytes: number =
  FixedBytes + MaxParents * HashBytes + 1 + MaxNameBytes + 2 + MaxTextBytes + SignatureBytes
const NoPrevious = '0'.repeat(2 * HashBytes)

/** Hashes and keys are lower-case hex, since they are keys of maps. */
export interface EntryContent {
  /** Ed25519 public key, 32 bytes. */
  readonly author: Uint8Array
  /** 8 random bytes, new whenever the author's state is not there any more. */
  readonly incarnation: Uint8Array
  /** From 1 within the incarnation. */
  readonly sequence: number
  /** Hash of the author's entry before this one in its incarnation; undefined for the first. */
  readonly previous: string | undefined
  /** Hashes of the latest other entries that the author had seen: at most 8, ascending, without `previous`. */
  readonly parents: readonly string[]
  /** 1 + the largest of the parents' and the previous entry's, or 1. */
  readonly lamport: number
  /** The author's clock in ms since 1970, for display only. */
  readonly wallMs: number
  readonly name: string
  readonly text: string
}

export interface Entry extends EntryContent {
  readonly bytes: Uint8Array
  readonly hash: string
  /** The first 32 hex digits of the hash. */
  readonly id: string
  /** Author and incarnation: whose sequence this entry belongs to. */
  readonly stream: string
}

/** The log's total order: (Lamport time, author, incarnation, sequence). */
export function compareEntries(a: Entry, b: Entry): number {
  if (a.lamport !== b.lamport) return a.lamport - b.lamport
  if (a.stream !== b.stream) return a.stream < b.stream ? -1 : 1
  return a.sequence - b.sequence
}

export function streamOf(author: Uint8Array, incarnation: Uint8Array): string {
  return toHex(author) + toHex(incarnation)
}

/** Hex of the author's key, which a stream's name begins with. */
export function authorOf(stream: string): string {
  return stream.slice(0, 64)
}

/** @param sign makes an Ed25519 signature with the author's secret key */
export function writeEntry(
  crypto: Pick<Crypto, 'sha256'>,
  room: string,
  content: EntryContent,
  sign: (bytes: Uint8Array) => Uint8Array,
): Entry {
  const name = utf8(content.name)
  const text = utf8(content.text)
  const body = new Uint8Array(
    FixedBytes + HashBytes * content.parents.length + 1 + name.length + 2 + text.length,
  )
  const view = new DataView(body.buffer)
  body[0] = FormatVersion
  body.set(content.author, 1)
  body.set(content.incarnation, 33)
  view.setUint32(41, content.sequence)
  body.set(hashBytes(content.previous ?? NoPrevious), 45)
  setUint48(view, 77, content.lamport)
  setUint48(view, 83, content.wallMs)
  body[89] = content.parents.length
  let offset = FixedBytes
  for (const parent of content.parents) {
    body.set(hashBytes(parent), offset)
    offset += HashBytes
  }
  body[offset] = name.length
  body.set(name, offset + 1)
  offset += 1 + name.length
  view.setUint16(offset, text.length)
  body.set(text, offset + 2)
  return decodeEntry(crypto, concatenate(body, sign(signedBytes(room, body))))
}

/**
 * Reads an entry without verifying its signature. Every valid entry has exactly one encoding. The result
 * shares no memory with `bytes`.
 * @throws DecodeError `entry-invalid`
 */
export function decodeEntry(crypto: Pick<Crypto, 'sha256'>, bytes: Uint8Array): Entry {
  if (bytes.length < SmallestEntryBytes || bytes.length > LargestEntryBytes) throw invalid('its size')
  const own = bytes.slice()
  const view = new DataView(own.buffer)
  if (own[0] !== FormatVersion) throw invalid('its version')
  const sequence = view.getUint32(41)
  const previous = toHex(own.subarray(45, 77))
  if (sequence === 0 || (sequence === 1) !== (previous === NoPrevious)) throw invalid('its sequence')
  const lamport = getUint48(view, 77)
  if (lamport === 0) throw invalid('its Lamport time')
  const parentCount = view.getUint8(89)
  let offset = FixedBytes + parentCount * HashBytes
  const end = own.length - SignatureBytes
  if (parentCount > MaxParents || offset >= end) throw invalid('its number of parents')
  const parents = Array.from({ length: parentCount }, (_, index) =>
    toHex(own.subarray(FixedBytes + index * HashBytes, FixedBytes + (index + 1) * HashBytes)),
  )
  if (parents.some((parent, index) => parent === previous || parent <= (parents[index - 1] ?? ''))) {
    throw invalid('the order of its parents')
  }
  const nameEnd = offset + 1 + view.getUint8(offset)
  if (nameEnd + 2 > end) throw invalid('the length of its name')
  const name = fromUtf8(own.subarray(offset + 1, nameEnd))
  if (name === undefined || !isEntryName(name)) throw invalid('its name')
  offset = nameEnd + 2
  const textBytes = view.getUint16(nameEnd)
  if (textBytes < 1 || textBytes > MaxTextBytes || offset + textBytes !== end) throw invalid('its length')
  const text = fromUtf8(own.subarray(offset, end))
  if (text === undefined) throw invalid('its text')
  const author = own.subarray(1, 33)
  const incarnation = own.subarray(33, 41)
  const hash = toHex(crypto.sha256(own))
  return {
    author,
    incarnation,
    sequence,
    previous: sequence === 1 ? undefined : previous,
    parents,
    lamport,
    wallMs: getUint48(view, 83),
    name,
    text,
    bytes: own,
    hash,
    id: hash.slice(0, 32),
    stream: streamOf(author, incarnation),
  }
}

export function verifyEntry(crypto: Pick<Crypto, 'verify'>, room: string, entry: Entry): boolean {
  const end = entry.bytes.length - SignatureBytes
  return crypto.verify(
    signedBytes(room, entry.bytes.subarray(0, end)),
    entry.bytes.subarray(end),
    entry.author,
  )
}

/** The room is signed, not sent: an entry carried to another room does not verify there. */
function signedBytes(room: string, body: Uint8Array): Uint8Array {
  return concatenate(utf8(`gonet/1 chat entry\n${room}\n`), body)
}

/** The first bytes of what stands in hex: of hashes, digests and streams, which are hex inside. */
export function hashBytes(hash: string, length: number = HashBytes): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let index = 0; index < length; index += 1) {
    bytes[index] = (digitOf(hash.charCodeAt(2 * index)) << 4) | digitOf(hash.charCodeAt(2 * index + 1))
  }
  return bytes
}

/** Of a lower-case hex digit. */
function digitOf(code: number): number {
  return code < 0x40 ? code - 0x30 : code - 0x57
}

export function setUint48(view: DataView, offset: number, value: number): void {
  view.setUint16(offset, Math.floor(value / 2 ** 32))
  view.setUint32(offset + 2, value % 2 ** 32)
}

export function getUint48(view: DataView, offset: number): number {
  return view.getUint16(offset) * 2 ** 32 + view.getUint32(offset + 2)
}

function invalid(what: string): DecodeError {
  return new DecodeError('entry-invalid', `A chat entry is not valid: ${what} is wrong`)
}
