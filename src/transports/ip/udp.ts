import { DecodeError } from '../../core/errors.js'
import { checksumOf, sumOfPseudoHeader, sumOfWords } from './checksum.js'
import { type IpPacket, IpProtocol } from './packet.js'

export const UdpHeaderBytes = 8

export interface UdpDatagram {
  readonly sourcePort: number
  readonly destinationPort: number
  readonly payload: Uint8Array
}

/** A UDP datagram (RFC 768) as an IP packet between two addresses of one family. */
export function encodeUdp(source: Uint8Array, destination: Uint8Array, datagram: UdpDatagram): IpPacket {
  const bytes = new Uint8Array(UdpHeaderBytes + datagram.payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, datagram.sourcePort)
  view.setUint16(2, datagram.destinationPort)
  view.setUint16(4, bytes.length)
  bytes.set(datagram.payload, UdpHeaderBytes)
  const pseudoHeader = sumOfPseudoHeader(source, destination, IpProtocol.udp, bytes.length)
  // A computed zero is sent as all ones: zero says that there is no checksum.
  view.setUint16(6, checksumOf(pseudoHeader + sumOfWords(bytes)) || 0xffff)
  return { source, destination, protocol: IpProtocol.udp, payload: bytes }
}

/**
 * A datagram without a checksum is valid over IPv4 (RFC 768) and invalid over IPv6 (RFC 8200 section 8.1).
 * The payload is a view into the packet.
 * @throws DecodeError `udp-length`, `udp-checksum`, `udp-source-port` (0: nobody to answer)
 */
export function decodeUdp(packet: IpPacket): UdpDatagram {
  const { source, destination, payload: bytes } = packet
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = bytes.length < UdpHeaderBytes ? 0 : view.getUint16(4)
  if (length < UdpHeaderBytes || length > bytes.length) {
    throw new DecodeError('udp-length', 'The length in the UDP header does not fit the packet')
  }
  const hasChecksum = view.getUint16(6) !== 0
  const sum = sumOfPseudoHeader(source, destination, IpProtocol.udp, length)
  if (hasChecksum ? checksumOf(sum + sumOfWords(bytes.subarray(0, length))) !== 0 : source.length !== 4) {
    throw new DecodeError('udp-checksum', 'The UDP checksum is wrong')
  }
  const sourcePort = view.getUint16(0)
  if (sourcePort === 0) throw new DecodeError('udp-source-port', 'The UDP source port is 0')
  return {
    sourcePort,
    destinationPort: view.getUint16(2),
    payload: bytes.subarray(UdpHeaderBytes, length),
  }
}
