/**
 * Frames as they lie in the DHT: sealed, the head in a mutable record, and what does not fit there in
 * immutable records whose hashes the head names.
 */
import type DHT from '@hyperswarm/dht'
import nacl from 'tweetnacl'
import { DecodeError } from '../../core/errors.js'
import type { Random } from '../../core/ports.js'
import { decodeFrames, encodeFrame, type Frame } from './frames.js'

const MailboxVersion = 1
/** What a packet of the DHT takes with all that is around it, on every path of today. */
const MaxValueBytes = 1000
const HashBytes = 32
const MaxPieces = 16
const HeadBytes = MaxValueBytes - 2 - MaxPieces * HashBytes
/** Of the frames of a mailbox together. */
export const MaxMailboxBytes: number =
  HeadBytes + MaxPieces * MaxValueBytes - nacl.secretbox.nonceLength - nacl.secretbox.overheadLength

/** A mailbox of ours. */
export class Mailbox {
  readonly #dht: DHT
  readonly #keyPair: DHT.KeyPair
  readonly #sealingKey: Uint8Array
  readonly #random: Random
  #seq = 0

  constructor(dht: DHT, keyPair: DHT.KeyPair, sealingKey: Uint8Array, random: Random) {
    this.#dht = dht
    this.#keyPair = keyPair
    this.#sealingKey = sealingKey
    this.#random = random
  }

  /**
   * Puts frames in the place of those before.
   * @param frames the last are left out where they are too many
   */
  async write(frames: readonly Frame[]): Promise<void> {
    const nonce = this.#random.bytes(nacl.secretbox.nonceLength)
    const content = concatWithin(frames.map(encodeFrame), MaxMailboxBytes)
    const sealed = Buffer.concat([nonce, nacl.secretbox(content, nonce, this.#sealingKey)])
    const { head, pieces } = split(sealed)
    this.#seq += 1
    const seq = this.#seq
    // The head comes last: whoever finds it finds the rest.
    const stored = await Promise.all(pieces.map((piece) => this.#dht.immutablePut(piece)))
    const value = Buffer.concat([
      Buffer.of(MailboxVersion, pieces.length),
      ...stored.map(({ hash }) => hash),
      head,
    ])
    await this.#dht.mutablePut(this.#keyPair, value, { seq })
  }
}

export interface MailboxContent {
  readonly seq: number
  readonly frames: readonly Frame[]
}

/**
 * Reads somebody's mailbox; undefined where nothing newer lies there.
 * @param afterSeq the number of what was read last
 * @throws DecodeError for what is no mailbox, or sealed with another key
 */
export async function readMailbox(
  dht: DHT,
  publicKey: Buffer,
  sealingKey: Uint8Array,
  afterSeq = 0,
): Promise<MailboxContent | undefined> {
  const found = await dht.mutableGet(publicKey, { seq: afterSeq + 1, latest: true })
  if (found === null) return undefined
  const { hashes, head } = decodeHead(found.value)
  const pieces = await Promise.all(hashes.map((hash) => dht.immutableGet(hash)))
  // A node that had it a moment ago may be gone: the next read finds another.
  if (pieces.some((piece) => piece === null)) return undefined
  const sealed = Buffer.concat([head, ...pieces.map((piece) => piece?.value ?? Buffer.alloc(0))])
  return { seq: found.seq, frames: openMailbox(sealed, sealingKey) }
}

/** @throws DecodeError `dht-mailbox-wrong` */
export function decodeHead(value: Uint8Array): { readonly hashes: readonly Buffer[]; readonly head: Buffer } {
  const bytes = Buffer.from(value)
  const count = bytes[1]
  if (
    bytes[0] !== MailboxVersion ||
    count === undefined ||
    count > MaxPieces ||
    bytes.length > MaxValueBytes
  ) {
    throw wrong('its head')
  }
  const end = 2 + count * HashBytes
  if (bytes.length < end) throw wrong('its head')
  const hashes = Array.from({ length: count }, (_, index) =>
    bytes.subarray(2 + index * HashBytes, 2 + (index + 1) * HashBytes),
  )
  return { hashes, head: bytes.subarray(end) }
}

/** @throws DecodeError `dht-mailbox-wrong`, `dht-frame-wrong` */
export function openMailbox(sealed: Uint8Array, sealingKey: Uint8Array): Frame[] {
  const { nonceLength, overheadLength } = nacl.secretbox
  const isShort = sealed.length < nonceLength + overheadLength
  if (isShort || sealed.length > MaxMailboxBytes + nonceLength + overheadLength) throw wrong('its length')
  const content = nacl.secretbox.open(
    Uint8Array.from(sealed.subarray(nonceLength)),
    Uint8Array.from(sealed.subarray(0, nonceLength)),
    sealingKey,
  )
  if (content === null) throw wrong('its seal')
  return decodeFrames(content)
}

function split(sealed: Buffer): { head: Buffer; pieces: Buffer[] } {
  let count = 0
  const room = (): number => MaxValueBytes - 2 - count * HashBytes
  while (sealed.length > room() + count * MaxValueBytes) count += 1
  const pieces = Array.from({ length: count }, (_, index) => {
    const at = room() + index * MaxValueBytes
    return sealed.subarray(at, at + MaxValueBytes)
  })
  return { head: sealed.subarray(0, room()), pieces }
}

function concatWithin(frames: readonly Buffer[], maxBytes: number): Buffer {
  const kept: Buffer[] = []
  let length = 0
  for (const frame of frames) {
    if (length + frame.length > maxBytes) continue
    length += frame.length
    kept.push(frame)
  }
  return Buffer.concat(kept)
}

function wrong(what: string): DecodeError {
  return new DecodeError('dht-mailbox-wrong', `what lies in the DHT is no mailbox of ours: ${what}`)
}
