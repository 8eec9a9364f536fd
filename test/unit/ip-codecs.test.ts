import { expect, test } from 'vitest'
import { formatAddress, isUnicastSource, parseAddress } from '../../src/transports/ip/address.js'
import { checksumOf, sumOfWords } from '../../src/transports/ip/checksum.js'
import { decodeEcho, encodeEcho, encodeError } from '../../src/transports/ip/icmp.js'
import { decodeIpv4, encodeIpv4 } from '../../src/transports/ip/ipv4.js'
import { decodeIpv6, encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import type { IpPacket } from '../../src/transports/ip/packet.js'
import { decodeUdp, encodeUdp } from '../../src/transports/ip/udp.js'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'))
const address = (text: string): Uint8Array => parseAddress(text)!
const code = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'nothing thrown'
}

const v4: IpPacket = {
  source: address('10.1.0.2'),
  destination: address('10.1.0.1'),
  protocol: 17,
  payload: hex('0102030405'),
}
const v6: IpPacket = { ...v4, source: address('fd00::2'), destination: address('fd00::1') }

test('the checksum of RFC 1071 section 3 and of an odd number of bytes', () => {
  expect(checksumOf(sumOfWords(hex('0001 f203 f4f5 f6f7')))).toBe(0xffff - 0xddf2)
  expect(sumOfWords(hex('010203'))).toBe(0x0102 + 0x0300)
  expect(checksumOf(sumOfWords(new Uint8Array(65_536).fill(0xff)))).toBe(0)
})

test('a captured IPv4 header checks, and a flipped bit does not', () => {
  // A well-known worked example of the header checksum: b861.
  const header = hex('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7')
  const packet = new Uint8Array(0x73)
  packet.set(header)
  const decoded = decodeIpv4(packet)
  expect(formatAddress(decoded.source)).toBe('192.168.0.1')
  expect(formatAddress(decoded.destination)).toBe('192.168.0.199')
  expect(decoded.payload.length).toBe(0x73 - 20)
  packet[8] = 63
  expect(code(() => decodeIpv4(packet))).toBe('ipv4-checksum')
})

test('IPv4 and IPv6 packets survive the round trip, with padding behind', () => {
  for (const [packet, encode, decode] of [
    [v4, encodeIpv4, decodeIpv4],
    [v6, encodeIpv6, decodeIpv6],
  ] as const) {
    const padded = new Uint8Array(128)
    padded.set(encode(packet))
    expect(decode(padded)).toEqual(packet)
  }
  expect(encodeIpv4(v4)[8]).toBe(64)
  expect(encodeIpv6(v6)[7]).toBe(64)
})

test('IPv4 options are skipped', () => {
  const plain = encodeIpv4(v4)
  const packet = new Uint8Array(plain.length + 4)
  packet.set(plain.subarray(0, 20))
  packet.set(hex('01010100'), 20)
  packet.set(plain.subarray(20), 24)
  packet[0] = 0x46
  packet[3] = packet.length
  packet.set([0, 0], 10)
  const sum = checksumOf(sumOfWords(packet.subarray(0, 24)))
  packet.set([sum >> 8, sum & 0xff], 10)
  expect(decodeIpv4(packet)).toEqual(v4)
})

test('fragments are refused', () => {
  for (const flags of [0x20, 0x00]) {
    const packet = encodeIpv4(v4)
    packet[6] = flags
    packet[7] = flags === 0 ? 1 : 0
    packet.set([0, 0], 10)
    const sum = checksumOf(sumOfWords(packet.subarray(0, 20)))
    packet.set([sum >> 8, sum & 0xff], 10)
    expect(code(() => decodeIpv4(packet))).toBe('ipv4-fragment')
  }
  expect(code(() => decodeIpv6(encodeIpv6({ ...v6, protocol: 44 })))).toBe('ipv6-fragment')
})

test('IPv6 hop-by-hop and destination options are skipped, other extension headers refused', () => {
  const options = hex('3c00 0104 00000000 1101 0104 00000000 0000000000000000')
  const decoded = decodeIpv6(encodeIpv6({ ...v6, protocol: 0, payload: Uint8Array.from([...options, 7]) }))
  expect(decoded).toEqual({ ...v6, payload: hex('07') })
  for (const protocol of [43, 50, 51, 135]) {
    expect(code(() => decodeIpv6(encodeIpv6({ ...v6, protocol })))).toBe('ipv6-extension-header')
  }
  const hopByHopSecond = hex('0000 0104 00000000 1100 0104 00000000')
  expect(code(() => decodeIpv6(encodeIpv6({ ...v6, protocol: 60, payload: hopByHopSecond })))).toBe(
    'ipv6-extension-header',
  )
  expect(code(() => decodeIpv6(encodeIpv6({ ...v6, protocol: 60, payload: hex('1103') })))).toBe(
    'ipv6-truncated',
  )
})

test('every truncation of a packet is refused', () => {
  for (const [packet, decode] of [
    [encodeIpv4(v4), decodeIpv4],
    [encodeIpv6(v6), decodeIpv6],
  ] as const) {
    for (let length = 0; length < packet.length; length++) {
      expect(code(() => decode(packet.subarray(0, length)))).toMatch(/-truncated$/)
    }
  }
})

test('UDP over both families: round trip, every flipped bit noticed', () => {
  const datagram = { sourcePort: 4242, destinationPort: 53, payload: hex('616263') }
  for (const { source, destination } of [v4, v6]) {
    const packet = encodeUdp(source, destination, datagram)
    expect(decodeUdp(packet)).toEqual(datagram)
    for (let bit = 0; bit < packet.payload.length * 8; bit++) {
      const payload = packet.payload.slice()
      payload[bit >> 3] = (payload[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(code(() => decodeUdp({ ...packet, payload }))).toMatch(/^udp-/)
    }
  }
})

test('UDP without a checksum is valid over IPv4 only, and a computed zero is sent as all ones', () => {
  const bytes = hex('0001 0002 0009 0000 07')
  expect(decodeUdp({ ...v4, payload: bytes }).payload).toEqual(hex('07'))
  expect(code(() => decodeUdp({ ...v6, payload: bytes }))).toBe('udp-checksum')
  const plain = encodeUdp(v6.source, v6.destination, {
    sourcePort: 1,
    destinationPort: 2,
    payload: hex('0000'),
  })
  const filler = plain.payload.slice(6, 8)
  const zeroed = encodeUdp(v6.source, v6.destination, { sourcePort: 1, destinationPort: 2, payload: filler })
  expect(zeroed.payload.slice(6, 8)).toEqual(hex('ffff'))
  expect(decodeUdp(zeroed).payload).toEqual(filler)
})

test('an echo request as Linux sends it, and ICMPv6 with its pseudo-header', () => {
  const body = hex('0800 0000 1234 0001')
  const sum = checksumOf(sumOfWords(body))
  body.set([sum >> 8, sum & 0xff], 2)
  const echo = { kind: 'request', identifier: 0x1234, sequence: 1, data: new Uint8Array() } as const
  expect(encodeEcho(v4.source, v4.destination, echo).payload).toEqual(body)
  const packet = encodeEcho(v6.source, v6.destination, echo)
  expect(packet.payload[0]).toBe(128)
  expect(decodeEcho(packet)).toEqual(echo)
  expect(code(() => decodeEcho({ ...packet, source: address('fd00::3') }))).toBe('icmp-checksum')
  expect(code(() => decodeEcho({ ...packet, payload: packet.payload.subarray(0, 7) }))).toBe('icmp-truncated')
})

test('port unreachable has its numbers in both families', () => {
  expect([
    ...encodeError(v4.source, v4.destination, 'port-unreachable', hex('aa')).payload.subarray(0, 2),
  ]).toEqual([3, 3])
  const packet = encodeError(v6.source, v6.destination, 'port-unreachable', hex('aa'))
  expect([...packet.payload.subarray(0, 2)]).toEqual([1, 4])
  expect(decodeEcho(packet)).toBeUndefined()
})

test('addresses: canonical text, and what may be a source', () => {
  expect(formatAddress(address('FD00:0::1'))).toBe('fd00::1')
  for (const text of ['fe80::1%eth0', '10.1', '010.1.1.1.1', 'example.org', '']) {
    expect(parseAddress(text)).toBeUndefined()
  }
  for (const text of ['0.0.0.0', '127.0.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'ff02::1']) {
    expect(isUnicastSource(address(text)), text).toBe(false)
  }
  for (const text of ['10.0.0.1', 'fd00::1', 'fe80::1']) expect(isUnicastSource(address(text))).toBe(true)
})
