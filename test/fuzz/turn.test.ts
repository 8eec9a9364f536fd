import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { errorCodeAttribute, xorMappedAddressAttribute } from '../../src/transports/stun/attributes.js'
import { type DecodedMessage, encodeMessage } from '../../src/transports/stun/message.js'
import {
  dataAttribute,
  isUnderstood,
  lifetimeAttribute,
  readLifetime,
  readQuotedText,
  readXorAddress,
  xorPeerAddressAttribute,
} from '../../src/transports/turn/attributes.js'
import { decodeChannelData, encodeChannelData } from '../../src/transports/turn/channel-data.js'
import { Data, TurnAttributeType } from '../../src/transports/turn/constants.js'
import { readIncoming } from '../../src/transports/turn/incoming.js'
import { lifetimeOf, readAllocation, readAlternateServer } from '../../src/transports/turn/responses.js'
import { mayDrop, StreamDecoder } from '../../src/transports/turn/stream-framing.js'
import { mapped, relayed, TurnBench, text } from '../unit/turn-bench.js'

const peer = { address: '192.0.2.9', port: 4000 }
const types = Object.values(TurnAttributeType)
const id = new Uint8Array(12).fill(9)
const otherKey = new Uint8Array(16).fill(1)

const attribute = fc.record({
  type: fc.oneof(fc.constantFrom(...types, 0x0001, 0x0006, 0x0009, 0x000a, 0x0020), fc.nat({ max: 0xffff })),
  value: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(new Uint8Array(4), new Uint8Array(8).fill(1), new Uint8Array(20).fill(2)),
    fc.constantFrom(
      ...[300, 401, 437, 438, 486].map((code) => errorCodeAttribute({ code, reason: 'x' }).value),
    ),
  ),
})
const attributes = fc.array(attribute, { maxLength: 12 })
const message = fc.record({
  class: fc.constantFrom('request' as const, 'indication' as const, 'success' as const, 'error' as const),
  method: fc.oneof(fc.constantFrom(3, 4, 6, 7, 8, 9), fc.nat({ max: 0xfff })),
  transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
  attributes,
})

/** A client in the middle of its life: an allocation, a permission, a channel, and three requests under way. */
function busy(transport: 'udp' | 'stream' = 'udp'): { bench: TurnBench; pending: DecodedMessage[] } {
  const bench = new TurnBench({ transport }).allocated()
  bench.client.permit(bench.now, [peer.address])
  bench.sent().forEach((request) => bench.agree(request))
  bench.pass(24_990)
  for (let count = 0; count < 4; count++) bench.client.send(bench.now, peer, text('hello'))
  bench.client.permit(bench.now, ['192.0.2.10', '192.0.2.11'])
  const pending = bench.pass(10).filter((each) => each.class === 'request')
  expect(pending).toHaveLength(3)
  bench.events()
  return { bench, pending }
}

const { pending: examples } = busy()
const valid = [
  ...examples.map((request) =>
    encodeMessage(
      {
        class: 'success',
        method: request.method,
        transactionId: request.transactionId,
        attributes: [
          { type: TurnAttributeType.XorRelayedAddress, value: xorMappedAddressAttribute(relayed, id).value },
          xorMappedAddressAttribute(mapped, id),
          lifetimeAttribute(600_000),
        ],
      },
      { integrity: { crypto: nodeCrypto, key: otherKey }, fingerprint: true },
    ),
  ),
  encodeMessage({
    class: 'indication',
    method: Data,
    transactionId: id,
    attributes: [xorPeerAddressAttribute(peer, id), dataAttribute(text('hello'))],
  }),
  encodeMessage({
    class: 'error',
    method: examples[0]!.method,
    transactionId: examples[0]!.transactionId,
    attributes: [
      errorCodeAttribute({ code: 438, reason: 'Stale' }),
      { type: TurnAttributeType.Realm, value: text('realm') },
      { type: TurnAttributeType.Nonce, value: text('another') },
    ],
  }),
  encodeChannelData(0x4001, text('hello'), true),
]

/** Something valid, with a byte changed, cut short, grown, or as it is. */
const mutated = fc
  .tuple(
    fc.constantFrom(...valid),
    fc.constantFrom('flip', 'cut', 'grow', 'keep'),
    fc.nat(),
    fc.integer({ min: 1, max: 255 }),
  )
  .map(([bytes, how, at, mask]) => {
    if (how === 'cut') return bytes.slice(0, at % bytes.length)
    if (how === 'grow') return Uint8Array.from([...bytes, ...new Uint8Array(1 + (at % 40)).fill(mask)])
    const copy = Uint8Array.from(bytes)
    if (how === 'flip') copy[at % copy.length]! ^= mask
    return copy
  })
const anything = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  message.map((each) => encodeMessage(each)),
  mutated,
)

describe('TURN', () => {
  it('reads any stream or throws a DecodeError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (pieces) => {
        try {
          const decoder = new StreamDecoder()
          for (const piece of pieces) for (const each of decoder.push(piece)) decodeChannelData(each)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('reads a stream however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), fc.integer({ min: 1, max: 9 }), (all, step) => {
        const stream = Buffer.concat(all.map((bytes) => encodeChannelData(0x4001, bytes, true)))
        const decoder = new StreamDecoder()
        const read: Uint8Array[] = []
        for (let at = 0; at < stream.length; at += step) {
          for (const each of decoder.push(stream.subarray(at, at + step)))
            read.push(decodeChannelData(each).bytes)
        }
        expect(read).toEqual(all)
      }),
      { numRuns: 500 },
    )
  })

  it('reads any attribute, as what it is or as nothing', () => {
    fc.assert(
      fc.property(message, fc.uint8Array({ maxLength: 1000 }), (each, value) => {
        const lifetime = readLifetime(value)
        expect(lifetime === undefined || (value.length === 4 && lifetime <= 0xffff_ffff * 1000)).toBe(true)
        const quoted = readQuotedText(value)
        expect(quoted === undefined || (quoted.length > 0 && quoted.length <= 763)).toBe(true)
        for (const type of types) {
          const address = readXorAddress(each, type)
          expect(address === undefined || (address.port > 0 && address.port <= 65_535)).toBe(true)
        }
        for (const family of [4, 6] as const) {
          const allocation = readAllocation(each, family)
          expect(
            allocation === undefined || allocation.relayed.address.includes(':') === (family === 6),
          ).toBe(true)
        }
        const alternate = readAlternateServer(each)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
        expect(alternate?.domain ?? '').not.toMatch(/[\u0000-\u001f\u007f-\u009f]/)
        expect(lifetimeOf(each) ?? 0).toBeGreaterThanOrEqual(0)
        isUnderstood(each)
      }),
      { numRuns: 2000 },
    )
  })

  it('reads any message or throws a DecodeError', () => {
    fc.assert(
      fc.property(anything, (bytes) => {
        mayDrop(bytes)
        try {
          const incoming = readIncoming(bytes)
          if ('bytes' in incoming) expect(incoming.bytes.length).toBeLessThan(bytes.length)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it.each(['udp', 'stream'] as const)('lives through anything that a server sends over %s', (transport) => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anything, fc.nat({ max: 3000 })), { minLength: 1, maxLength: 20 }),
        (inputs) => {
          const { bench } = busy(transport)
          const { client } = bench
          for (const [bytes, ms] of inputs) {
            bench.now += ms
            client.handleBytes(bench.now, bytes)
            expect(bench.events().length).toBeLessThanOrEqual(50)
            expect(bench.sent().length).toBeLessThanOrEqual(4)
            if ((client.pollTimeout() ?? Infinity) <= bench.now) client.handleTimeout(bench.now)
            expect(bench.sent().length).toBeLessThanOrEqual(8)
            bench.events()
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('is not moved by answers that its server has not signed', () => {
    const forged = fc.record({
      class: fc.constantFrom('success' as const, 'error' as const),
      // Those that a server cannot sign have tests of their own.
      code: fc.integer({ min: 300, max: 699 }).filter((code) => code !== 401 && code !== 438),
      request: fc.nat(),
      isSigned: fc.boolean(),
      attributes: fc.array(
        attribute.filter(({ type }) => type !== 0x0009),
        { maxLength: 8 },
      ),
    })
    fc.assert(
      fc.property(fc.array(forged, { maxLength: 10 }), (all) => {
        const { bench, pending } = busy()
        for (const { class: kind, code, request, isSigned, attributes: more } of all) {
          const { method, transactionId } = pending[request % pending.length]!
          const error = kind === 'error' ? [errorCodeAttribute({ code, reason: 'x' })] : []
          const answer = { class: kind, method, transactionId, attributes: [...error, ...more] }
          const integrity = { crypto: nodeCrypto, key: otherKey }
          bench.client.handleBytes(bench.now, encodeMessage(answer, isSigned ? { integrity } : {}))
        }
        expect(bench.events()).toEqual([])
        expect(bench.sent()).toEqual([])
        for (const request of pending) bench.agree(request)
        expect(bench.events()).toEqual([{ type: 'permitted', addresses: ['192.0.2.10', '192.0.2.11'] }])
        expect(bench.client.send(bench.now, peer, text('hello'))).toBe(true)
        expect(bench.sent()).toEqual([])
        expect(bench.channelData).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
  })

  it('keeps no more of a stream than a message, and gives no more than came', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 20 }), (pieces) => {
        const decoder = new StreamDecoder()
        let came = 0
        let given = 0
        try {
          for (const piece of pieces) {
            came += piece.length
            given += decoder.push(piece).reduce((sum, { length }) => sum + length, 0)
            expect(given).toBeLessThanOrEqual(came)
            expect(came - given).toBeLessThanOrEqual(65_555)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 500 },
    )
  })
})
