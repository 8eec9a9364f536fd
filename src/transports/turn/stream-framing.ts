/**
 * Messages in a byte stream between a TURN client and its server (RFC 8656 section 12.5, RFC 8489 section
 * 6.2.2): a STUN message says its own length, ChannelData too and is padded to a multiple of four.
 */
import { DecodeError } from '../../core/errors.js'
import { HeaderBytes, MagicCookie } from '../stun/constants.js'
import { ChannelDataHeaderBytes, isChannelData } from './channel-data.js'

/** Cuts a stream into messages. Keeps at most one message that is not whole yet: some 64 KiB. */
export class StreamDecoder {
  #kept: Uint8Array = new Uint8Array(0)

  /**
   * @param bytes the next piece of the stream, of any length
   * @returns the messages that are whole now, ChannelData with its padding
   * @throws DecodeError `turn-stream` where the stream makes no sense: nothing after it can be read either
   */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    // A copy: whoever gave the piece may use its memory again.
    const whole = new Uint8Array(this.#kept.length + bytes.length)
    whole.set(this.#kept)
    whole.set(bytes, this.#kept.length)
    const messages: Uint8Array[] = []
    let offset = 0
    for (;;) {
      const rest = whole.subarray(offset)
      const length = messageLength(rest)
      if (length === undefined || length > rest.length) {
        this.#kept = rest.slice()
        return messages
      }
      messages.push(rest.subarray(0, length))
      offset += length
    }
  }
}

/**
 * Whether a message to the server may be dropped where a stream is slow: data, that is. Requests are not
 * sent again on streams, and so must arrive.
 */
export function mayDrop(message: Uint8Array): boolean {
  const [first = 0, second = 0] = message
  // The class of an indication is 0b01: C1 is in the first byte, C0 in the second (RFC 8489 section 5).
  return isChannelData(first) || ((first & 0x01) === 0 && (second & 0x10) !== 0)
}

/** Undefined as long as too little has come to say. */
function messageLength(bytes: Uint8Array): number | undefined {
  const [first] = bytes
  if (first === undefined) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isChannelData(first)) {
    return bytes.length < 4 ? undefined : ChannelDataHeaderBytes + ((view.getUint16(2) + 3) & ~3)
  }
  if (first >= 0x40) throw new DecodeError('turn-stream', 'The stream has something else than TURN')
  if (bytes.length < 8) return undefined
  const length = view.getUint16(2)
  if (view.getUint32(4) !== MagicCookie || length % 4 !== 0) {
    throw new DecodeError('turn-stream', 'The stream has something else than STUN messages')
  }
  return HeaderBytes + length
}
