import { describe, expect, it } from 'vitest'
import { parseAllDocuments, parse as parseYaml } from 'yaml'
import { readEnvelope, writeEnvelope } from '../../src/core/envelope.js'
import { identityFromSeed } from '../../src/core/identity.js'
import { type Join, readMessage, writeMessage } from '../../src/core/messages.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('messages')
const guest = identityFromSeed(nodeCrypto, random.bytes(32))
const stranger = identityFromSeed(nodeCrypto, random.bytes(32))
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

const join: Join = {
  action: 'join',
  room: '5e1234000000',
  publicKey: guest.publicKey,
  username: 'Jo "the ☃" #1',
  host: random.bytes(32),
  seal: random.bytes(32),
  epoch: '00000001deadbeef',
  box: random.bytes(32),
  wireguard: random.bytes(32),
  nonce: random.bytes(16),
  ice: 'u7Gh3kAb 0123456789abcdefghijklmn',
  candidates: 'host 192.168.1.4:41641, srflx 109.42.114.166:56112, host [2001:db8::1]:41641',
}
const text = new TextDecoder().decode(writeMessage(nodeCrypto, guest, join))
const code = (bytes: Uint8Array): string => {
  try {
    readMessage(nodeCrypto, bytes)
    return 'accepted'
  } catch (error) {
    return (error as { code: string }).code
  }
}
/** Changes a message and signs what came of it, so that only the change is at fault. */
const resigned = (change: (fields: Map<string, string>) => void): Uint8Array => {
  const fields = new Map(readEnvelope(utf8(text)).fields)
  change(fields)
  return writeEnvelope(nodeCrypto, guest, fields)
}

describe('messages', () => {
  it('come back as they were written', () => {
    const { message, hash } = readMessage(nodeCrypto, utf8(text))
    expect(message).toEqual(join)
    expect(hash).toEqual(nodeCrypto.sha512(utf8(text)))
  })

  it('are YAML to any reader, with no value taken for a number', () => {
    const [version, body, signature] = parseAllDocuments(text).map((document) => document.toJS() as unknown)
    expect(version).toEqual({ version: 1 })
    expect(body).toMatchObject({ room: '5e1234000000', username: join.username, candidates: join.candidates })
    expect((signature as { signature: unknown }).signature).toMatch(/^[0-9a-f]{128}$/)
  })

  it('may have plain scalars, as a person writes them', () => {
    const plain = `version: 1\n---\nroom: cf83e1357eef\n---\nsignature: ${'0'.repeat(128)}\n`
    expect(readEnvelope(utf8(plain)).fields.get('room')).toBe('cf83e1357eef')
    expect(parseYaml('room: cf83e1357eef')).toEqual({ room: 'cf83e1357eef' })
  })

  it('are refused when anything is changed after signing', () => {
    for (const [from, to] of [
      ['"join"', '"join" '],
      ['5e1234', '5e1235'],
      ['version: 1', 'version: 2'],
      ['☃', '☂'],
    ] as const) {
      expect(code(utf8(text.replace(from, to)))).toMatch(/^message-/)
    }
  })

  it('are refused when signed by another key than they name', () => {
    expect(code(writeMessage(nodeCrypto, stranger, join))).toBe('message-signature-wrong')
  })

  it.each([
    ['', 'message-version'],
    [text.slice(0, -1), 'message-truncated'],
    [text.replaceAll('\n', '\r\n'), 'message-version'],
    [`\ufeff${text}`, 'message-version'],
    [text.replace('---\n', ''), 'message-shape'],
    [text.replace('room:', 'room :'), 'message-line'],
    [text.replace('room:', 'Room:'), 'message-line'],
    [text.replace('room:', '- room:'), 'message-line'],
    [text.replace('room: ', 'room:'), 'message-line'],
    [text.replace('room: "', 'room:  "'), 'message-scalar'],
    [text.replace('"join"', '[join]'), 'message-scalar'],
    [text.replace('"join"', '{a: b}'), 'message-scalar'],
    [text.replace('"join"', '&a join'), 'message-scalar'],
    [text.replace('"join"', "'join'"), 'message-scalar'],
    [text.replace('"join"', '"join'), 'message-scalar'],
    [text.replace('"join"', '"jo\\ud800in"'), 'message-scalar'],
    [text.replace('"join"', '"jo\u0085in"'), 'message-scalar'],
    [text.replace('"join"', '"join" # comment'), 'message-scalar'],
    [text.replace('room:', 'action: "join"\nroom:'), 'message-key-repeated'],
    [text.replace(/signature: "../, 'signature: "'), 'message-signature-form'],
    [text.replace(/"(.+)"\n$/, (whole) => whole.toUpperCase()), 'message-signature-form'],
    [`${text}\n`, 'message-shape'],
    [text.replace('room:', `filler: "${'x'.repeat(4096)}"\nroom:`), 'message-oversized'],
  ])('are refused in any other form: %#', (changed, expected) => {
    expect(code(utf8(changed))).toBe(expected)
  })

  it('are refused where they are not UTF-8', () => {
    expect(code(Uint8Array.of(0xff, 0x0a))).toBe('message-not-utf8')
  })

  it('name every key of their action, and no other', () => {
    expect(code(resigned((fields) => fields.set('extra', '1')))).toBe('message-key-unknown')
    expect(code(resigned((fields) => fields.set('constructor', '1')))).toBe('message-key-unknown')
    expect(code(resigned((fields) => fields.delete('nonce')))).toBe('message-key-missing')
    expect(code(resigned((fields) => fields.set('action', 'toString')))).toBe('message-action')
    expect(code(resigned((fields) => fields.set('action', 'host')))).toBe('message-key-unknown')
  })

  it.each([
    ['username', 'a:b'],
    ['username', '*a'],
    ['username', ''],
    ['room', 'cf83'],
    ['epoch', '00000001DEADBEEF'],
    ['box', 'AAAA'],
    ['nonce', '00'],
    ['ice', 'short'],
    ['candidates', 'host 1.2.3.4:1, '.repeat(12) + 'host 1.2.3.4:1'],
    ['candidates', 'host example.com:1'],
    ['candidates', ', host 1.2.3.4:1'],
  ])('are refused with %s: %j', (key, value) => {
    expect(code(resigned((fields) => fields.set(key, value)))).toBe('message-value')
  })

  it.each(['21', '-1', '07', '1.5', '1e1', ''])('are refused with a puzzle of %j bits', (bits) => {
    const beacon = writeMessage(nodeCrypto, guest, {
      action: 'host',
      room: join.room,
      publicKey: guest.publicKey,
      username: 'Jo',
      seal: random.bytes(32),
      epoch: join.epoch,
      admission: 'open',
      puzzle: 20,
    })
    expect(readMessage(nodeCrypto, beacon).message).toMatchObject({ puzzle: 20 })
    const fields = new Map(readEnvelope(beacon).fields).set('puzzle', bits)
    expect(code(writeEnvelope(nodeCrypto, guest, fields))).toBe('message-value')
  })

  it('may have no candidates', () => {
    expect(code(resigned((fields) => fields.set('candidates', '')))).toBe('accepted')
  })
})
