/**
 * Bounds the packets of an MQTT byte stream. Parsers collect a packet whole before they show it, and its
 * length field goes to 256 MiB, so whoever sends could fill the memory of whoever reads.
 */
import type { Readable } from 'node:stream'
import { DecodeError } from '../../core/errors.js'

/** Follows the fixed headers of MQTT (section 2.1 of MQTT 3.1.1 and of MQTT 5), and nothing else. */
export class PacketFraming {
  readonly #maxPacketBytes: number
  /** Bytes of the current packet still to come after its fixed header. */
  #bodyBytes = 0
  #length = 0
  /** What the next byte of the length field counts, or 0 where the next byte is a packet's first. */
  #multiplier = 0

  constructor(maxPacketBytes: number) {
    this.#maxPacketBytes = maxPacketBytes
  }

  /** @throws DecodeError `mqtt-packet-too-large`, `mqtt-length-wrong` */
  read(bytes: Uint8Array): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#bodyBytes > 0) {
        const skipped = Math.min(this.#bodyBytes, bytes.length - at)
        this.#bodyBytes -= skipped
        at += skipped
        continue
      }
      this.#readHeader(bytes[at] ?? 0)
      at += 1
    }
  }

  #readHeader(byte: number): void {
    if (this.#multiplier === 0) {
      this.#multiplier = 1
      this.#length = 0
      return
    }
    this.#length += (byte & 0x7f) * this.#multiplier
    if (this.#length > this.#maxPacketBytes) {
      throw new DecodeError('mqtt-packet-too-large', `a packet is larger than ${this.#maxPacketBytes} bytes`)
    }
    if ((byte & 0x80) === 0) {
      this.#bodyBytes = this.#length
      this.#multiplier = 0
      return
    }
    this.#multiplier *= 0x80
    // The length field has four bytes at most.
    if (this.#multiplier > 0x80 ** 3) throw new DecodeError('mqtt-length-wrong', 'a length is malformed')
  }
}

/**
 * Destroys a stream as soon as it announces a packet that is too large. It reads along where the bytes enter
 * the stream: another one between it and the parser would have to pass on every way that either can end.
 */
export function limitPackets(stream: Readable, maxPacketBytes: number): void {
  const framing = new PacketFraming(maxPacketBytes)
  const push = stream.push.bind(stream)
  stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk instanceof Uint8Array) {
      try {
        framing.read(chunk)
      } catch (error) {
        stream.destroy(error as DecodeError)
        return false
      }
    }
    return push(chunk, encoding)
  }
}
