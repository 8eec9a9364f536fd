import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { concatenate, utf8 } from '../../src/core/encoding.js'
import { readEnvelope, writeEnvelope } from '../../src/core/envelope.js'
import { DecodeError, UsageError } from '../../src/core/errors.js'
import { formatKey, identityFromSeed } from '../../src/core/identity.js'
import { formatLink, parseRoomReference } from '../../src/core/invite.js'
import { proveInvite } from '../../src/core/invite-proof.js'
import { type Join, readMessage, writeMessage } from '../../src/core/messages.js'
import { defaultRoomId, parseRoomId } from '../../src/core/room-id.js'
import { readRoster } from '../../src/core/roster.js'
import { MaxChangeBytes, readChange } from '../../src/core/roster-change.js'
import { openBeacon, openJoin, openReply } from '../../src/core/sealing.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { fragmentRoster, RosterAssembly, readControl } from '../../src/room/control.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('fuzz core')
const identity = identityFromSeed(crypto, random.bytes(32))
const box = crypto.boxKeyPair(random.bytes(32))
const key = random.bytes(32)
const room = defaultRoomId(crypto, identity.publicKey)
const valid = writeMessage(crypto, identity, {
  action: 'refuse',
  room: 'cf83e1',
  publicKey: identity.publicKey,
  epoch: '0000000100000000',
  inReplyTo: random.bytes(64),
  code: 'room-full',
  text: 'The room is full',
})

/** Runs a decoder: whatever it is fed, it returns or throws one of the expected errors. */
const tolerates = (decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void => {
  try {
    decode(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
  }
}

/** Short ones too, and those that begin as messages do: most rules are about the first bytes. */
const anyBytes = fc.oneof(
  fc.uint8Array({ maxLength: 5000 }),
  fc
    .tuple(fc.integer({ min: 0, max: 8 }), fc.uint8Array({ maxLength: 12 }))
    .map(([type, bytes]) => Uint8Array.of(type, ...bytes)),
)
/** Lines made of what messages are made of, in any order. */
const nearlyMessages = fc
  .array(
    fc
      .constantFrom(
        'version: 1',
        '---',
        'room: cf83e1',
        'action: "join"',
        'signature: "00"',
        '"',
        '\\',
        'a: b',
        '',
        '\u0000',
      )
      .map((line) => `${line}\n`),
    { maxLength: 40 },
  )
  .map((lines) => new TextEncoder().encode(lines.join('')))
const mutated = fc
  .array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
  .map((changes) => {
    const bytes = Uint8Array.from(valid)
    for (const [at, value] of changes) bytes[at] = value
    return bytes
  })

describe('decoders of what strangers send', () => {
  it.each([
    ['envelope', readEnvelope],
    ['message', (bytes: Uint8Array) => readMessage(crypto, bytes)],
    ['beacon record', (bytes: Uint8Array) => openBeacon(crypto, key, bytes)],
    ['join record', (bytes: Uint8Array) => openJoin(crypto, box, bytes)],
    ['reply record', (bytes: Uint8Array) => openReply(crypto, box, key, bytes)],
    ['roster', (bytes: Uint8Array) => readRoster(crypto, identity.publicKey, 'cf83e1', bytes)],
    ['roster change', (bytes: Uint8Array) => readChange(crypto, identity.publicKey, 'cf83e1', bytes)],
    ['control message', readControl],
  ])('%s: only the typed error', (_name, decode) => {
    fc.assert(
      fc.property(fc.oneof(anyBytes, nearlyMessages, mutated), (bytes) => tolerates(decode, bytes)),
      { numRuns: 500 },
    )
  })

  it('a message that is accepted is the one that was signed', () => {
    fc.assert(
      fc.property(mutated, (bytes) => {
        try {
          readMessage(crypto, bytes)
        } catch {
          return
        }
        expect(bytes).toEqual(valid)
      }),
      { numRuns: 500 },
    )
  })

  it("a join's proof of an invite: what was written, or a DecodeError", () => {
    const join: Join = {
      action: 'join',
      room,
      publicKey: identity.publicKey,
      username: 'bob',
      host: random.bytes(32),
      seal: random.bytes(32),
      epoch: '0000000100000000',
      box: random.bytes(32),
      wireguard: random.bytes(32),
      nonce: random.bytes(16),
      ice: 'u7Gh3kAb 0123456789abcdefghijklmn',
      candidates: '',
    }
    const invite = proveInvite(crypto, { id: '1234abcd', secret: random.bytes(16) }, join)
    const { fields } = readEnvelope(writeMessage(crypto, identity, { ...join, invite }))
    const right = fields.get('invite')!
    const signer = { sign: crypto.signer(identity.secretKey) }
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 120 }),
      fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefF ')), minLength: 60, maxLength: 80 }),
      fc.tuple(fc.nat(right.length - 1), fc.string({ minLength: 1, maxLength: 1 })).map(([at, character]) => {
        return right.slice(0, at) + character + right.slice(at + 1)
      }),
    )
    fc.assert(
      fc.property(text, (value) => {
        tolerates(
          (bytes) => {
            const { message } = readMessage(crypto, bytes)
            const read = message.action === 'join' ? message.invite : undefined
            expect(`${read?.id ?? ''} ${Buffer.from(read!.proof).toString('hex')}`).toBe(value)
          },
          writeEnvelope(signer, identity, new Map([...fields, ['invite', value]])),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('a roster change that its host has signed, whatever is in it: only the typed error', () => {
    const sign = crypto.signer(identity.secretKey)
    const body = fc.uint8Array({ minLength: 43, maxLength: MaxChangeBytes })
    fc.assert(
      fc.property(body, fc.nat(20), (random, count) => {
        const bytes = Uint8Array.from([1, ...random.subarray(1, 41), 0, count, ...random.subarray(43)])
        const signed = concatenate(utf8('gonet/1 roster change\ncf83e1\n'), bytes)
        tolerates(
          (whole) => readChange(crypto, identity.publicKey, 'cf83e1', whole),
          concatenate(bytes, sign(signed)),
        )
      }),
      { numRuns: 300 },
    )
  })

  it('roster pieces in any mix: bounded, and whole only when all are there', () => {
    const fragments = fragmentRoster({ term: 1, version: 1 }, random.bytes(3500))
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 12 }), (order) => {
        const assembly = new RosterAssembly()
        const whole = order
          .map((index) => assembly.add(fragments[index]!))
          .filter((bytes) => bytes !== undefined)
        for (const bytes of whole) expect(bytes).toHaveLength(3500)
        if (whole.length > 0) expect(new Set(order).size).toBe(4)
      }),
    )
  })
})

/** Links made of what invites are made of. */
const hex = fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefF.%&= ')), maxLength: 40 })
const nearlyLinks = fc
  .array(
    fc.tuple(
      fc.constantFrom('key', 'secret', 'invite', 'signal', 'other'),
      fc.oneof(hex, fc.constant(formatKey(identity.publicKey)), fc.constant(`1234abcd.${'ab'.repeat(16)}`)),
    ),
    { maxLength: 5 },
  )
  .map((parts) => `gonet://join/${room}?${parts.map(([name, value]) => `${name}=${value}`).join('&')}`)

describe('what users type', () => {
  it('room ids and references: a value or a UsageError', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string().map((rest) => `gonet://join/${rest}`),
      nearlyLinks,
    )
    fc.assert(
      fc.property(text, (typed) => {
        for (const read of [parseRoomId, (each: string) => parseRoomReference(crypto, each)]) {
          try {
            read(typed)
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError)
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('a link that is read is the one that was written', () => {
    const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 })
    fc.assert(
      fc.property(bytes16, bytes16, fc.nat(2 ** 32 - 1), (secret, roomSecret, number) => {
        const invite = { id: number.toString(16).padStart(8, '0'), secret, roomSecret }
        const reference = { room, hostKey: identity.publicKey, signal: ['mqtt'], invite }
        expect(parseRoomReference(crypto, formatLink(reference))).toEqual(reference)
      }),
    )
  })
})
