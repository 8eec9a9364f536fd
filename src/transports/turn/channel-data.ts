/** ChannelData messages (RFC 8656 section 12.4): a channel number, a length, and data. */
import { DecodeError } from '../../core/errors.js'
import { FirstChannelNumber, LastChannelNumber } from './constants.js'

export interface ChannelData {
  readonly channel: number
  readonly bytes: Uint8Array
}

export const ChannelDataHeaderBytes = 4

/** Whether the first byte of a message from a TURN server says ChannelData, and not STUN. */
export function isChannelData(firstByte: number): boolean {
  return firstByte >= FirstChannelNumber >> 8 && firstByte <= LastChannelNumber >> 8
}

/** @param padded to a multiple of four bytes, which streams need (RFC 8656 section 12.5) */
export function encodeChannelData(channel: number, data: Uint8Array, padded: boolean): Uint8Array {
  const end = ChannelDataHeaderBytes + data.length
  const bytes = new Uint8Array(padded ? (end + 3) & ~3 : end)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, channel)
  view.setUint16(2, data.length)
  bytes.set(data, ChannelDataHeaderBytes)
  return bytes
}

/**
 * Reads a message; what follows it, which is padding, is left out. The data is a view of `bytes`.
 * @throws DecodeError `turn-channel-data`
 */
export function decodeChannelData(bytes: Uint8Array): ChannelData {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < ChannelDataHeaderBytes || !isChannelData(view.getUint8(0))) {
    throw new DecodeError('turn-channel-data', 'Not the header of a ChannelData message')
  }
  const end = ChannelDataHeaderBytes + view.getUint16(2)
  if (end > bytes.length) throw new DecodeError('turn-channel-data', 'A ChannelData message is cut short')
  return { channel: view.getUint16(0), bytes: bytes.subarray(ChannelDataHeaderBytes, end) }
}
