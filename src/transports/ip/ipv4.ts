import { DecodeError } from '../../core/errors.js'
import { checksumOf, sumOfWords } from './checksum.js'
import { HopLimit, type IpPacket } from './packet.js'

const HeaderBytes = 20
const DontFragment = 0x4000
const MoreFragmentsAndOffset = 0x3fff

/** An IPv4 packet without options (RFC 791). It may not be fragmented, so its identification is 0 (RFC 6864). */
export function encodeIpv4(packet: IpPacket): Uint8Array {
  const bytes = new Uint8Array(HeaderBytes + packet.payload.length)
  const view = new DataView(bytes.buffer)
  bytes[0] = 0x45
  view.setUint16(2, bytes.length)
  view.setUint16(6, DontFragment)
  bytes[8] = HopLimit
  bytes[9] = packet.protocol
  bytes.set(packet.source, 12)
  bytes.set(packet.destination, 16)
  view.setUint16(10, checksumOf(sumOfWords(bytes.subarray(0, HeaderBytes))))
  bytes.set(packet.payload, HeaderBytes)
  return bytes
}

/**
 * Options are skipped, and bytes after the total length (a tunnel's padding) ignored. The result's arrays
 * are views into `bytes`.
 * @throws DecodeError `ipv4-header-invalid`, `ipv4-truncated`, `ipv4-checksum`, `ipv4-fragment`
 */
export function decodeIpv4(bytes: Uint8Array): IpPacket {
  const headerBytes = ((bytes[0] ?? 0) & 0x0f) * 4
  if (bytes.length < HeaderBytes || bytes.length < headerBytes) {
    throw new DecodeError('ipv4-truncated', 'The IPv4 packet ends inside its header')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const totalLength = view.getUint16(2)
  if (view.getUint8(0) >> 4 !== 4 || headerBytes < HeaderBytes || totalLength < headerBytes) {
    throw new DecodeError('ipv4-header-invalid', 'The IPv4 header has a wrong version or length')
  }
  if (totalLength > bytes.length) {
    throw new DecodeError('ipv4-truncated', 'The IPv4 packet is shorter than its header says')
  }
  if (checksumOf(sumOfWords(bytes.subarray(0, headerBytes))) !== 0) {
    throw new DecodeError('ipv4-checksum', 'The checksum of the IPv4 header is wrong')
  }
  if ((view.getUint16(6) & MoreFragmentsAndOffset) !== 0) {
    throw new DecodeError('ipv4-fragment', 'Fragments are not reassembled')
  }
  return {
    source: bytes.subarray(12, 16),
    destination: bytes.subarray(16, 20),
    protocol: view.getUint8(9),
    payload: bytes.subarray(headerBytes, totalLength),
  }
}
