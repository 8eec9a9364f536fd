/**
 * STUN messages (RFC 8489 section 5): a header of 20 bytes, then attributes of type, length, value and
 * padding to a multiple of four.
 */
import { DecodeError } from '../../core/errors.js'
import type { Crypto } from '../../core/ports.js'
import { AttributeType, HeaderBytes, MagicCookie, TransactionIdBytes } from './constants.js'
import { crc32 } from './crc32.js'

export type MessageClass = 'request' | 'indication' | 'success' | 'error'

export interface Attribute {
  readonly type: number
  readonly value: Uint8Array
}

export interface Message {
  readonly class: MessageClass
  /** 0 to 0xfff. */
  readonly method: number
  /** 12 bytes. */
  readonly transactionId: Uint8Array
  /** In their order, without MESSAGE-INTEGRITY and FINGERPRINT. */
  readonly attributes: readonly Attribute[]
}

export interface DecodedMessage extends Message {
  /** What MESSAGE-INTEGRITY says and covers; undefined where there is none. Not yet verified. */
  readonly integrity: { readonly mac: Uint8Array; readonly covered: Uint8Array } | undefined
  /** Whether there is a FINGERPRINT. It is right: a message with a wrong one does not decode. */
  readonly fingerprint: boolean
}

/** What the integrity of STUN messages needs. */
export type StunCrypto = Pick<Crypto, 'hmacSha1' | 'equal'>

/** Order of the class bits C1 C0 (RFC 8489 section 5, figure 3). */
const Classes: readonly MessageClass[] = ['request', 'indication', 'success', 'error']
/** Far more than any message of this protocol has, and a bound on the work for one datagram. */
const MaxAttributes = 32
const MacBytes = 20
const FingerprintXor = 0x5354554e

/**
 * Reads a message. Attributes after MESSAGE-INTEGRITY are left out, except FINGERPRINT, which is verified.
 * @throws DecodeError `stun-header`, `stun-attributes` or `stun-fingerprint`
 */
export function decodeMessage(bytes: Uint8Array): DecodedMessage {
  const view = viewOf(bytes)
  if (
    bytes.length < HeaderBytes ||
    view.getUint8(0) >= 0x40 ||
    view.getUint32(4) !== MagicCookie ||
    view.getUint16(2) !== bytes.length - HeaderBytes ||
    bytes.length % 4 !== 0
  ) {
    throw new DecodeError('stun-header', 'Not the header of a STUN message')
  }
  const { attributes, integrityAt, fingerprintAt } = readAttributes(bytes, view)
  if (
    fingerprintAt !== undefined &&
    view.getUint32(fingerprintAt + 4) !== fingerprintOf(bytes, fingerprintAt)
  ) {
    throw new DecodeError('stun-fingerprint', 'The FINGERPRINT of a STUN message is wrong')
  }
  const type = view.getUint16(0)
  return {
    class: Classes[((type >> 7) & 2) | ((type >> 4) & 1)] ?? 'request',
    method: (type & 0xf) | ((type >> 1) & 0x70) | ((type >> 2) & 0xf80),
    transactionId: transactionIdOf(bytes),
    attributes,
    integrity: integrityAt === undefined ? undefined : readIntegrity(bytes, integrityAt),
    fingerprint: fingerprintAt !== undefined,
  }
}

/**
 * Writes a message.
 * @param options `integrity`: adds MESSAGE-INTEGRITY under this key; `fingerprint`: adds FINGERPRINT
 */
export function encodeMessage(
  message: Message,
  options: {
    readonly integrity?: { readonly crypto: StunCrypto; readonly key: Uint8Array }
    readonly fingerprint?: boolean
  } = {},
): Uint8Array {
  const { integrity, fingerprint = false } = options
  const attributesEnd = message.attributes.reduce(
    (length, { value }) => length + 4 + padded(value.length),
    HeaderBytes,
  )
  const integrityEnd = attributesEnd + (integrity === undefined ? 0 : 4 + MacBytes)
  const bytes = new Uint8Array(integrityEnd + (fingerprint ? 8 : 0))
  const view = viewOf(bytes)
  view.setUint16(0, typeOf(message))
  view.setUint32(4, MagicCookie)
  bytes.set(message.transactionId, 8)
  let offset = HeaderBytes
  for (const { type, value } of message.attributes) {
    writeAttribute(view, offset, type, value)
    offset += 4 + padded(value.length)
  }
  if (integrity !== undefined) {
    // The length counts MESSAGE-INTEGRITY, but not yet what follows it (RFC 8489 section 14.5).
    view.setUint16(2, integrityEnd - HeaderBytes)
    const mac = integrity.crypto.hmacSha1(integrity.key, bytes.subarray(0, attributesEnd))
    writeAttribute(view, attributesEnd, AttributeType.MessageIntegrity, mac)
  }
  view.setUint16(2, bytes.length - HeaderBytes)
  if (fingerprint) {
    view.setUint16(integrityEnd, AttributeType.Fingerprint)
    view.setUint16(integrityEnd + 2, 4)
    view.setUint32(integrityEnd + 4, fingerprintOf(bytes, integrityEnd))
  }
  return bytes
}

/** Whether the message has a MESSAGE-INTEGRITY, and the right one for this key. */
export function verifyIntegrity(message: DecodedMessage, crypto: StunCrypto, key: Uint8Array): boolean {
  if (message.integrity === undefined) return false
  return crypto.equal(crypto.hmacSha1(key, message.integrity.covered), message.integrity.mac)
}

/** The value of the first attribute of a type: further ones are ignored (RFC 8489 section 14). */
export function findAttribute(message: Message, type: number): Uint8Array | undefined {
  return message.attributes.find((attribute) => attribute.type === type)?.value
}

/** The transaction id of a STUN-shaped datagram, 12 bytes, without decoding the rest. */
export function transactionIdOf(bytes: Uint8Array): Uint8Array {
  return bytes.subarray(8, 8 + TransactionIdBytes)
}

function readAttributes(
  bytes: Uint8Array,
  view: DataView,
): { attributes: Attribute[]; integrityAt: number | undefined; fingerprintAt: number | undefined } {
  const attributes: Attribute[] = []
  let integrityAt: number | undefined
  let fingerprintAt: number | undefined
  let count = 0
  for (let offset = HeaderBytes; offset < bytes.length; ) {
    const type = view.getUint16(offset)
    const length = view.getUint16(offset + 2)
    const end = offset + 4 + padded(length)
    count += 1
    // FINGERPRINT is the last attribute (RFC 8489 section 14.7).
    if (end > bytes.length || count > MaxAttributes || fingerprintAt !== undefined) {
      throw new DecodeError('stun-attributes', 'The attributes of a STUN message are not well formed')
    }
    if (type === AttributeType.Fingerprint) {
      requireLength(length, 4)
      fingerprintAt = offset
    } else if (integrityAt === undefined) {
      if (type === AttributeType.MessageIntegrity) {
        requireLength(length, MacBytes)
        integrityAt = offset
      } else {
        attributes.push({ type, value: bytes.subarray(offset + 4, offset + 4 + length) })
      }
    }
    offset = end
  }
  return { attributes, integrityAt, fingerprintAt }
}

function readIntegrity(bytes: Uint8Array, at: number): { mac: Uint8Array; covered: Uint8Array } {
  // A copy in any case: the `slice` of a Buffer would share, and so change, the datagram.
  const covered = new Uint8Array(bytes.subarray(0, at))
  viewOf(covered).setUint16(2, at + 4 + MacBytes - HeaderBytes)
  return { mac: bytes.subarray(at + 4, at + 4 + MacBytes), covered }
}

function requireLength(length: number, wanted: number): void {
  if (length !== wanted) throw new DecodeError('stun-attributes', 'An attribute has the wrong length')
}

function writeAttribute(view: DataView, offset: number, type: number, value: Uint8Array): void {
  view.setUint16(offset, type)
  view.setUint16(offset + 2, value.length)
  new Uint8Array(view.buffer, view.byteOffset).set(value, offset + 4)
}

function typeOf({ class: messageClass, method }: Message): number {
  const bits = Classes.indexOf(messageClass)
  return (
    (method & 0xf) | ((method & 0x70) << 1) | ((method & 0xf80) << 2) | ((bits & 1) << 4) | ((bits & 2) << 7)
  )
}

function fingerprintOf(bytes: Uint8Array, at: number): number {
  return (crc32(bytes.subarray(0, at)) ^ FingerprintXor) >>> 0
}

function padded(length: number): number {
  return (length + 3) & ~3
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
