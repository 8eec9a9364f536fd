import { describe, expect, it } from 'vitest'
import { parseAddress } from '../../src/transports/ip/address.js'
import { forwarded } from '../../src/transports/ip/forwarding.js'
import { decodeIpv4, encodeIpv4 } from '../../src/transports/ip/ipv4.js'
import { encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { concernsUdpPort } from '../../src/transports/ip/udp-ports.js'

const v4 = { source: parseAddress('10.7.0.2')!, destination: parseAddress('10.7.0.1')! }
const v6 = { source: parseAddress('fd00::2')!, destination: parseAddress('fd00::1')! }
const udp = (source: number, destination: number): number[] => [
  source >> 8,
  source & 0xff,
  destination >> 8,
  destination & 0xff,
  0,
  8,
  0,
  0,
]
const toPort = udp(5000, 4242)
const elsewhere = udp(5000, 53)

function ipv4(payload: readonly number[], changes: Readonly<Record<number, number>> = {}): Uint8Array {
  const bytes = encodeIpv4({ ...v4, protocol: 17, payload: Uint8Array.from(payload) })
  for (const [at, value] of Object.entries(changes)) bytes[Number(at)] = value
  return bytes
}

function ipv6(next: number, ...payload: readonly number[]): Uint8Array {
  return encodeIpv6({ ...v6, protocol: next, payload: Uint8Array.from(payload) })
}

/** An extension header of 8 bytes and one after it. */
const options = (next: number, units = 0): number[] => [next, units, 1, 4, 0, 0, 0, 0]
const fragment = (next: number, offset: number): number[] => [next, 0, offset >> 8, offset & 0xff, 0, 0, 0, 1]

describe('a packet concerns a UDP port', () => {
  it.each<[string, Uint8Array]>([
    ['to it, over IPv4', ipv4(toPort)],
    ['from it, over IPv4', ipv4(udp(4242, 53))],
    ['with IPv4 options before it', ipv4([1, 1, 1, 1, ...toPort], { 0: 0x46 })],
    ['as the first fragment, over IPv4', ipv4(toPort, { 6: 0x20 })],
    ['with a wrong IPv4 checksum', ipv4(toPort, { 10: 0, 11: 0 })],
    ['to it, over IPv6', ipv6(17, ...toPort)],
    ['from it, over IPv6', ipv6(17, ...udp(4242, 53))],
    ['behind hop-by-hop options', ipv6(0, ...options(17), ...toPort)],
    ['behind destination options of 16 bytes', ipv6(60, ...options(17, 1), ...options(0), ...toPort)],
    ['behind a routing header', ipv6(43, ...options(17), ...toPort)],
    ['behind an authentication header', ipv6(51, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...toPort)],
    ['behind several headers', ipv6(0, ...options(60), ...options(43), ...options(17), ...toPort)],
    ['as an atomic fragment, over IPv6', ipv6(44, ...fragment(17, 0), ...toPort)],
    ['as the first fragment, over IPv6', ipv6(44, ...fragment(17, 1), ...toPort)],
    ['behind options in the first fragment', ipv6(44, ...fragment(60, 1), ...options(17), ...toPort)],
  ])('%s', (_how, packet) => {
    expect(concernsUdpPort(packet, 4242)).toBe(true)
  })

  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['no IP version', Uint8Array.of(0x50, ...new Uint8Array(60))],
    ['an IPv4 header that is cut off', ipv4(elsewhere).subarray(0, 19)],
    ['an IPv4 header shorter than one', ipv4(elsewhere, { 0: 0x44 })],
    ['an IPv4 header longer than the packet', ipv4(elsewhere, { 0: 0x4f })],
    ['ports that are cut off, over IPv4', ipv4(elsewhere.slice(0, 3))],
    ['an IPv6 header that is cut off', ipv6(17).subarray(0, 39)],
    ['ports that are cut off, over IPv6', ipv6(17, ...elsewhere.slice(0, 3))],
    ['options that are cut off', ipv6(0, 17, 0, 1)],
    ['options longer than the packet', ipv6(0, ...options(17, 9), ...elsewhere)],
    ['a first fragment without ports', ipv6(44, ...fragment(60, 1), ...options(17))],
  ])('as it may, where that cannot be told: %s', (_how, packet) => {
    expect(concernsUdpPort(packet, 4242)).toBe(true)
  })

  it.each<[string, Uint8Array]>([
    ['to another port, over IPv4', ipv4(elsewhere)],
    ['to another port, over IPv6', ipv6(17, ...elsewhere)],
    ['of TCP to that port', encodeIpv4({ ...v4, protocol: 6, payload: Uint8Array.from(toPort) })],
    ['of TCP to that port, over IPv6', ipv6(6, ...toPort)],
    ['of encrypted payload', ipv6(50, ...toPort)],
    ['what follows a first fragment, over IPv4', ipv4(toPort, { 7: 1 })],
    ['what follows a first fragment, over IPv6', ipv6(44, ...fragment(17, 8), ...toPort)],
    ['another port behind options', ipv6(0, ...options(17), ...elsewhere)],
  ])('but not: %s', (_how, packet) => {
    expect(concernsUdpPort(packet, 4242)).toBe(false)
  })
})

describe('a forwarded packet', () => {
  it('has one hop less to go, and an IPv4 checksum that is right if it was', () => {
    for (let hops = 255; hops > 1; hops -= 1) {
      const packet = ipv4(elsewhere, { 8: hops, 10: 0, 11: 0 })
      const sum = ~headerSum(packet) & 0xffff
      packet[10] = sum >> 8
      packet[11] = sum & 0xff
      const onward = forwarded(packet)!
      expect(onward[8]).toBe(hops - 1)
      expect(decodeIpv4(onward).payload).toEqual(Uint8Array.from(elsewhere))
      expect(packet[8]).toBe(hops)
    }
    const broken = ipv4(elsewhere)
    broken[10]! ^= 1
    expect(() => decodeIpv4(forwarded(broken)!)).toThrow(/checksum/)
    const packet = ipv6(17, ...elsewhere)
    expect(forwarded(packet)).toEqual(packet.with(7, 63))
  })

  it.each([0, 1])('goes no further with %d hops left', (hops) => {
    expect(forwarded(ipv4(elsewhere, { 8: hops }))).toBeUndefined()
    expect(forwarded(ipv6(17, ...elsewhere).with(7, hops))).toBeUndefined()
  })
})

function headerSum(packet: Uint8Array): number {
  let sum = 0
  for (let at = 0; at < 20; at += 2) sum += (packet[at]! << 8) | packet[at + 1]!
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16)
  return sum
}
