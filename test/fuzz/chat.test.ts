import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEntry } from '../../src/chat/entry.js'
import { Journal } from '../../src/chat/journal.js'
import { fragmentEntry, MaxPayloadBytes, readPayload, writeLines } from '../../src/chat/payload.js'
import { DecodeError } from '../../src/core/errors.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { ChatNet, newAuthor, TestStore, Writer } from '../unit/chat-net.js'

const alice = new Writer(newAuthor('alice'))
const entries = [...alice.series(3), alice.write('ü'.repeat(2000)), alice.write('x'.repeat(4096))]
const floor = { sequence: 3, hash: 'ab'.repeat(32), lamport: 77 }
const lines = [
  { stream: alice.stream, have: 5, head: 'cd'.repeat(8), beyond: 9, delivered: 2, floor },
  {
    stream: 'ef'.repeat(40),
    have: 2 ** 32 - 1,
    head: '01'.repeat(8),
    beyond: 2 ** 32 - 1,
    delivered: 0,
    floor: undefined,
  },
]
const payloads = [
  ...entries.flatMap((entry) => fragmentEntry(entry)),
  writeLines({ ask: true, whole: false, digest: '00'.repeat(8), lines: [] }),
  writeLines({ ask: false, whole: true, digest: '12'.repeat(8), lines }),
]
const journalBytes = ((): Uint8Array => {
  const store = new TestStore()
  const journal = new Journal(store)
  journal.addIncarnation(alice.incarnation)
  for (const { bytes } of entries) journal.addEntry({ bytes, waits: bytes.length > 1000 })
  journal.addDelivered(alice.stream, 2)
  journal.addShown(alice.stream, 4)
  journal.addBase('ef'.repeat(40), floor)
  journal.flush()
  return store.read('chat')!
})()

/** Valid bytes with some of them changed, cut, or with more behind. */
const mutated = (valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> =>
  fc
    .record({
      bytes: fc.constantFrom(...valid),
      changes: fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 }),
      // The fields at the front matter most.
      early: fc.array(fc.tuple(fc.nat({ max: 120 }), fc.nat({ max: 255 })), { maxLength: 3 }),
      cut: fc.option(fc.nat(), { freq: 3 }),
      more: fc.uint8Array({ maxLength: 8 }),
    })
    .map(({ bytes, changes, early, cut, more }) => {
      const kept = cut === null ? bytes : bytes.subarray(0, cut % (bytes.length + 1))
      const copy = Uint8Array.from([...kept, ...more])
      for (const [at, value] of [...changes, ...early]) if (copy.length > 0) copy[at % copy.length] = value
      return copy
    })
const anyBytes = (valid: readonly Uint8Array[], maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.oneof({ weight: 1, arbitrary: fc.uint8Array({ maxLength }) }, { weight: 4, arbitrary: mutated(valid) })

/** What an action gives, or undefined where it throws the error that it may. */
const decoded = <Result>(action: () => Result): Result | undefined => {
  try {
    return action()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return undefined
  }
}

describe('the chat', () => {
  it('reads any payload or throws a DecodeError, and each has one encoding', () => {
    fc.assert(
      fc.property(anyBytes(payloads, 1100), (bytes) => {
        const payload = decoded(() => readPayload(bytes))
        if (payload === undefined) return
        expect(bytes.length).toBeLessThanOrEqual(MaxPayloadBytes)
        if (payload.type === 'fragment') {
          expect(payload.index).toBeLessThan(payload.count)
          expect(payload.count).toBeLessThanOrEqual(5)
          return
        }
        const again = readPayload(writeLines(payload))
        expect(again).toEqual(payload)
      }),
      { numRuns: 3000 },
    )
  })

  it('reads any entry or throws a DecodeError, and never takes it for another one', () => {
    const valid = entries.map(({ bytes }) => bytes)
    fc.assert(
      fc.property(anyBytes(valid, 5000), (bytes) => {
        const entry = decoded(() => decodeEntry(crypto, bytes))
        if (entry === undefined) return
        expect(Buffer.compare(entry.bytes, bytes)).toBe(0)
        expect(entry.parents.length).toBeLessThanOrEqual(8)
        expect(Buffer.byteLength(entry.text)).toBeLessThanOrEqual(4096)
        expect(entry.sequence).toBeGreaterThan(0)
      }),
      { numRuns: 3000 },
    )
  })

  it('loads any journal, and what is written then is read back', () => {
    fc.assert(
      fc.property(anyBytes([journalBytes], 400), (bytes) => {
        const store = new TestStore()
        store.write('chat', bytes)
        const journal = new Journal(store)
        journal.load()
        const before = journal.records
        journal.addEntry({ bytes: entries[0]!.bytes, waits: false })
        journal.flush()
        const again = new Journal(store)
        const content = again.load()
        expect(again.records).toBe(before + 1)
        expect(Buffer.compare(content.entries.at(-1)!.bytes, entries[0]!.bytes)).toBe(0)
      }),
      { numRuns: 1000 },
    )
  })

  it('opens with any journal, and can be posted to', () => {
    fc.assert(
      fc.property(anyBytes([journalBytes], 400), (bytes) => {
        const store = new TestStore()
        store.write('chat', bytes)
        const net = new ChatNet('journal')
        const hub = net.add('hub', store)
        net.post(hub, 'hello')
        expect(hub.shown.at(-1)).toBe('hello')
        net.restart(hub)
        expect(hub.shown.filter((text) => text === 'hello')).toHaveLength(1)
      }),
      { numRuns: 200 },
    )
  })

  it.each(['hub', 'guest'])('of the %s takes any payloads without a throw, and goes on talking', (name) => {
    const payload = anyBytes(payloads, 1100)
    const steps = fc.array(fc.tuple(payload, fc.nat({ max: 3000 })), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(steps, (taken) => {
        const net = new ChatNet('payloads')
        const [hub, guest, mallory] = ['hub', 'guest', 'alice'].map((each) => net.add(each)) as [
          never,
          never,
          never,
        ]
        net.connect(guest, mallory)
        net.run(100)
        const reader = net.nodes.get(name)!
        for (const [bytes, wait] of taken) {
          net.inject(name === 'hub' ? mallory : hub, reader, bytes)
          net.run(wait)
        }
        expect(net.sent.length).toBeLessThan(5000)
        net.connect(guest)
        net.run(5000)
        net.post(guest, 'from the guest')
        net.post(hub, 'from the hub')
        net.run(20_000)
        expect(net.nodes.get('hub')!.shown).toContain('from the guest')
        expect(net.nodes.get('guest')!.shown).toContain('from the hub')
      }),
      { numRuns: 60 },
    )
  })
})
