/**
 * The four messages of WireGuard and their layout (WireGuard paper, section 5.4). Integers are little-endian.
 */
import { DecodeError } from '../../core/errors.js'

export const MessageType: {
  readonly Initiation: 1
  readonly Response: 2
  readonly CookieReply: 3
  readonly Transport: 4
} = { Initiation: 1, Response: 2, CookieReply: 3, Transport: 4 }

export const InitiationLength = 148
export const ResponseLength = 92
export const CookieReplyLength = 64
export const TransportHeaderLength = 16
export const TagLength = 16

/** Section 5.4.2. The parts are views of the datagram. */
export interface Initiation {
  readonly type: typeof MessageType.Initiation
  readonly sender: number
  readonly ephemeral: Uint8Array
  readonly encryptedStatic: Uint8Array
  readonly encryptedTimestamp: Uint8Array
}

/** Section 5.4.3. */
export interface Response {
  readonly type: typeof MessageType.Response
  readonly sender: number
  readonly receiver: number
  readonly ephemeral: Uint8Array
  readonly encryptedNothing: Uint8Array
}

/** Section 5.4.7. */
export interface CookieReply {
  readonly type: typeof MessageType.CookieReply
  readonly receiver: number
  readonly nonce: Uint8Array
  readonly encryptedCookie: Uint8Array
}

/** Section 5.4.6. */
export interface Transport {
  readonly type: typeof MessageType.Transport
  readonly receiver: number
  readonly counter: number
  readonly encryptedPacket: Uint8Array
}

export type Message = Initiation | Response | CookieReply | Transport

/**
 * Takes a datagram apart; nothing is authenticated yet, mac1 included.
 * @throws DecodeError `wireguard-type`, `wireguard-length`, or `wireguard-counter` (beyond 2^53 - 1)
 */
export function decodeMessage(bytes: Uint8Array): Message {
  if (bytes.length < 4 || bytes[1] !== 0 || bytes[2] !== 0 || bytes[3] !== 0) {
    throw new DecodeError('wireguard-type', 'Not a WireGuard message')
  }
  switch (bytes[0]) {
    case MessageType.Initiation:
      expectLength(bytes.length === InitiationLength)
      return {
        type: MessageType.Initiation,
        sender: readUint32(bytes, 4),
        ephemeral: bytes.subarray(8, 40),
        encryptedStatic: bytes.subarray(40, 88),
        encryptedTimestamp: bytes.subarray(88, 116),
      }
    case MessageType.Response:
      expectLength(bytes.length === ResponseLength)
      return {
        type: MessageType.Response,
        sender: readUint32(bytes, 4),
        receiver: readUint32(bytes, 8),
        ephemeral: bytes.subarray(12, 44),
        encryptedNothing: bytes.subarray(44, 60),
      }
    case MessageType.CookieReply:
      expectLength(bytes.length === CookieReplyLength)
      return {
        type: MessageType.CookieReply,
        receiver: readUint32(bytes, 4),
        nonce: bytes.subarray(8, 32),
        encryptedCookie: bytes.subarray(32),
      }
    case MessageType.Transport:
      expectLength(bytes.length >= TransportHeaderLength + TagLength)
      return {
        type: MessageType.Transport,
        receiver: readUint32(bytes, 4),
        counter: readCounter(bytes, 8),
        encryptedPacket: bytes.subarray(TransportHeaderLength),
      }
    default:
      throw new DecodeError('wireguard-type', 'Not a WireGuard message')
  }
}

/** An initiation with type, sender and ephemeral set; the handshake fills in the rest. */
export function initiationHeader(sender: number, ephemeral: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(InitiationLength)
  bytes[0] = MessageType.Initiation
  writeUint32(bytes, 4, sender)
  bytes.set(ephemeral, 8)
  return bytes
}

/** A response with type, indices and ephemeral set; the handshake fills in the rest. */
export function responseHeader(sender: number, receiver: number, ephemeral: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ResponseLength)
  bytes[0] = MessageType.Response
  writeUint32(bytes, 4, sender)
  writeUint32(bytes, 8, receiver)
  bytes.set(ephemeral, 12)
  return bytes
}

/** A whole cookie reply. */
export function cookieReply(receiver: number, nonce: Uint8Array, encryptedCookie: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(CookieReplyLength)
  bytes[0] = MessageType.CookieReply
  writeUint32(bytes, 4, receiver)
  bytes.set(nonce, 8)
  bytes.set(encryptedCookie, 32)
  return bytes
}

/** A transport message with its header set, and zeros where `packetLength` bytes and their tag go. */
export function transportHeader(receiver: number, counter: number, packetLength: number): Uint8Array {
  const bytes = new Uint8Array(TransportHeaderLength + packetLength + TagLength)
  bytes[0] = MessageType.Transport
  writeUint32(bytes, 4, receiver)
  writeUint32(bytes, 8, counter % 2 ** 32)
  writeUint32(bytes, 12, Math.floor(counter / 2 ** 32))
  return bytes
}

function expectLength(right: boolean): void {
  if (!right) throw new DecodeError('wireguard-length', 'A WireGuard message of the wrong length')
}

function readCounter(bytes: Uint8Array, offset: number): number {
  const counter = readUint32(bytes, offset + 4) * 2 ** 32 + readUint32(bytes, offset)
  if (!Number.isSafeInteger(counter)) {
    throw new DecodeError('wireguard-counter', 'A WireGuard counter beyond 2^53 - 1')
  }
  return counter
}

export function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] ?? 0) |
      ((bytes[offset + 1] ?? 0) << 8) |
      ((bytes[offset + 2] ?? 0) << 16) |
      ((bytes[offset + 3] ?? 0) << 24)) >>>
    0
  )
}

function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value & 0xff
  bytes[offset + 1] = (value >>> 8) & 0xff
  bytes[offset + 2] = (value >>> 16) & 0xff
  bytes[offset + 3] = value >>> 24
}
