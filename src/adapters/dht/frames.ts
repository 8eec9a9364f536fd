/**
 * What host and guest say to each other, over a connection and in mailboxes: frames of two bytes of length,
 * one of type, and a body.
 */
import { DecodeError } from '../../core/errors.js'
import type { Box } from '../../core/signalling-adapter.js'
import { dhtTraits } from './traits.js'

export const FrameVersion = 1

export type Frame =
  /** The first of a connection, both ways: for which meeting point it is. */
  | { readonly type: 'hello'; readonly target: Uint8Array }
  /** The sender wants to be shown this box. */
  | { readonly type: 'watch'; readonly box: Box }
  | {
      readonly type: 'record'
      readonly box: Box
      readonly sender: string
      readonly expiresInMs: number
      readonly bytes: Uint8Array
    }
  /** The host has taken this guest's join. */
  | { readonly type: 'taken'; readonly sender: string }
  /** An X25519 public key; in mailboxes only. */
  | { readonly type: 'exchange'; readonly publicKey: Uint8Array }

const Types = { hello: 0, watch: 1, record: 2, taken: 3, exchange: 4 } as const
const KeyBytes = 32
const BoxForm = /^(host|join|reply\/[0-9a-z]{1,64})$/
const SenderForm = /^[0-9a-z]{1,64}$/
const MaxNameBytes = 70
/** A record with the longest names: type, two names with their lengths, four bytes of expiry. */
export const MaxFrameBytes: number = 1 + 2 * (1 + MaxNameBytes) + 4 + dhtTraits.maxRecordBytes

/** Of a record in a frame: what is not its bytes. */
export function encodeFrame(frame: Frame): Buffer {
  const body = encodeBody(frame)
  const header = Buffer.alloc(3)
  header.writeUInt16BE(1 + body.length, 0)
  header.writeUInt8(Types[frame.type], 2)
  return Buffer.concat([header, body])
}

function encodeBody(frame: Frame): Buffer {
  switch (frame.type) {
    case 'hello':
      return Buffer.concat([Buffer.of(FrameVersion), frame.target])
    case 'watch':
      return Buffer.from(frame.box, 'latin1')
    case 'record': {
      const expiry = Buffer.alloc(4)
      expiry.writeUInt32BE(Math.min(Math.max(0, Math.floor(frame.expiresInMs)), 0xff_ff_ff_ff), 0)
      return Buffer.concat([named(frame.box), named(frame.sender), expiry, frame.bytes])
    }
    case 'taken':
      return Buffer.from(frame.sender, 'latin1')
    case 'exchange':
      return Buffer.from(frame.publicKey)
  }
}

function named(name: string): Buffer {
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')])
}

/** Frames out of bytes as they come. It holds less than a frame, whatever comes. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0)

  /** @throws DecodeError `dht-frame-wrong`, after which nothing more can be decoded */
  push(bytes: Uint8Array): Frame[] {
    const all = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes])
    const frames: Frame[] = []
    let at = 0
    while (at + 2 <= all.length) {
      const length = all.readUInt16BE(at)
      if (length === 0 || length > MaxFrameBytes) throw wrong(`a frame of ${length} bytes`)
      if (at + 2 + length > all.length) break
      frames.push(decodeFrame(all.subarray(at + 2, at + 2 + length)))
      at += 2 + length
    }
    this.#rest = all.subarray(at)
    return frames
  }

  /** @throws DecodeError where the bytes ended inside of a frame */
  end(): void {
    if (this.#rest.length > 0) throw wrong('a frame without its end')
  }
}

/** All frames of a mailbox. @throws DecodeError `dht-frame-wrong` */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  const decoder = new FrameDecoder()
  const frames = decoder.push(bytes)
  decoder.end()
  return frames
}

function decodeFrame(frame: Buffer): Frame {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case Types.hello:
      if (body.length !== 1 + KeyBytes || body[0] !== FrameVersion)
        throw wrong('a greeting that we do not know')
      return { type: 'hello', target: copy(body.subarray(1)) }
    case Types.watch:
      return { type: 'watch', box: asBox(body) }
    case Types.record: {
      const box = readName(body, 0)
      const sender = readName(body, 1 + box.length)
      const expiryAt = 2 + box.length + sender.length
      if (expiryAt + 4 > body.length) throw wrong('a record that is too short')
      const bytes = copy(body.subarray(expiryAt + 4))
      if (bytes.length > dhtTraits.maxRecordBytes) throw wrong('a record that is too large')
      const expiresInMs = body.readUInt32BE(expiryAt)
      return { type: 'record', box: asBox(box), sender: asSender(sender), expiresInMs, bytes }
    }
    case Types.taken:
      return { type: 'taken', sender: asSender(body) }
    case Types.exchange:
      if (body.length !== KeyBytes) throw wrong('a key of a wrong length')
      return { type: 'exchange', publicKey: copy(body) }
    default:
      throw wrong('a frame of an unknown type')
  }
}

function readName(body: Buffer, at: number): Buffer {
  const length = body[at]
  if (length === undefined || length > MaxNameBytes || at + 1 + length > body.length) throw wrong('a name')
  return body.subarray(at + 1, at + 1 + length)
}

function asBox(name: Buffer): Box {
  const text = name.toString('latin1')
  if (!BoxForm.test(text)) throw wrong('no box of that name')
  return text as Box
}

function asSender(name: Buffer): string {
  const text = name.toString('latin1')
  if (!SenderForm.test(text)) throw wrong('no sender of that name')
  return text
}

/** Out of the buffer that the bytes came in, which would be kept as long as they. */
function copy(bytes: Buffer): Uint8Array {
  return Uint8Array.from(bytes)
}

function wrong(what: string): DecodeError {
  return new DecodeError('dht-frame-wrong', `a peer in the DHT sent what is no right frame: ${what}`)
}
