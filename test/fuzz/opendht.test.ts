import './seed.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KnownValues } from '../../src/adapters/opendht/known-values.js'
import { LineReader } from '../../src/adapters/opendht/lines.js'
import { parseLine } from '../../src/adapters/opendht/proxy.js'
import { type DhtValue, decodeValue, encodeValue } from '../../src/adapters/opendht/value.js'
import { DecodeError } from '../../src/core/errors.js'

const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 })
const secrets = fc.array(sixteen, { maxLength: 8 })
const values: fc.Arbitrary<DhtValue> = fc.oneof(
  fc.record({
    kind: fc.constant('record' as const),
    sender: fc.stringMatching(/^[0-9a-z]{1,64}$/),
    commitment: sixteen,
    secrets,
    bytes: fc.uint8Array({ maxLength: 300 }),
  }),
  fc.record({ kind: fc.constant('retraction' as const), secrets }),
)

function decoded(bytes: Uint8Array): DhtValue | undefined {
  try {
    return decodeValue(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return undefined
  }
}

describe('values of the DHT', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(decodeValue(encodeValue(value))).toEqual(value)
      }),
    )
  })

  it('of any bytes are decoded or refused, never more', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 400 }),
          fc.tuple(values, fc.nat(), fc.uint8Array({ maxLength: 5 })).map(([value, at, change]) => {
            const bytes = encodeValue(value)
            bytes.set(change.subarray(0, bytes.length), at % Math.max(1, bytes.length - change.length))
            return bytes
          }),
        ),
        (bytes) => {
          const value = decoded(bytes)
          if (value !== undefined) expect(encodeValue(value)).toEqual(bytes)
        },
      ),
    )
  })

  it('are found in lines of any text', () => {
    const scalar = fc.oneof(fc.string({ maxLength: 40 }), fc.integer(), fc.boolean(), fc.constant(null))
    const lines = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      values.map((value) => JSON.stringify({ data: Buffer.from(encodeValue(value)).toString('base64') })),
      fc.record({ data: scalar, expired: scalar }).map((value) => JSON.stringify(value)),
    )
    fc.assert(fc.property(lines, (line) => void parseLine(line)))
  })

  it('are remembered in bounded memory, and reported once', () => {
    fc.assert(
      fc.property(fc.array(values, { maxLength: 30 }), (all) => {
        const known = new KnownValues()
        const reported = known.take(all)
        expect(reported.length).toBeLessThanOrEqual(all.length)
        expect(known.take(all)).toEqual([])
      }),
    )
  })
})

describe('lines', () => {
  it('are the same however the stream is cut, without those that are too long', () => {
    const texts = fc.array(fc.stringMatching(/^[a-z]{0,40}$/), { maxLength: 20 })
    fc.assert(
      fc.property(
        texts,
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 9 }),
        (all, cuts) => {
          const bytes = Buffer.from(all.map((line) => `${line}\n`).join(''))
          const read: string[] = []
          const reader = new LineReader(25, (line) => read.push(line))
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const size = cuts[turn % cuts.length] ?? 1
            reader.read(bytes.subarray(at, at + size))
            at += size
          }
          reader.end()
          expect(read).toEqual(all.filter((line) => line.length > 0 && line.length <= 25))
        },
      ),
    )
  })
})
