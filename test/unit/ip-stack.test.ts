import { expect, test } from 'vitest'
import type { Random } from '../../src/core/ports.js'
import { parseAddress } from '../../src/transports/ip/address.js'
import { encodeEcho } from '../../src/transports/ip/icmp.js'
import { decodeIpv4, encodeIpv4 } from '../../src/transports/ip/ipv4.js'
import { encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { type StackEvent, UserspaceStack } from '../../src/transports/ip/stack.js'
import { encodeUdp } from '../../src/transports/ip/udp.js'

const random: Random = { bytes: (length) => new Uint8Array(length), fraction: () => 0.25 }
const address = (text: string): Uint8Array => parseAddress(text)!
const stackOf = (addresses: string[], mtu = 1280): UserspaceStack =>
  new UserspaceStack({ addresses, mtu, random })

function pair(): [UserspaceStack, UserspaceStack] {
  return [stackOf(['10.1.0.1', 'fd00::1']), stackOf(['10.1.0.2', 'fd00::2'])]
}

/** Carries packets between the two until both are silent; returns how many there were. */
function exchange(now: number, a: UserspaceStack, b: UserspaceStack): number {
  let count = 0
  for (let quiet = false; !quiet; ) {
    quiet = true
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      for (let packet = from.pollTransmit(); packet !== undefined; packet = from.pollTransmit()) {
        to.handlePacket(now, packet)
        count += 1
        quiet = false
      }
    }
  }
  return count
}

function events(stack: UserspaceStack): StackEvent[] {
  const all: StackEvent[] = []
  for (let event = stack.pollEvent(); event !== undefined; event = stack.pollEvent()) all.push(event)
  return all
}

function datagramFrom(source: string, destinationPort: number): Uint8Array {
  return encodeIpv4(
    encodeUdp(address(source), address('10.1.0.1'), {
      sourcePort: 9,
      destinationPort,
      payload: random.bytes(3),
    }),
  )
}

test.each([
  ['10.1.0.1', '10.1.0.2'],
  ['fd00::1', 'fd00::2'],
])('a datagram reaches the port at %s', (to, from) => {
  const [a, b] = pair()
  a.bindUdp(4242)
  b.sendUdp(0, {
    sourcePort: 1000,
    destination: { address: to, port: 4242 },
    payload: Uint8Array.of(1, 2, 3),
  })
  expect(exchange(0, a, b)).toBe(1)
  expect(events(a)).toEqual([
    {
      type: 'datagram',
      localPort: 4242,
      local: to,
      source: { address: from, port: 1000 },
      payload: Uint8Array.of(1, 2, 3),
    },
  ])
})

test.each(['10.1.0.2', 'fd00::2'])('a ping to %s is answered once, and timed', (to) => {
  const [a, b] = pair()
  const handle = a.ping(100, to)
  const request = a.pollTransmit()!
  b.handlePacket(110, request)
  const reply = b.pollTransmit()!
  a.handlePacket(125, reply)
  a.handlePacket(126, reply)
  expect(events(a)).toEqual([{ type: 'echo-reply', handle, address: to, rttMs: 25 }])
  expect(a.dropped.get('echo-reply-unexpected')).toBe(1)
  expect(a.pollTimeout()).toBeUndefined()
})

test('a ping without an answer ends at its time, not earlier', () => {
  const [a] = pair()
  const handle = a.ping(100, '10.1.0.9', { timeoutMs: 300 })
  expect(a.pollTimeout()).toBe(400)
  a.handleTimeout(399)
  expect(events(a)).toEqual([])
  a.handleTimeout(400)
  expect(events(a)).toEqual([{ type: 'echo-timeout', handle, address: '10.1.0.9' }])
})

test('a reply from somebody else than the one pinged is dropped', () => {
  const [a] = pair()
  a.ping(0, '10.1.0.2')
  const packet = decodeIpv4(a.pollTransmit()!)
  const identifier = (packet.payload[4]! << 8) | packet.payload[5]!
  const forged = encodeEcho(address('10.1.0.3'), address('10.1.0.1'), {
    kind: 'reply',
    identifier,
    sequence: 0,
    data: new Uint8Array(),
  })
  a.handlePacket(1, encodeIpv4(forged))
  expect(events(a)).toEqual([])
})

test.each([
  ['10.1.0.1', [3, 3], 20],
  ['fd00::1', [1, 4], 40],
])('an unbound port at %s is unreachable, ten times a second', (to, typeAndCode, headerBytes) => {
  const [a, b] = pair()
  const send = (now: number): void => {
    b.sendUdp(now, { sourcePort: 1, destination: { address: to, port: 7 }, payload: new Uint8Array(1200) })
    a.handlePacket(now, b.pollTransmit()!)
  }
  for (let count = 0; count < 30; count++) send(1000)
  const answers: Uint8Array[] = []
  for (let answer = a.pollTransmit(); answer !== undefined; answer = a.pollTransmit()) answers.push(answer)
  expect(answers).toHaveLength(10)
  expect([...answers[0]!.subarray(headerBytes, headerBytes + 2)]).toEqual(typeAndCode)
  expect(answers[0]!.length).toBe(headerBytes === 20 ? 576 : 1280)
  // An error is never answered with an error.
  expect(a.dropped.get('unreachable-rate-limited')).toBe(20)
  b.handlePacket(1000, answers[0]!)
  expect(b.pollTransmit()).toBeUndefined()
  expect(b.dropped.get('icmp-type-unknown')).toBe(1)
  send(1100)
  expect(a.pollTransmit()).toBeDefined()
})

test('binding, unbinding, and new addresses', () => {
  const [a, b] = pair()
  a.bindUdp(7)
  a.bindUdp(7)
  a.unbindUdp(7)
  a.handlePacket(0, datagramFrom('10.1.0.2', 7))
  expect(a.dropped.get('udp-port-unbound')).toBe(1)
  a.bindUdp(7)
  a.setAddresses(['10.9.0.1'])
  a.handlePacket(0, datagramFrom('10.1.0.2', 7))
  expect(a.dropped.get('destination-not-ours')).toBe(1)
  b.sendUdp(0, { sourcePort: 1, destination: { address: '10.9.0.1', port: 7 }, payload: new Uint8Array() })
  exchange(0, a, b)
  expect(events(a)).toHaveLength(1)
})

test('nothing comes from, or is answered at, multicast and broadcast', () => {
  const [a] = pair()
  for (const source of ['224.0.0.1', '255.255.255.255', '127.0.0.1', '0.0.0.0']) {
    a.handlePacket(0, datagramFrom(source, 7))
  }
  expect(a.dropped.get('source-invalid')).toBe(4)
  const echo = { kind: 'request', identifier: 1, sequence: 1, data: new Uint8Array() } as const
  a.handlePacket(0, encodeIpv4(encodeEcho(address('10.1.0.2'), address('224.0.0.1'), echo)))
  a.handlePacket(0, encodeIpv6(encodeEcho(address('fd00::2'), address('ff02::1'), echo)))
  expect(a.dropped.get('destination-not-ours')).toBe(2)
  expect(a.pollTransmit()).toBeUndefined()
})

test('wrong arguments are refused', () => {
  const [a] = pair()
  const to = { address: '10.1.0.2', port: 1 }
  const send = (change: object) => () =>
    a.sendUdp(0, { sourcePort: 1, destination: to, payload: new Uint8Array(), ...change })
  const throws = (code: string): unknown => expect.objectContaining({ name: 'UsageError', code })
  expect(send({ payload: new Uint8Array(1252) })).not.toThrow()
  expect(send({ payload: new Uint8Array(1253) })).toThrow(throws('datagram-too-large'))
  const to6 = { address: 'fd00::2', port: 1 }
  expect(send({ destination: to6, payload: new Uint8Array(1232) })).not.toThrow()
  expect(send({ destination: to6, payload: new Uint8Array(1233) })).toThrow(throws('datagram-too-large'))
  expect(send({ source: '10.1.0.7' })).toThrow(throws('no-source-address'))
  expect(send({ source: 'fd00::1' })).toThrow(throws('no-source-address'))
  expect(send({ sourcePort: 0 })).toThrow(throws('port-invalid'))
  expect(send({ destination: { address: '10.1.0.2', port: 65_536 } })).toThrow(throws('port-invalid'))
  expect(send({ destination: { address: 'x', port: 1 } })).toThrow(throws('address-invalid'))
  expect(() => stackOf(['10.1.0.1/16'])).toThrow(throws('address-invalid'))
  expect(() => a.ping(0, '10.1.0.2', { payloadBytes: 1253 })).toThrow(throws('datagram-too-large'))
  expect(() => stackOf(['10.1.0.1']).ping(0, 'fd00::2')).toThrow(throws('no-source-address'))
})

test('queues are bounded, and a thousand pings under way are the most', () => {
  const [a] = pair()
  a.bindUdp(7)
  for (let count = 0; count < 1100; count++) a.handlePacket(0, datagramFrom('10.1.0.2', 7))
  expect(events(a)).toHaveLength(1024)
  expect(a.dropped.get('event-queue-full')).toBe(76)
  for (let count = 0; count < 1024; count++) a.ping(0, '10.1.0.2')
  expect(() => a.ping(0, '10.1.0.2')).toThrow()
  a.handleTimeout(5000)
  expect(events(a)).toHaveLength(1024)
  a.sendUdp(0, { sourcePort: 1, destination: { address: '10.1.0.2', port: 1 }, payload: new Uint8Array() })
  expect(a.dropped.get('transmit-queue-full')).toBe(1)
})

test('an event does not share memory with the packet', () => {
  const [a] = pair()
  a.bindUdp(7)
  const packet = datagramFrom('10.1.0.2', 7)
  a.handlePacket(0, packet)
  packet.fill(0xff)
  expect(events(a)[0]).toMatchObject({ payload: new Uint8Array(3) })
})
