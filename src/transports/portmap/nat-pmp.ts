/** The messages of NAT-PMP, the NAT Port Mapping Protocol (RFC 6886): UDP mappings, and the external address. */
import { DecodeError } from '../../core/errors.js'
import { NatPmpOpcode, NatPmpVersion, ResponseBit, Success, UnsupportedVersion } from './constants.js'

export type NatPmpResponse = NatPmpError | NatPmpExternalAddress | NatPmpMapping

export interface NatPmpError {
  readonly type: 'error'
  /** Of the request; any where the router knows no such version. */
  readonly opcode: number
  readonly resultCode: number
  readonly epochSeconds: number
}

export interface NatPmpExternalAddress {
  readonly type: 'external-address'
  readonly epochSeconds: number
  readonly address: string
}

export interface NatPmpMapping {
  readonly type: 'mapping'
  readonly epochSeconds: number
  readonly internalPort: number
  readonly externalPort: number
  readonly lifetimeSeconds: number
}

const ErrorBytes = 8
const ExternalAddressBytes = 12
const MappingBytes = 16

/** RFC 6886 section 3.2. */
export function encodeNatPmpExternalAddressRequest(): Uint8Array {
  return Uint8Array.of(NatPmpVersion, NatPmpOpcode.ExternalAddress)
}

/**
 * RFC 6886 sections 3.3 and 3.4.
 * @param externalPort the one that would be best, 0 for any
 * @param lifetimeSeconds 0 deletes the mapping
 */
export function encodeNatPmpMapRequest(
  internalPort: number,
  externalPort: number,
  lifetimeSeconds: number,
): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  bytes[0] = NatPmpVersion
  bytes[1] = NatPmpOpcode.MapUdp
  view.setUint16(4, internalPort)
  view.setUint16(6, externalPort)
  view.setUint32(8, lifetimeSeconds)
  return bytes
}

/**
 * Reads a response by RFC 6886 sections 3.2, 3.3 and 3.5.
 * @throws DecodeError `nat-pmp-response`
 */
export function decodeNatPmpResponse(bytes: Uint8Array): NatPmpResponse {
  const wrong = (message: string): DecodeError => new DecodeError('nat-pmp-response', message)
  if (bytes.length < ErrorBytes) throw wrong('cut short')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint8(0) !== NatPmpVersion) throw wrong('not of version 0')
  const resultCode = view.getUint16(2)
  const epochSeconds = view.getUint32(4)
  // Section 3.5: an answer to another version than the router's may not even have the response's bit.
  const isResponse = (view.getUint8(1) & ResponseBit) !== 0
  if (!isResponse && resultCode !== UnsupportedVersion) throw wrong('no response')
  const opcode = view.getUint8(1) & ~ResponseBit
  if (resultCode !== Success) return { type: 'error', opcode, resultCode, epochSeconds }
  if (opcode === NatPmpOpcode.ExternalAddress && bytes.length === ExternalAddressBytes) {
    return { type: 'external-address', epochSeconds, address: bytes.subarray(8, 12).join('.') }
  }
  if (opcode === NatPmpOpcode.MapUdp && bytes.length === MappingBytes) {
    return {
      type: 'mapping',
      epochSeconds,
      internalPort: view.getUint16(8),
      externalPort: view.getUint16(10),
      lifetimeSeconds: view.getUint32(12),
    }
  }
  throw wrong('of an opcode that was not asked for, or of its wrong length')
}
