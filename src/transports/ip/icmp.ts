/** The messages of ICMP (RFC 792) and ICMPv6 (RFC 4443) that a host with nothing but UDP needs, and a router. */
import { DecodeError } from '../../core/errors.js'
import { checksumOf, sumOfPseudoHeader, sumOfWords } from './checksum.js'
import { type IpPacket, IpProtocol } from './packet.js'

export const IcmpHeaderBytes = 8

const Icmp = {
  protocol: IpProtocol.icmp,
  echoRequest: 8,
  echoReply: 0,
  errors: { 'port-unreachable': [3, 3], 'address-unreachable': [3, 1], 'hop-limit-exceeded': [11, 0] },
} as const
const Icmpv6 = {
  protocol: IpProtocol.icmpv6,
  echoRequest: 128,
  echoReply: 129,
  errors: { 'port-unreachable': [1, 4], 'address-unreachable': [1, 3], 'hop-limit-exceeded': [3, 0] },
} as const

/** Why a packet got no further. */
export type IcmpError = 'port-unreachable' | 'address-unreachable' | 'hop-limit-exceeded'

export interface Echo {
  readonly kind: 'request' | 'reply'
  /** 16 bits each. */
  readonly identifier: number
  readonly sequence: number
  readonly data: Uint8Array
}

export function encodeEcho(source: Uint8Array, destination: Uint8Array, echo: Echo): IpPacket {
  const numbers = numbersFor(source)
  const body = new Uint8Array(IcmpHeaderBytes + echo.data.length)
  const view = new DataView(body.buffer)
  body[0] = echo.kind === 'request' ? numbers.echoRequest : numbers.echoReply
  view.setUint16(4, echo.identifier)
  view.setUint16(6, echo.sequence)
  body.set(echo.data, IcmpHeaderBytes)
  return withChecksum(source, destination, body)
}

/** @param quote the beginning of the packet that got no further, its IP header included */
export function encodeError(
  source: Uint8Array,
  destination: Uint8Array,
  error: IcmpError,
  quote: Uint8Array,
): IpPacket {
  const body = new Uint8Array(IcmpHeaderBytes + quote.length)
  body.set(numbersFor(source).errors[error])
  body.set(quote, IcmpHeaderBytes)
  return withChecksum(source, destination, body)
}

/**
 * Undefined for a valid message that is not an echo. The data is a view into the packet.
 * @throws DecodeError `icmp-truncated`, `icmp-checksum`
 */
export function decodeEcho(packet: IpPacket): Echo | undefined {
  const { source, destination, payload: body } = packet
  if (body.length < IcmpHeaderBytes) throw new DecodeError('icmp-truncated', 'The ICMP message is too short')
  if (checksumOf(sumOf(source, destination, body)) !== 0) {
    throw new DecodeError('icmp-checksum', 'The ICMP checksum is wrong')
  }
  const numbers = numbersFor(source)
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const type = view.getUint8(0)
  if ((type !== numbers.echoRequest && type !== numbers.echoReply) || view.getUint8(1) !== 0) return undefined
  return {
    kind: type === numbers.echoRequest ? 'request' : 'reply',
    identifier: view.getUint16(4),
    sequence: view.getUint16(6),
    data: body.subarray(IcmpHeaderBytes),
  }
}

function withChecksum(source: Uint8Array, destination: Uint8Array, body: Uint8Array): IpPacket {
  new DataView(body.buffer).setUint16(2, checksumOf(sumOf(source, destination, body)))
  return { source, destination, protocol: numbersFor(source).protocol, payload: body }
}

/** ICMPv6 covers the pseudo-header (RFC 4443 section 2.3), ICMP does not. */
function sumOf(source: Uint8Array, destination: Uint8Array, body: Uint8Array): number {
  const sum = sumOfWords(body)
  if (source.length === 4) return sum
  return sum + sumOfPseudoHeader(source, destination, Icmpv6.protocol, body.length)
}

function numbersFor(address: Uint8Array): typeof Icmp | typeof Icmpv6 {
  return address.length === 4 ? Icmp : Icmpv6
}
