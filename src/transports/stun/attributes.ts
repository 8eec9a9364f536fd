/**
 * The values of attributes (RFC 8489 section 14). A reader gives undefined for a value that is not of its
 * form.
 */
import ipaddr from 'ipaddr.js'
import type { SocketAddress } from '../../core/machine.js'
import { AttributeType, BehaviourAttributeType, MagicCookie } from './constants.js'
import type { Attribute } from './message.js'

export interface ErrorCode {
  /** 300 to 699. */
  readonly code: number
  readonly reason: string
}

const IPv4Family = 0x01
const IPv6Family = 0x02
/** RFC 8489 section 14.3: USERNAME has fewer than 509 bytes. */
const MaxUsernameBytes = 508

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export function usernameAttribute(username: string): Attribute {
  return { type: AttributeType.Username, value: encoder.encode(username) }
}

export function readUsername(value: Uint8Array): string | undefined {
  return value.length > MaxUsernameBytes ? undefined : readText(value)
}

/** @param software what this program is called, for a person */
export function softwareAttribute(software: string): Attribute {
  return { type: AttributeType.Software, value: encoder.encode(software) }
}

/** RFC 8445 section 7.1.1. */
export function priorityAttribute(priority: number): Attribute {
  const value = new Uint8Array(4)
  new DataView(value.buffer).setUint32(0, priority)
  return { type: AttributeType.Priority, value }
}

/** RFC 8489 section 14.1. */
export function readMappedAddress(value: Uint8Array): SocketAddress | undefined {
  const family = value[1]
  if (!(family === IPv4Family && value.length === 8) && !(family === IPv6Family && value.length === 20)) {
    return undefined
  }
  return {
    address: formatAddress(value.subarray(4)),
    port: new DataView(value.buffer, value.byteOffset).getUint16(2),
  }
}

/**
 * RFC 8489 section 14.2: so that no NAT on the way rewrites it.
 * @param address an IP address without a zone; @param transactionId that of the message, 12 bytes
 */
export function xorMappedAddressAttribute(address: SocketAddress, transactionId: Uint8Array): Attribute {
  const host = ipaddr.parse(address.address).toByteArray()
  const value = new Uint8Array(4 + host.length)
  value[1] = host.length === 4 ? IPv4Family : IPv6Family
  new DataView(value.buffer).setUint16(2, address.port)
  value.set(host, 4)
  return { type: AttributeType.XorMappedAddress, value: applyXor(value, transactionId) }
}

/** RFC 8489 section 14.2. */
export function readXorMappedAddress(
  value: Uint8Array,
  transactionId: Uint8Array,
): SocketAddress | undefined {
  return readMappedAddress(applyXor(value, transactionId))
}

/** RFC 8489 section 14.8. */
export function errorCodeAttribute({ code, reason }: ErrorCode): Attribute {
  return {
    type: AttributeType.ErrorCode,
    value: Uint8Array.of(0, 0, Math.trunc(code / 100), code % 100, ...encoder.encode(reason)),
  }
}

/** RFC 8489 section 14.8. */
export function readErrorCode(value: Uint8Array): ErrorCode | undefined {
  const [, , hundreds, number] = value
  if (hundreds === undefined || number === undefined || number > 99) return undefined
  const code = (hundreds & 0x07) * 100 + number
  const reason = readText(value.subarray(4))
  return code < 300 || code > 699 || reason === undefined ? undefined : { code, reason }
}

/** RFC 8489 section 14.9. */
export function unknownAttributesAttribute(types: readonly number[]): Attribute {
  const value = new Uint8Array(2 * types.length)
  const view = new DataView(value.buffer)
  types.forEach((type, index) => view.setUint16(2 * index, type))
  return { type: AttributeType.UnknownAttributes, value }
}

/** RFC 8489 section 14.9. */
export function readUnknownAttributes(value: Uint8Array): number[] | undefined {
  if (value.length % 2 !== 0) return undefined
  const view = new DataView(value.buffer, value.byteOffset)
  return Array.from({ length: value.length / 2 }, (_, index) => view.getUint16(2 * index))
}

/** RFC 5780 section 7.2: what the answer is to come from, in place of where the request was sent to. */
export function changeRequestAttribute(change: {
  readonly address: boolean
  readonly port: boolean
}): Attribute {
  const flags = (change.address ? 0x04 : 0) | (change.port ? 0x02 : 0)
  return { type: BehaviourAttributeType.ChangeRequest, value: Uint8Array.of(0, 0, 0, flags) }
}

/** RFC 5780 section 7.5: the answer is to go to this port of the address that the request came from. */
export function responsePortAttribute(port: number): Attribute {
  return { type: BehaviourAttributeType.ResponsePort, value: Uint8Array.of(port >> 8, port & 0xff, 0, 0) }
}

/** The port with the cookie's upper half, the address with the cookie and the transaction id. */
function applyXor(value: Uint8Array, transactionId: Uint8Array): Uint8Array {
  const mask = new Uint8Array(20)
  const view = new DataView(mask.buffer)
  view.setUint16(2, MagicCookie >>> 16)
  view.setUint32(4, MagicCookie)
  mask.set(transactionId, 8)
  return value.map((byte, index) => byte ^ (mask[index] ?? 0))
}

function formatAddress(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray(Array.from(bytes))
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

function readText(value: Uint8Array): string | undefined {
  try {
    return decoder.decode(value)
  } catch {
    return undefined
  }
}
