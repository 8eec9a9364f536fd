/** The messages of PCP, the Port Control Protocol (RFC 6887): MAP for UDP, and ANNOUNCE. */
import ipaddr from 'ipaddr.js'
import { DecodeError } from '../../core/errors.js'
import type { SocketAddress } from '../../core/machine.js'
import {
  MaxMessageBytes,
  NonceBytes,
  PcpOpcode,
  PcpVersion,
  ResponseBit,
  Success,
  UdpProtocol,
} from './constants.js'

export interface PcpMapRequest {
  /** This machine's address on the router's network: the router refuses another than the datagram's source. */
  readonly clientAddress: string
  /** 12 bytes: the same for a mapping's renewals and its deletion. */
  readonly nonce: Uint8Array
  /** 0 deletes the mapping. */
  readonly lifetimeSeconds: number
  readonly internalPort: number
  /** Which external address and port would be best; undefined for any. */
  readonly suggested: SocketAddress | undefined
}

export interface PcpResponse {
  readonly opcode: number
  readonly resultCode: number
  /** Of the mapping; of the error where there is one. */
  readonly lifetimeSeconds: number
  /** How long the router has kept its state. */
  readonly epochSeconds: number
  /** In responses to MAP only. */
  readonly map: PcpMapping | undefined
}

export interface PcpMapping {
  readonly nonce: Uint8Array
  readonly protocol: number
  readonly internalPort: number
  readonly external: SocketAddress
}

const HeaderBytes = 24
const MapBytes = 36

/** RFC 6887 sections 7.1 and 11.1. */
export function encodePcpMapRequest(request: PcpMapRequest): Uint8Array {
  const { clientAddress, nonce, lifetimeSeconds, internalPort, suggested } = request
  const bytes = encodeHeader(PcpOpcode.Map, clientAddress, lifetimeSeconds, MapBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(nonce, HeaderBytes)
  bytes[36] = UdpProtocol
  view.setUint16(40, internalPort)
  view.setUint16(42, suggested?.port ?? 0)
  const anyOfFamily = clientAddress.includes(':') ? '::' : '0.0.0.0'
  bytes.set(addressBytes(suggested?.address ?? anyOfFamily), 44)
  return bytes
}

/** RFC 6887 section 14.1: asks for nothing but the epoch. */
export function encodePcpAnnounceRequest(clientAddress: string): Uint8Array {
  return encodeHeader(PcpOpcode.Announce, clientAddress, 0, 0)
}

/**
 * Reads a response by RFC 6887 sections 7.2, 8.3 and 11.1. Options are left unread: none is asked for.
 * @throws DecodeError `pcp-response`
 */
export function decodePcpResponse(bytes: Uint8Array): PcpResponse {
  const wrong = (message: string): DecodeError => new DecodeError('pcp-response', message)
  const { length } = bytes
  if (length < HeaderBytes || length > MaxMessageBytes || length % 4 !== 0) throw wrong('wrong length')
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  if (view.getUint8(0) !== PcpVersion) throw wrong('not of version 2')
  if ((view.getUint8(1) & ResponseBit) === 0) throw wrong('no response')
  const opcode = view.getUint8(1) & ~ResponseBit
  const resultCode = view.getUint8(3)
  const isMap = opcode === PcpOpcode.Map
  // An error may leave out the rest, where the request was not understood.
  if (isMap && resultCode === Success && length < HeaderBytes + MapBytes) throw wrong('cut short')
  return {
    opcode,
    resultCode,
    lifetimeSeconds: view.getUint32(4),
    epochSeconds: view.getUint32(8),
    map: isMap && length >= HeaderBytes + MapBytes ? readMapping(bytes, view) : undefined,
  }
}

function readMapping(bytes: Uint8Array, view: DataView): PcpMapping {
  return {
    nonce: bytes.slice(HeaderBytes, HeaderBytes + NonceBytes),
    protocol: view.getUint8(36),
    internalPort: view.getUint16(40),
    external: { address: addressText(bytes.subarray(44, 60)), port: view.getUint16(42) },
  }
}

function encodeHeader(
  opcode: number,
  clientAddress: string,
  lifetimeSeconds: number,
  dataBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HeaderBytes + dataBytes)
  bytes[0] = PcpVersion
  bytes[1] = opcode
  new DataView(bytes.buffer).setUint32(4, lifetimeSeconds)
  bytes.set(addressBytes(clientAddress), 8)
  return bytes
}

/** RFC 6887 section 5: IPv4 addresses are written as IPv4-mapped IPv6 addresses. */
function addressBytes(text: string): readonly number[] {
  const address = ipaddr.parse(text)
  return (address instanceof ipaddr.IPv4 ? address.toIPv4MappedAddress() : address).toByteArray()
}

function addressText(bytes: Uint8Array): string {
  const address = ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6
  return address.isIPv4MappedAddress() ? address.toIPv4Address().toString() : address.toRFC5952String()
}
