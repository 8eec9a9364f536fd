/**
 * The values of TURN's attributes (RFC 8656 section 18). A reader gives undefined for a value that is not of
 * its form.
 */
import type { SocketAddress } from '../../core/machine.js'
import { readXorMappedAddress, xorMappedAddressAttribute } from '../stun/attributes.js'
import { FirstComprehensionOptional } from '../stun/constants.js'
import { type Attribute, findAttribute, type Message } from '../stun/message.js'
import { AddressFamily, MaxQuotedBytes, TurnAttributeType, UdpProtocol, Understood } from './constants.js'

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** RFC 8656 section 18.1. */
export function channelNumberAttribute(number: number): Attribute {
  return { type: TurnAttributeType.ChannelNumber, value: Uint8Array.of(number >> 8, number & 0xff, 0, 0) }
}

/** RFC 8656 section 18.2. @param lifetimeMs whole seconds are sent */
export function lifetimeAttribute(lifetimeMs: number): Attribute {
  const value = new Uint8Array(4)
  new DataView(value.buffer).setUint32(0, Math.floor(lifetimeMs / 1000))
  return { type: TurnAttributeType.Lifetime, value }
}

/** Milliseconds. */
export function readLifetime(value: Uint8Array): number | undefined {
  if (value.length !== 4) return undefined
  return new DataView(value.buffer, value.byteOffset).getUint32(0) * 1000
}

/**
 * RFC 8656 section 18.3: coded as XOR-MAPPED-ADDRESS is.
 * @param transactionId that of the message, 12 bytes
 */
export function xorPeerAddressAttribute(peer: SocketAddress, transactionId: Uint8Array): Attribute {
  const { value } = xorMappedAddressAttribute(peer, transactionId)
  return { type: TurnAttributeType.XorPeerAddress, value }
}

/** An address in a message, of a type that is coded as XOR-MAPPED-ADDRESS is; undefined without a port too. */
export function readXorAddress(message: Message, type: number): SocketAddress | undefined {
  const value = findAttribute(message, type)
  const address = value && readXorMappedAddress(value, message.transactionId)
  return address === undefined || address.port === 0 ? undefined : address
}

/** RFC 8656 section 18.4. */
export function dataAttribute(bytes: Uint8Array): Attribute {
  return { type: TurnAttributeType.Data, value: bytes }
}

/** RFC 8656 section 18.6. */
export function requestedAddressFamilyAttribute(family: 4 | 6): Attribute {
  const value = Uint8Array.of(AddressFamily[family], 0, 0, 0)
  return { type: TurnAttributeType.RequestedAddressFamily, value }
}

/** RFC 8656 section 18.7: UDP. */
export function requestedTransportAttribute(): Attribute {
  return { type: TurnAttributeType.RequestedTransport, value: Uint8Array.of(UdpProtocol, 0, 0, 0) }
}

/** REALM or ALTERNATE-DOMAIN (RFC 8489 sections 14.9 and 14.16). */
export function readQuotedText(value: Uint8Array): string | undefined {
  if (value.length === 0 || value.length > MaxQuotedBytes) return undefined
  try {
    return decoder.decode(value)
  } catch {
    return undefined
  }
}

/** Whether all of a server's message that must be understood is (RFC 8489 section 6.3.3). */
export function isUnderstood({ attributes }: Message): boolean {
  return attributes.every(({ type }) => type >= FirstComprehensionOptional || Understood.has(type))
}
