import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { NatDiscovery } from '../../src/transports/nat/discovery.js'
import { BindingLifetimeTest } from '../../src/transports/nat/lifetime.js'
import { isPlausible } from '../../src/transports/nat/plausible.js'
import { formatCandidates, isUsableTarget, parseCandidates } from '../../src/transports/path/candidate.js'
import { CheckCredentials } from '../../src/transports/path/checks.js'
import {
  formatCredentials,
  generateCredentials,
  parseCredentials,
} from '../../src/transports/path/credentials.js'
import { Paths } from '../../src/transports/path/paths.js'
import {
  readErrorCode,
  readMappedAddress,
  readUnknownAttributes,
  readUsername,
  readXorMappedAddress,
} from '../../src/transports/stun/attributes.js'
import { answerBinding, readBindingSuccess } from '../../src/transports/stun/binding.js'
import { StunClient } from '../../src/transports/stun/client.js'
import { Binding } from '../../src/transports/stun/constants.js'
import { decodeMessage, encodeMessage, verifyIntegrity } from '../../src/transports/stun/message.js'
import { classifyDatagram } from '../../src/transports/udp/demultiplexer.js'
import { SeededRandom } from '../sim/seeded-random.js'

const numRuns = 2000
const here = { address: '192.0.2.1', port: 41_641 }
const there = { address: '198.51.100.1', port: 41_641 }
const server = { address: '203.0.113.1', port: 3478 }
const random = new SeededRandom('fuzz')
const [ours, theirs] = [generateCredentials(random), generateCredentials(random)]
const checks = new CheckCredentials(nodeCrypto, theirs, ours)
const check = checks.request(random.bytes(12))
const answer = checks.answer(decodeMessage(check), there)
const key = random.bytes(24)

/** Attributes of known and unknown types, of likely lengths. */
const attribute = fc.record({
  type: fc.oneof(
    fc.constantFrom(0x0001, 0x0006, 0x0009, 0x000a, 0x0020, 0x0024, 0x8022, 0x802c),
    fc.nat({ max: 0xffff }),
  ),
  value: fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.constantFrom(new Uint8Array(8).fill(1), new Uint8Array(20).fill(2)),
  ),
})

/** A message as somebody who knows no password makes it. */
const foreign = fc
  .record({
    class: fc.constantFrom('request' as const, 'indication' as const, 'success' as const, 'error' as const),
    method: fc.oneof(fc.constant(Binding), fc.nat({ max: 0xfff })),
    transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
    attributes: fc.array(attribute, { maxLength: 34 }),
  })
  .chain((message) =>
    fc
      .record({ fingerprint: fc.boolean(), signed: fc.boolean() })
      .map(({ fingerprint, signed }) =>
        encodeMessage(message, { fingerprint, ...(signed && { integrity: { crypto: nodeCrypto, key } }) }),
      ),
  )

/** One message with a byte changed, cut short, or grown. */
const mutated = (...valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(
      fc.constantFrom(...valid),
      fc.constantFrom('flip', 'cut', 'grow'),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
    )
    .map(([bytes, how, at, mask]) => {
      if (how === 'cut') return bytes.slice(0, at % bytes.length)
      if (how === 'grow') return Uint8Array.from([...bytes, ...new Uint8Array(1 + (at % 40)).fill(mask)])
      const copy = bytes.slice()
      copy[at % copy.length]! ^= mask
      return copy
    })

const anyBytes = fc.uint8Array({ maxLength: 1500 })
/** The right header over any bytes. */
const headed = fc.uint8Array({ maxLength: 400 }).map((body) => {
  const whole = body.subarray(0, body.length & ~3)
  const bytes = new Uint8Array(20 + whole.length)
  bytes.set([0, 1, whole.length >> 8, whole.length & 0xff, 0x21, 0x12, 0xa4, 0x42])
  bytes.set(whole, 20)
  return bytes
})
const datagram = fc.oneof(anyBytes, headed, foreign, mutated(check, answer))

describe('STUN', () => {
  it('decodes any bytes or throws a DecodeError, and leaves them as they are', () => {
    fc.assert(
      fc.property(datagram, fc.boolean(), (bytes, asBuffer) => {
        const given = asBuffer ? Buffer.from(bytes) : bytes.slice()
        try {
          const message = decodeMessage(given)
          expect(message.transactionId).toHaveLength(12)
          expect(verifyIntegrity(message, nodeCrypto, new Uint8Array(20))).toBe(false)
          expect(classifyDatagram(bytes)).toMatch(/^(stun|wireguard)$/)
          readBindingSuccess(message)
          expect(answerBinding(message, there).length).toBeLessThanOrEqual(bytes.length + 60)
          for (const { value } of message.attributes) {
            readUsername(value)
            readErrorCode(value)
            readMappedAddress(value)
            readUnknownAttributes(value)
            readXorMappedAddress(value, message.transactionId)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError)
        }
        expect(Uint8Array.from(given)).toEqual(bytes)
      }),
      { numRuns },
    )
  })

  it('writes what it reads', () => {
    fc.assert(
      fc.property(
        fc.record({
          class: fc.constantFrom('request' as const, 'indication' as const, 'success' as const),
          method: fc.nat({ max: 0xfff }),
          transactionId: fc.uint8Array({ minLength: 12, maxLength: 12 }),
          attributes: fc.array(
            attribute.filter(({ type }) => type !== 0x0008 && type !== 0x8028),
            { maxLength: 30 },
          ),
        }),
        (message) => {
          const integrity = { crypto: nodeCrypto, key }
          const back = decodeMessage(encodeMessage(message, { integrity, fingerprint: true }))
          expect(back).toMatchObject(message)
          expect(verifyIntegrity(back, nodeCrypto, key)).toBe(true)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('a client says nothing for what is not the answer to its request', () => {
    const client = new StunClient({ random: new SeededRandom('client'), servers: [server] })
    client.start(0)
    const request = decodeMessage(client.pollTransmit()!.bytes)
    const success = answerBinding(request, here)
    const timeout = client.pollTimeout()
    // All but the transaction id, which is a secret between the client and its server.
    const damaged = mutated(success).filter((bytes) => {
      try {
        return readBindingSuccess(decodeMessage(bytes)) === undefined
      } catch {
        return true
      }
    })
    const wrong = fc.oneof(
      fc.tuple(fc.constantFrom(server, there), datagram),
      fc.tuple(fc.constant(there), fc.constant(success)),
    )
    fc.assert(
      fc.property(wrong, ([source, bytes]) => {
        expect(client.handleDatagram(1, source, bytes)).toBe(false)
        expect(client.pollTransmit()).toBeUndefined()
        expect(client.pollEvent()).toBeUndefined()
        expect(client.pollTimeout()).toBe(timeout)
      }),
      { numRuns },
    )
    fc.assert(
      fc.property(damaged, (bytes) => {
        client.handleDatagram(1, server, bytes)
        expect(client.pollTransmit()).toBeUndefined()
        const event = client.pollEvent()
        if (event !== undefined) expect(event.type).toBe('unreachable')
      }),
      { numRuns },
    )
  })

  it('a client still takes the right answer after all that', () => {
    const client = new StunClient({ random: new SeededRandom('client'), servers: [server] })
    client.start(0)
    const success = answerBinding(decodeMessage(client.pollTransmit()!.bytes), here)
    fc.assert(
      fc.property(datagram, (bytes) => void client.handleDatagram(1, server, bytes)),
      { numRuns: 500 },
    )
    client.handleDatagram(2, server, success)
    expect(client.pollEvent()).toEqual({ type: 'reflexive', server, mapped: here })
  })
})

describe('NAT behaviour discovery', () => {
  const sockets = [here, there, { ...here, port: 41_642 }] as const
  const make = (kind: 'discovery' | 'lifetime') => {
    const machineRandom = new SeededRandom(kind)
    const machine =
      kind === 'discovery'
        ? new NatDiscovery({ random: machineRandom, servers: [server], sockets })
        : new BindingLifetimeTest({ random: machineRandom, server })
    machine.start(0)
    return machine
  }

  it.each(['discovery', 'lifetime'] as const)('%s counts what is no answer, and goes on', (kind) => {
    const machine = make(kind)
    const first = machine.pollTransmit()!
    const timeout = machine.pollTimeout()
    while (machine.pollEvent() !== undefined);
    const dropped = (): number => Object.values(machine.counters).reduce((sum, count) => sum + count, 0)
    const success = answerBinding(decodeMessage(first.bytes), here)
    const wrong = fc.oneof(
      fc.tuple(fc.nat({ max: 9 }), fc.constantFrom(server, there), datagram),
      fc.tuple(fc.constant(first.socket), fc.constant(there), fc.constant(success)),
      fc.tuple(fc.constant(first.socket + 1), fc.constant(server), fc.constant(success)),
    )
    fc.assert(
      fc.property(wrong, ([socket, source, bytes]) => {
        const before = dropped()
        machine.handleDatagram(1, socket, source, bytes)
        expect(dropped()).toBe(before + 1)
        expect(machine.pollTransmit()).toBeUndefined()
        expect(machine.pollEvent()).toBeUndefined()
        expect(machine.pollTimeout()).toBe(timeout)
      }),
      { numRuns },
    )
    machine.handleDatagram(2, first.socket, server, success)
    expect(machine.pollTimeout()).not.toBe(timeout)
  })

  /** What a server says that knows the transaction ids, and wants to aim this machine at somebody. */
  const said = fc.record({
    class: fc.constantFrom('success' as const, 'error' as const, 'request' as const),
    attributes: fc.array(attribute, { maxLength: 6 }),
  })

  it.each(['discovery', 'lifetime'] as const)(
    '%s ends whatever its server says, with few packets',
    (kind) => {
      fc.assert(
        fc.property(fc.array(said, { minLength: 1, maxLength: 8 }), fc.boolean(), (sayings, isPrompt) => {
          const machine = make(kind)
          let [now, sent, isDone] = [0, 0, false]
          for (let step = 0; step < 2000 && !isDone; step += 1) {
            for (let out = machine.pollTransmit(); out !== undefined; out = machine.pollTransmit()) {
              const { destination, socket } = out
              expect(isPlausible(destination, server)).toBe(true)
              const { class: messageClass, attributes } = sayings[sent++ % sayings.length]!
              const { transactionId } = decodeMessage(out.bytes)
              const message = { class: messageClass, method: Binding, transactionId, attributes }
              if (isPrompt) machine.handleDatagram(now, socket, destination, encodeMessage(message))
            }
            for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
              isDone ||= event.type === 'done'
            }
            now = Math.max(now, machine.pollTimeout() ?? now)
            machine.handleTimeout(now)
          }
          expect(isDone).toBe(true)
          expect(sent).toBeLessThan(150)
          expect(now).toBeLessThan(700_000)
        }),
        { numRuns: 500 },
      )
    },
  )
})

describe('paths', () => {
  it('answer nothing to what is not authentic, count it, and go on', () => {
    const paths = new Paths({ crypto: nodeCrypto, random: new SeededRandom('paths'), loopback: false })
    paths.add(0, 'peer', {
      local: ours,
      remote: theirs,
      remoteCandidates: [{ kind: 'host', address: there }],
    })
    const sent = paths.pollTransmit()!
    const own = new CheckCredentials(nodeCrypto, theirs, ours)
    const trueAnswer = own.answer(decodeMessage(sent.bytes), here)
    const timeout = paths.pollTimeout()
    const dropped = (): number =>
      Object.values(paths.counters).reduce((sum: number, count: number) => sum + count, 0)
    const grown = [check, trueAnswer].map((bytes) => Uint8Array.from([...bytes, 0x80, 0x22, 0, 0]))
    const bad = fc.oneof(datagram, mutated(check, trueAnswer), fc.constantFrom(sent.bytes, answer, ...grown))
    fc.assert(
      fc.property(bad, (bytes) => {
        const before = dropped()
        paths.handleDatagram(1, there, bytes)
        expect(dropped()).toBe(before + 1)
        expect(paths.pollTransmit()).toBeUndefined()
        expect(paths.pollEvent()).toBeUndefined()
        expect(paths.pollTimeout()).toBe(timeout)
      }),
      { numRuns },
    )
    paths.handleDatagram(30, there, trueAnswer)
    expect(paths.pollEvent()).toMatchObject({ type: 'selected', rttMs: 30 })
    paths.handleDatagram(30, here, check)
    expect(paths.pollTransmit()?.destination).toEqual(here)
  })
})

describe('what peers signal', () => {
  const piece = fc.oneof(
    fc.constantFrom('host', 'srflx', 'relay', ' ', ', ', ':', '[', ']', '%', '::', '10.0.0.1', '127.1'),
    fc.constantFrom('2001:db8::1', '::ffff:1.2.3.4', '0x7f', '41641', '65536', '0', '\n', 'toString'),
    fc.ipV4(),
    fc.ipV6(),
    fc.string({ maxLength: 4 }),
  )
  const line = fc.oneof(
    fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join('')),
    fc.string({ unit: 'binary', maxLength: 100 }),
    fc
      .tuple(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6().map((each) => `[${each}]`),
        ),
        fc.nat({ max: 70_000 }),
      )
      .map(([address, port]) => `host ${address}:${port}`),
  )

  it('as candidates parses only where it is what would be written', () => {
    let parsed = 0
    fc.assert(
      fc.property(line, (text) => {
        const candidates = parseCandidates(text)
        if (candidates === undefined) return
        if (candidates.length > 0) parsed += 1
        expect(formatCandidates(candidates)).toBe(text)
        for (const { address } of candidates) isUsableTarget(address, { loopback: false })
      }),
      { numRuns },
    )
    expect(parsed).toBeGreaterThan(50)
  })

  it('as an address is usable or not, and never a riddle', () => {
    fc.assert(
      fc.property(fc.oneof(piece, line), fc.double(), fc.boolean(), (address, port, loopback) => {
        expect(typeof isUsableTarget({ address, port }, { loopback })).toBe('boolean')
        expect(typeof isUsableTarget({ address, port: 80 }, { loopback })).toBe('boolean')
      }),
      { numRuns },
    )
  })

  it('as credentials parses only where it is what would be written', () => {
    const valid = formatCredentials(ours)
    const near = fc.tuple(fc.nat({ max: valid.length - 1 }), fc.string({ maxLength: 2 })).map(([at, put]) => {
      return valid.slice(0, at) + put + valid.slice(at + 1)
    })
    fc.assert(
      fc.property(fc.oneof(near, fc.string({ unit: 'binary' })), (text) => {
        const credentials = parseCredentials(text)
        if (credentials !== undefined) expect(formatCredentials(credentials)).toBe(text)
      }),
      { numRuns },
    )
  })
})
