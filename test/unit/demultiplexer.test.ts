import { expect, test } from 'vitest'
import { Binding } from '../../src/transports/stun/constants.js'
import { encodeMessage, type MessageClass } from '../../src/transports/stun/message.js'
import { classifyDatagram } from '../../src/transports/udp/demultiplexer.js'

const Cookie = [0x21, 0x12, 0xa4, 0x42]

function datagram(length: number, ...start: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(Math.max(length, start.length))
  bytes.set(start)
  return bytes.subarray(0, length)
}

test.each([
  ['initiation', 1, 148],
  ['response', 2, 92],
  ['cookie reply', 3, 64],
  ['transport message that carries nothing', 4, 32],
  ['transport message', 4, 1452],
])('a WireGuard %s is WireGuard', (_name, type, length) => {
  expect(classifyDatagram(datagram(length, type))).toBe('wireguard')
})

test.each([1, 2, 3, 4])('WireGuard type %i is WireGuard where its index equals the STUN cookie', (type) => {
  expect(classifyDatagram(datagram(32, type, 0, 0, 0, ...Cookie))).toBe('wireguard')
})

test.each<MessageClass>(['request', 'indication', 'success', 'error'])('a STUN %s is STUN', (each) => {
  for (const fingerprint of [false, true]) {
    const transactionId = new Uint8Array(12).fill(0xff)
    const message = { class: each, method: Binding, transactionId, attributes: [] }
    expect(classifyDatagram(encodeMessage(message, { fingerprint }))).toBe('stun')
  }
})

test('a datagram with the cookie that is too short for WireGuard is STUN', () => {
  expect(classifyDatagram(datagram(31, 4, 0, 0, 0, ...Cookie))).toBe('stun')
  expect(classifyDatagram(datagram(20, 1, 0, 0, 0, ...Cookie))).toBe('stun')
  expect(classifyDatagram(datagram(19, 0, 1, 0, 0, ...Cookie))).toBe('unknown')
})

test('types and reserved bytes that WireGuard does not have are not WireGuard', () => {
  for (const start of [[0], [5], [4, 1], [4, 0, 1], [4, 0, 0, 1], [0, 0, 0, 1]]) {
    expect(classifyDatagram(datagram(148, ...start)), String(start)).toBe('unknown')
  }
  expect(classifyDatagram(datagram(148, 4, 1, 0, 0, ...Cookie))).toBe('stun')
})

test('the cookie does not make STUN of what has one of the two top bits set', () => {
  for (const first of [0x40, 0x80, 0xff]) {
    expect(classifyDatagram(datagram(40, first, 1, 0, 0, ...Cookie))).toBe('unknown')
  }
  expect(classifyDatagram(datagram(40, 0x3f, 1, 0, 0, ...Cookie))).toBe('stun')
})

test('what is empty, short, or of no protocol is unknown', () => {
  for (let length = 0; length < 20; length++) {
    expect(classifyDatagram(datagram(length, 4, 0, 0, 0))).toBe('unknown')
  }
  expect(classifyDatagram(new Uint8Array(1500).fill(0xff))).toBe('unknown')
})

test('the position within a larger buffer makes no difference', () => {
  const larger = Buffer.concat([Buffer.alloc(3, 0xff), datagram(32, 4, 0, 0, 0)])
  expect(classifyDatagram(larger.subarray(3))).toBe('wireguard')
  expect(classifyDatagram(larger)).toBe('unknown')
})
