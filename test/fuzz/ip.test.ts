import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { parseAddress } from '../../src/transports/ip/address.js'
import { decodeEcho, encodeEcho } from '../../src/transports/ip/icmp.js'
import { decodeIpv4, encodeIpv4 } from '../../src/transports/ip/ipv4.js'
import { decodeIpv6, encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { UserspaceStack } from '../../src/transports/ip/stack.js'
import { decodeUdp, encodeUdp } from '../../src/transports/ip/udp.js'
import { concernsUdpPort } from '../../src/transports/ip/udp-ports.js'

const random = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0 }
const v4 = [parseAddress('10.1.0.2')!, parseAddress('10.1.0.1')!] as const
const v6 = [parseAddress('fd00::2')!, parseAddress('fd00::1')!] as const
const flips = fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 })

/** Valid packets with a few bytes changed get deeper than noise does. */
const packets = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc
    .tuple(fc.uint8Array({ maxLength: 100 }), fc.boolean(), fc.boolean(), flips, fc.nat(200))
    .map(([payload, six, udp, changes, length]) => {
      const [source, destination] = six ? v6 : v4
      const packet = udp
        ? encodeUdp(source, destination, { sourcePort: 1, destinationPort: 4242, payload })
        : encodeEcho(source, destination, { kind: 'request', identifier: 1, sequence: 2, data: payload })
      const bytes = six ? encodeIpv6(packet) : encodeIpv4(packet)
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      return bytes.subarray(0, length)
    }),
)

test('decoders throw nothing but DecodeError, and return no more than they were given', () => {
  fc.assert(
    fc.property(packets, (bytes) => {
      for (const decode of [decodeIpv4, decodeIpv6]) {
        try {
          const packet = decode(bytes)
          expect(packet.payload.length).toBeLessThan(bytes.length)
          expect(decodeUdp(packet).payload.length).toBeLessThan(packet.payload.length)
          decodeEcho(packet)
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
      }
    }),
    { numRuns: 3000 },
  )
})

test('what a stack would take for a port concerns that port, whatever it is', () => {
  fc.assert(
    fc.property(
      packets,
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(0, 43, 44, 51, 60),
      (bytes, more, next) => {
        for (const each of [bytes, behind(bytes, more, next)]) {
          const concerns = concernsUdpPort(each, 4242)
          const stack = new UserspaceStack({ addresses: ['10.1.0.1', 'fd00::1'], mtu: 1280, random })
          stack.bindUdp(4242)
          stack.handlePacket(0, each)
          if (stack.pollEvent() !== undefined) expect(concerns).toBe(true)
        }
      },
    ),
    { numRuns: 3000 },
  )
})

/** The packet with an extension header put before what it carries, where it is IPv6. */
function behind(bytes: Uint8Array, more: Uint8Array, next: number): Uint8Array {
  if (bytes.length < 40 || bytes[0]! >> 4 !== 6) return bytes
  const header = new Uint8Array(8 * (1 + (more.length >> 3)))
  header.set(more.subarray(0, header.length))
  header.set([bytes[6]!, header.length / 8 - 1])
  const packet = Uint8Array.of(...bytes.subarray(0, 40), ...header, ...bytes.subarray(40)).with(6, next)
  new DataView(packet.buffer).setUint16(4, packet.length - 40)
  return packet
}

test('the stack takes anything, answers at most one packet, and accounts for each', () => {
  fc.assert(
    fc.property(packets, (bytes) => {
      const stack = new UserspaceStack({ addresses: ['10.1.0.1', 'fd00::1'], mtu: 1280, random })
      stack.bindUdp(4242)
      stack.handlePacket(0, bytes)
      const answer = stack.pollTransmit()
      expect(stack.pollTransmit()).toBeUndefined()
      const outcomes = [answer, stack.pollEvent(), ...stack.dropped.keys()].filter((one) => one !== undefined)
      expect(outcomes.length).toBeGreaterThan(0)
    }),
    { numRuns: 3000 },
  )
})
