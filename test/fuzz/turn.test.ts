import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { decodeChannelData, encodeChannelData } from '../../src/transports/turn/channel-data.js'
import { StreamDecoder } from '../../src/transports/turn/stream-framing.js'

describe('TURN', () => {
  it('reads any stream or throws a DecodeError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 10 }), (pieces) => {
        try {
          const decoder = new StreamDecoder()
          for (const piece of pieces) for (const message of decoder.push(piece)) decodeChannelData(message)
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
})
