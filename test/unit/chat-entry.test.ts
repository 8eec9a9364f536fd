import { describe, expect, it } from 'vitest'
import {
  compareEntries,
  decodeEntry,
  type Entry,
  MaxTime,
  verifyEntry,
  writeEntry,
} from '../../src/chat/entry.js'
import { isEntryName, isEntryText } from '../../src/chat/text.js'
import { DecodeError } from '../../src/core/errors.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { newAuthor, Room, WallMs } from './chat-net.js'

const alice = newAuthor('alice')
const content = {
  author: alice.publicKey,
  incarnation: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  sequence: 2,
  previous: 'aa'.repeat(32),
  parents: ['bb'.repeat(32), 'cc'.repeat(32)],
  lamport: 9,
  wallMs: WallMs,
  name: 'Alice',
  text: 'Grüße, 世界',
}
const write = (change: Partial<Entry> = {}, room = Room): Entry =>
  writeEntry(crypto, room, { ...content, ...change }, (bytes) => alice.sign(bytes))
const parents = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => (0xb0 + index).toString(16).repeat(32))
/** An entry's bytes with some of them replaced. */
const patched = (offset: number, ...bytes: number[]): Uint8Array => {
  const copy = write().bytes.slice()
  copy.set(bytes, offset)
  return copy
}
const decoding = (bytes: Uint8Array) => (): Entry => decodeEntry(crypto, bytes)

describe('an entry', () => {
  it('is read as it was written', () => {
    const entry = write()
    expect(decodeEntry(crypto, entry.bytes)).toEqual(entry)
    expect(entry).toMatchObject(content)
    expect(entry.id).toBe(Buffer.from(crypto.sha256(entry.bytes)).toString('hex').slice(0, 32))
    expect(entry.stream).toBe(Buffer.from([...alice.publicKey, ...content.incarnation]).toString('hex'))
    expect(verifyEntry(crypto, Room, entry)).toBe(true)
  })

  it('shares no memory with the bytes it was read from', () => {
    const bytes = write().bytes.slice()
    const entry = decodeEntry(crypto, bytes)
    bytes.fill(0)
    expect(verifyEntry(crypto, Room, entry)).toBe(true)
    expect(entry.author).toEqual(alice.publicKey)
  })

  it('that is the first of its stream has no previous one', () => {
    expect(write({ sequence: 1, previous: undefined }).previous).toBeUndefined()
    expect(() => write({ sequence: 1 })).toThrow(DecodeError)
    expect(() => write({ previous: undefined })).toThrow(DecodeError)
    expect(() => write({ sequence: 0, previous: undefined })).toThrow(DecodeError)
  })

  it.each<[string, Partial<Entry>]>([
    ['no parents', { parents: [] }],
    ['8 parents', { parents: parents(8) }],
    ['the highest sequence', { sequence: 2 ** 32 - 1 }],
    ['the last times there are', { lamport: MaxTime, wallMs: MaxTime }],
    ['the first times there are', { lamport: 1, wallMs: 0 }],
    ['a name of one letter', { name: 'a' }],
    ['a name of 128 bytes', { name: '🦆'.repeat(32) }],
    ['a text of one byte', { text: 'x' }],
    ['a text of 4096 bytes', { text: 'ü'.repeat(2048) }],
    ['a text that begins with a byte order mark', { text: '\uFEFFx' }],
    ['a text of a zero byte', { text: '\0' }],
  ])('may have %s', (_, change) => {
    const entry = write(change)
    expect(entry).toMatchObject(change)
    expect(decodeEntry(crypto, entry.bytes)).toEqual(entry)
  })

  it('of the largest size is read, and nothing larger', () => {
    const entry = write({ parents: parents(8), name: '🦆'.repeat(32), text: 'x'.repeat(4096) })
    expect(decodeEntry(crypto, entry.bytes)).toEqual(entry)
    expect(decoding(Buffer.concat([entry.bytes, Uint8Array.of(0)]))).toThrow(DecodeError)
  })

  it.each<[string, Partial<Entry>]>([
    ['9 parents', { parents: parents(9) }],
    ['parents in another order', { parents: parents(3).reverse() }],
    ['a parent twice', { parents: ['bb'.repeat(32), 'bb'.repeat(32)] }],
    ['the previous entry among its parents', { parents: [content.previous] }],
    ['no Lamport time', { lamport: 0 }],
    ['no name', { name: '' }],
    ['a name of 33 characters', { name: 'x'.repeat(33) }],
    ['a colon in its name', { name: 'a:b' }],
    ['a name that begins like an event', { name: '* a' }],
    ['a line feed in its name', { name: 'a\nb' }],
    ['a line separator in its name', { name: 'a\u2028b' }],
    ['an escape in its name', { name: 'a\u009bb' }],
    ['no text', { text: '' }],
    ['a text of 4097 bytes', { text: 'x'.repeat(4097) }],
  ])('has not %s', (_, change) => {
    expect(() => write(change)).toThrow(expect.objectContaining({ code: 'entry-invalid' }))
  })

  it('is of version 1', () => {
    for (const version of [0, 2, 255]) expect(decoding(patched(0, version))).toThrow(DecodeError)
  })

  it('has no text or name of ill-formed UTF-8', () => {
    const { bytes } = write({ parents: [], name: 'abc', text: 'xyz' })
    for (const offset of [91, 96]) {
      const copy = bytes.slice()
      copy.set([0xed, 0xa0, 0x80], offset)
      expect(decoding(copy)).toThrow(DecodeError)
      copy.set([0xc0, 0x80, 0x20], offset)
      expect(decoding(copy)).toThrow(DecodeError)
    }
  })

  it('has no byte too many or too few anywhere', () => {
    const { bytes } = write()
    for (let length = 0; length < bytes.length; length += 1) {
      expect(decoding(bytes.subarray(0, length))).toThrow(DecodeError)
    }
    expect(decoding(Buffer.concat([bytes, Uint8Array.of(0)]))).toThrow(DecodeError)
  })

  it('has one encoding: with any byte changed it is no entry, or another one that its author did not sign', () => {
    const entry = write({ parents: ['bb'.repeat(32)], text: 'short' })
    for (let offset = 0; offset < entry.bytes.length; offset += 1) {
      const bytes = entry.bytes.slice()
      bytes[offset]! ^= 1 << (offset % 8)
      let other: Entry | undefined
      try {
        other = decodeEntry(crypto, bytes)
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
      }
      if (other === undefined) continue
      expect(other.hash).not.toBe(entry.hash)
      expect(verifyEntry(crypto, Room, other), `byte ${offset}`).toBe(false)
    }
  })

  it('cannot be given a second signature by somebody else: S and S + L are not the same', () => {
    const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n
    const bytes = write().bytes.slice()
    const scalar = bytes.subarray(-32)
    let sum = order + BigInt(`0x${Buffer.from(scalar).reverse().toString('hex')}`)
    for (let index = 0; index < 32; index += 1) {
      scalar[index] = Number(sum & 255n)
      sum >>= 8n
    }
    expect(verifyEntry(crypto, Room, decodeEntry(crypto, bytes))).toBe(false)
  })

  it('belongs to one room', () => {
    expect(verifyEntry(crypto, 'another room', write())).toBe(false)
    expect(verifyEntry(crypto, `${Room}\n`, write())).toBe(false)
    expect(verifyEntry(crypto, Room, write({}, 'another room'))).toBe(false)
  })

  it('belongs to its author', () => {
    const forged = writeEntry(crypto, Room, content, (bytes) => newAuthor('mallory').sign(bytes))
    expect(verifyEntry(crypto, Room, forged)).toBe(false)
  })
})

describe('the order of entries', () => {
  const all = [1, 2, 3].flatMap((lamport) =>
    ['alice', 'bob'].flatMap((name) =>
      [0, 9].flatMap((incarnation) =>
        [2, 3, 300].map((sequence) =>
          write({
            lamport,
            sequence,
            author: newAuthor(name).publicKey,
            incarnation: new Uint8Array(8).fill(incarnation),
          }),
        ),
      ),
    ),
  )

  it('is total: exactly one of before, after and the same holds, and it is transitive', () => {
    for (const a of all) {
      for (const b of all) {
        expect(Math.sign(compareEntries(a, b))).toBe(0 - Math.sign(compareEntries(b, a)))
        expect(compareEntries(a, b) === 0).toBe(a === b)
        for (const c of all) {
          if (compareEntries(a, b) < 0 && compareEntries(b, c) < 0 && compareEntries(a, c) >= 0) {
            throw new Error(`${a.id} < ${b.id} < ${c.id}, but not ${a.id} < ${c.id}`)
          }
        }
      }
    }
  })

  it('goes by Lamport time, author, incarnation and sequence', () => {
    const sorted = all.toReversed().sort(compareEntries)
    const keys = sorted.map(({ lamport, stream, sequence }) => [lamport, stream, sequence])
    expect(keys.map(([lamport]) => lamport)).toEqual(keys.map(([lamport]) => lamport).sort())
    const first = keys.filter(([lamport]) => lamport === 1)
    expect(first.map(([, stream]) => stream)).toEqual(first.map(([, stream]) => stream).sort())
    expect(first.slice(0, 3).map(([, , sequence]) => sequence)).toEqual([2, 3, 300])
  })
})

describe('what may be said', () => {
  it('has no halves of characters', () => {
    expect(isEntryText('\ud800')).toBe(false)
    expect(isEntryText('a\udc00b')).toBe(false)
    expect(isEntryText('\ufffd')).toBe(true)
    expect(isEntryText('🦆')).toBe(true)
  })

  it('has names of 1 to 32 characters', () => {
    expect(isEntryName('🦆'.repeat(32))).toBe(true)
    expect(isEntryName('🦆'.repeat(33))).toBe(false)
  })
})
