import fc from 'fast-check'
import nacl from 'tweetnacl'
import { describe, expect, it } from 'vitest'
import { parseBootstrapNode } from '../../src/adapters/dht/bootstrap-node.js'
import {
  decodeFrames,
  encodeFrame,
  type Frame,
  FrameDecoder,
  MaxFrameBytes,
} from '../../src/adapters/dht/frames.js'
import { decodeHead, openMailbox } from '../../src/adapters/dht/mailbox.js'
import { DecodeError } from '../../src/core/errors.js'
import type { Box } from '../../src/core/signalling-adapter.js'

const senders = fc.stringMatching(/^[0-9a-z]{1,64}$/)
const boxes = fc.oneof(
  fc.constantFrom<Box>('host', 'join'),
  senders.map((sender): Box => `reply/${sender}`),
)
const keys = fc.uint8Array({ minLength: 32, maxLength: 32 })
const frames: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('hello' as const), target: keys }),
  fc.record({ type: fc.constant('watch' as const), box: boxes }),
  fc.record({
    type: fc.constant('record' as const),
    box: boxes,
    sender: senders,
    expiresInMs: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    bytes: fc.uint8Array({ maxLength: 8192 }),
  }),
  fc.record({ type: fc.constant('taken' as const), sender: senders }),
  fc.record({ type: fc.constant('exchange' as const), publicKey: keys }),
)
/** Bytes with a length that is right, so that more than the length is looked at. */
const nearFrames = fc
  .tuple(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 300 }))
  .map(([type, body]) => Uint8Array.from([(body.length + 1) >> 8, (body.length + 1) & 255, type, ...body]))
const anyBytes = fc.oneof(fc.uint8Array({ maxLength: 500 }), nearFrames)

/** What a decoder makes of bytes: a value, or undefined for the error that it may throw. */
function attempt<Value>(decode: () => Value): Value | undefined {
  try {
    return decode()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return undefined
  }
}

describe('frames of the dht', () => {
  it('come back as they went, however they are cut', () => {
    fc.assert(
      fc.property(fc.array(frames, { maxLength: 4 }), fc.integer({ min: 1, max: 3000 }), (sent, size) => {
        const bytes = Buffer.concat(sent.map(encodeFrame))
        const decoder = new FrameDecoder()
        const received: Frame[] = []
        for (let at = 0; at < bytes.length; at += size) {
          received.push(...decoder.push(bytes.subarray(at, at + size)))
        }
        decoder.end()
        expect(received).toEqual(sent)
      }),
    )
  })

  it('that are wrong are refused with the typed error, and what is taken is within limits', () => {
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 5 }), (pieces) => {
        const decoder = new FrameDecoder()
        for (const piece of pieces) {
          const received = attempt(() => decoder.push(piece))
          if (received === undefined) return
          for (const frame of received) {
            expect(encodeFrame(frame).length).toBeLessThanOrEqual(2 + MaxFrameBytes)
            expect(decodeFrames(encodeFrame(frame))).toEqual([frame])
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('that are too long are refused before they come', () => {
    const length = MaxFrameBytes + 1
    const decoder = new FrameDecoder()
    expect(() => decoder.push(Uint8Array.of(length >> 8, length & 255))).toThrow(DecodeError)
  })
})

describe('mailboxes of the dht', () => {
  it('that are wrong are refused with the typed error', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 1100 }),
          fc
            .tuple(fc.integer({ min: 0, max: 20 }), fc.uint8Array({ maxLength: 998 }))
            .map(([count, rest]) => Uint8Array.from([1, count, ...rest])),
        ),
        (value) => {
          const head = attempt(() => decodeHead(value))
          if (head === undefined) return
          expect(head.hashes.length).toBeLessThanOrEqual(16)
          for (const hash of head.hashes) expect(hash.length).toBe(32)
        },
      ),
    )
  })

  it('that are sealed may hold anything', () => {
    const key = new Uint8Array(32).fill(7)
    const nonce = new Uint8Array(24).fill(9)
    fc.assert(
      fc.property(anyBytes, (content) => {
        const sealed = Buffer.concat([nonce, nacl.secretbox(Uint8Array.from(content), nonce, key)])
        attempt(() => openMailbox(sealed, key))
        expect(attempt(() => openMailbox(sealed, new Uint8Array(32)))).toBeUndefined()
      }),
    )
  })
})

it('bootstrap nodes are host:port, or nothing', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
      const node = parseBootstrapNode(text)
      if (node !== undefined) expect(`${node.host}:${node.port}`.length).toBeLessThanOrEqual(text.length)
    }),
  )
  for (const wrong of ['', 'a', ':1', 'a:0', 'a:65536', '[::1]:1', '::1:1', 'a:1:2', 'dht://a:1', 'x@a:1']) {
    expect(parseBootstrapNode(wrong), wrong).toBeUndefined()
  }
  expect(parseBootstrapNode('node1.hyperdht.org:49737')).toEqual({ host: 'node1.hyperdht.org', port: 49_737 })
})
