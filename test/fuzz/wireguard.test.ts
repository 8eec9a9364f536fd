import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import { Nobody } from '../../src/transports/wireguard/device-events.js'
import { readInnerHeader } from '../../src/transports/wireguard/inner-packet.js'
import { mac1Key, writeMac1 } from '../../src/transports/wireguard/macs.js'
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

  it('under load answers what has a right mac1 with one cookie, to its source, and nothing else', () => {
    const { net, a, b } = createPair({ device: { load: { isUnderLoad: () => true } } })
    const key = mac1Key(nodeNoiseCrypto, b.device.publicKey)
    const initiation = fc.uint8Array({ minLength: 148, maxLength: 148 }).map((bytes) => {
      bytes.set([1, 0, 0, 0])
      writeMac1(nodeNoiseCrypto, key, bytes)
      return bytes
    })
    const port = fc.integer({ min: 1, max: 65_535 })
    fc.assert(
      fc.property(fc.oneof(datagram, initiation), port, (bytes, from) => {
        const { underLoad } = b.device.counters
        const source = { address: '203.0.113.1', port: from }
        b.device.handleDatagram(net.now, source, bytes)
        const answer = b.device.pollTransmit()
        expect(answer !== undefined).toBe(b.device.counters.underLoad > underLoad)
        if (answer !== undefined) {
          expect(answer).toMatchObject({ peer: Nobody, replyTo: source })
          expect(answer.bytes.subarray(0, 8)).toEqual(Uint8Array.of(3, 0, 0, 0, ...bytes.subarray(4, 8)))
        }
        expect(b.device.pollTransmit()).toBeUndefined()
        expect(b.device.pollEvent()).toBeUndefined()
        expect(b.device.pollTimeout()).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.2', 'after all'))
    // Either side wants a cookie of the other.
    net.run(20_000)
    expect(b.payloads()).toEqual(['after all'])
  })

  it('takes no cookie reply but the one that answers it', () => {
    const { net, a, b } = createPair({ device: { load: { isUnderLoad: () => true } } })
    a.device.initiate(net.now, 'b')
    net.deliver = ({ type }) => type === 1
    net.run(20)
    const { bytes: reply } = net.sent.find(({ type }) => type === 3)!
    const forged = fc
      .tuple(fc.integer({ min: 8, max: 63 }), fc.integer({ min: 1, max: 255 }))
      .map(([at, mask]) => {
        const copy = reply.slice()
        copy[at]! ^= mask
        return copy
      })
    fc.assert(
      fc.property(forged, (bytes) => {
        const { forgedCookieReply } = a.device.counters
        a.device.handleDatagram(net.now, b.address, bytes)
        expect(a.device.counters.forgedCookieReply).toBe(forgedCookieReply + 1)
        expect(a.device.pollTransmit()).toBeUndefined()
        expect(a.device.pollEvent()).toBeUndefined()
      }),
      { numRuns: 2000 },
    )
    const before = { ...a.device.counters }
    a.device.handleDatagram(net.now, b.address, reply)
    expect(a.device.counters).toEqual(before)
  })
})
