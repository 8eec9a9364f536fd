import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { readInnerHeader } from '../../src/transports/wireguard/inner-packet.js'
import { decodeMessage } from '../../src/transports/wireguard/messages.js'
import { createPair, ipv4Packet } from '../unit/wireguard-net.js'

/** Right type, right reserved bytes, often the right length. */
const shaped = fc
  .tuple(
    fc.constantFrom(1, 2, 3, 4),
    fc.oneof(fc.constantFrom(148, 92, 64, 32, 48), fc.nat({ max: 1500 })),
    fc.uint8Array({ minLength: 1500, maxLength: 1500 }),
  )
  .map(([type, length, filling]) => {
    const bytes = filling.slice(0, Math.max(length, 4))
    bytes.set([type, 0, 0, 0])
    return bytes
  })
const datagram = fc.oneof(fc.uint8Array({ maxLength: 1500 }), shaped)

describe('WireGuard', () => {
  it('decodes any bytes or throws a DecodeError', () => {
    fc.assert(
      fc.property(datagram, (bytes) => {
        try {
          const message = decodeMessage(bytes)
          expect(message.type).toBe(bytes[0])
          if (message.type === 4) expect(Number.isSafeInteger(message.counter)).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }),
      { numRuns: 2000 },
    )
  })

  it('reads the header of any inner packet within its bounds', () => {
    const packet = fc.uint8Array({ maxLength: 200 }).chain((bytes) =>
      fc.constantFrom(0x45, 0x60, 0x00).map((first) => {
        const copy = bytes.slice()
        if (copy.length > 0) copy[0] = first
        return copy
      }),
    )
    fc.assert(
      fc.property(packet, (bytes) => {
        const header = readInnerHeader(bytes)
        if (header === undefined) return
        expect(header.length).toBeLessThanOrEqual(bytes.length)
        expect(header.destinationOffset + header.addressLength).toBeLessThanOrEqual(header.length)
      }),
      { numRuns: 2000 },
    )
  })

  it('answers nothing to what is not authentic, counts it, and goes on', () => {
    const { net, a, b } = createPair()
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.2', 'first'))
    net.run(100)
    const authentic = net.sent.map((sent) => sent.bytes)
    const flipped = fc
      .tuple(fc.constantFrom(...authentic), fc.nat(), fc.integer({ min: 1, max: 255 }))
      .map(([bytes, at, mask]) => {
        const copy = bytes.slice()
        copy[at % copy.length]! ^= mask
        return copy
      })
    b.events.length = 0
    net.sent.length = 0
    fc.assert(
      fc.property(fc.oneof(datagram, flipped), (bytes) => {
        const dropped = (): number =>
          Object.values(b.device.counters).reduce((sum: number, count: number) => sum + count, 0)
        const before = dropped()
        b.device.handleDatagram(net.now, a.address, bytes)
        expect(dropped()).toBe(before + 1)
        expect(b.device.pollTransmit()).toBeUndefined()
        expect(b.device.pollEvent()).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.2', 'second'))
    net.run(100)
    expect(b.payloads()).toEqual(['second'])
  })
})
