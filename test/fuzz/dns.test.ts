/** Whatever comes from a DNS server, a resolver or a stranger: no error but the typed one, nothing unbounded. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBase32, readNumber, writeNumber } from '../../src/adapters/dns/base32.js'
import {
  digestOf,
  readContent,
  readEntry,
  writeContent,
  writeEntry,
} from '../../src/adapters/dns/index-entry.js'
import { readMessage, readName, readTxt, writeQuery, writeTxt } from '../../src/adapters/dns/message.js'
import { boxLabels, nameBytes, parseBoxLabels, parseZone } from '../../src/adapters/dns/names.js'
import { readPage, writePage } from '../../src/adapters/dns/page.js'
import {
  checkName,
  pageName,
  parseQuestionName,
  probeName,
  recordIdOf,
  uploadNames,
} from '../../src/adapters/dns/question-name.js'
import { parseServerAddress } from '../../src/adapters/dns/server-address.js'
import { readTsig, signMessage, type TsigKey, verifyAnswer } from '../../src/adapters/dns/tsig.js'
import { readUpload, writeUpload } from '../../src/adapters/dns/upload-message.js'
import { Uploads } from '../../src/adapters/dns/uploads.js'
import { ZoneAnswers } from '../../src/adapters/dns/zone-answers.js'
import { ZoneRecords } from '../../src/adapters/dns/zone-records.js'
import { sourceOf } from '../../src/adapters/dns/zone-server.js'
import { toBase32 } from '../../src/core/encoding.js'
import { DecodeError, UsageError } from '../../src/core/errors.js'
import type { Box } from '../../src/core/signalling-adapter.js'
import { systemRandom } from '../../src/node/clock.js'
import { ManualClock } from '../contract/manual-clock.js'

const zone = 'gonet.test'
const topic = 'abcdefghijklmnopqrst'
const bytes = (maxLength: number, minLength = 0): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength })
const identifiers = fc.stringMatching(/^[0-9a-z]{1,64}$/)
const boxes: fc.Arbitrary<Box> = fc.oneof(
  fc.constantFrom<Box>('host', 'join'),
  identifiers.map((guest): Box => `reply/${guest}`),
)
const nonces = bytes(5, 5)

/** A real message with some bytes changed, cut or added. */
function damaged(original: Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(
      fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { maxLength: 6 }),
      fc.nat(original.length),
      bytes(20),
      fc.boolean(),
    )
    .map(([changes, length, more, isCut]) => {
      const changed = Uint8Array.from(original)
      for (const [at, value] of changes) changed[at] = value
      return isCut ? changed.slice(0, length) : Uint8Array.from([...changed, ...more])
    })
}

/** Calls, and takes the typed error for an answer too. */
function typed<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    expect(error).toBeInstanceOf(DecodeError)
    return undefined
  }
}

const key: TsigKey = { name: 'alice', algorithm: 'hmac-sha256', secret: Uint8Array.of(1, 2, 3) }
const query = writeQuery(7, `a.b.${zone}`, 'TXT')
const signed = signMessage(query, key, 1_700_000_000)
const messages = fc.oneof(
  bytes(200),
  damaged(query),
  damaged(signed.bytes),
  // Records without an end, and names that lead anywhere.
  bytes(300).map((rest) => Uint8Array.from([0, 7, 0x84, 0, 0, 1, 0, 9, 0, 3, 0, 3, ...rest])),
)

describe('DNS messages', () => {
  it('are read, or refused with the typed error', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const read = typed(() => readMessage(message))
        for (const record of [...(read?.answers ?? []), ...(read?.additionals ?? [])]) {
          expect(record.name.length).toBeLessThanOrEqual(4 * 255)
          expect(record.data.length).toBeLessThanOrEqual(message.length)
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('end in time, however their names are compressed', () => {
    const pointers = Uint8Array.from({ length: 4000 }, (_, at) =>
      at % 2 === 0 ? 0xc0 : Math.max(0, at - 3) & 255,
    )
    typed(() => readName(pointers, 3998))
    const all = new Uint8Array(60_000)
    all.set([0, 7, 0x84, 0, 0, 0, 8, 0, 0, 0, 0, 0])
    typed(() => readMessage(all))
  })

  it('have names that read back as they were written', () => {
    const names = fc
      .array(fc.stringMatching(/^[0-9a-z_-]{1,63}$/), { minLength: 1, maxLength: 10 })
      .map((labels) => labels.join('.'))
      .filter((name) => name.length <= 253)
    fc.assert(
      fc.property(names, (name) => {
        expect(readName(nameBytes(name), 0)).toEqual({ name, end: name.length + 2 })
      }),
    )
  })

  it('are never written with a name that the DNS does not have', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (name) => {
        try {
          const [question] = readMessage(writeQuery(1, name, 'TXT')).questions
          expect(question?.bytes.length).toBeLessThanOrEqual(259)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('carry every text', () => {
    fc.assert(
      fc.property(bytes(2000), (content) => {
        expect(readTxt(writeTxt(content))).toEqual(content)
        readTxt(content)
      }),
    )
  })
})

describe('signatures', () => {
  it('are wrong wherever anything is changed', () => {
    const answer = signMessage(query, key, 1_700_000_000)
    fc.assert(
      fc.property(damaged(answer.bytes), bytes(32), (message, requestMac) => {
        const read = typed(() => readMessage(message))
        if (read === undefined) return
        const verified = typed(() => verifyAnswer(message, read, key, requestMac, 1_700_000_000))
        // Not even the right one: it is for another question.
        expect(verified).toBeUndefined()
      }),
      { numRuns: 3000 },
    )
  })

  it('are read, or refused with the typed error', () => {
    fc.assert(
      fc.property(bytes(120), (data) => {
        typed(() => readTsig({ data }))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('records in a zone that takes updates', () => {
  it('read back as they were written, and nothing else is read', () => {
    fc.assert(
      fc.property(identifiers, fc.nat(2 ** 41), bytes(500), (sender, expiresAt, content) => {
        const entry = { sender, expiresAt, digest: digestOf(content) }
        expect(readEntry(writeEntry(entry))).toEqual(entry)
        expect(readContent(writeContent(content))).toEqual(content)
        readEntry(content)
        const other = readContent(content)
        if (other !== undefined) expect(other.length).toBeLessThan(content.length)
      }),
    )
  })
})

describe('names in a zone that gonet serves', () => {
  it('are what was asked, in every length', () => {
    fc.assert(
      fc.property(boxes, identifiers, nonces, bytes(10, 10), (box, sender, nonce, cursor) => {
        expect(parseBoxLabels(boxLabels(box).split('.'))).toBe(box)
        expect(parseQuestionName(probeName(zone, nonce), zone)).toEqual({ kind: 'probe' })
        const page = pageName(zone, topic, box, cursor, nonce)
        expect(parseQuestionName(page, zone)).toEqual({ kind: 'page', topic, box, cursor })
        const check = checkName(zone, { topic, box, sender }, nonce)
        expect(parseQuestionName(check, zone)).toEqual({
          kind: 'check',
          topic,
          recordId: recordIdOf({ box, sender }),
        })
        for (const name of [page, check]) {
          const labels = name.slice(0, -zone.length - 1).split('.')
          // Whoever asks for one label more at a time finds the way.
          for (let from = 1; from < labels.length; from++) {
            expect(parseQuestionName(`${labels.slice(from).join('.')}.${zone}`, zone)).toEqual({
              kind: 'between',
            })
          }
        }
      }),
    )
  })

  it('carry every message, in names that the DNS has, through every zone', () => {
    const zones = fc.stringMatching(/^[a-z]{1,39}\.[a-z]{1,40}$/)
    fc.assert(
      fc.property(zones, bytes(4700, 1), bytes(10, 10), (where, message, id) => {
        let whole: Uint8Array | undefined
        const uploads = new Uploads(new ManualClock(), (_topic, content) => {
          whole = content
          return 'stored'
        })
        const answers = uploadNames(where, topic, id, message).map((name) => {
          nameBytes(name)
          const asked = parseQuestionName(name, where)
          return asked?.kind === 'part' ? uploads.take(asked, 'source') : 'lost'
        })
        expect(answers.at(-1)).toBe('stored')
        expect(answers.slice(0, -1).every((answer) => answer === 'part')).toBe(true)
        expect(whole).toEqual(message)
      }),
      { numRuns: 200 },
    )
  })

  it('are taken apart, or not', () => {
    const labels = fc.oneof(
      fc.constantFrom('b', 'c', 'd', 'u', 't', 'ns', 'host', 'join', 'reply', topic, '\\000'),
      fc.stringMatching(/^[0-9a-z_-]{1,63}$/),
      fc.stringMatching(/^[a-z2-7]{16,24}$/),
    )
    fc.assert(
      fc.property(fc.array(labels, { minLength: 1, maxLength: 8 }), (all) => {
        const asked = parseQuestionName(`${all.join('.')}.${zone}`, zone)
        if (asked?.kind === 'part') expect(asked.index).toBeLessThan(asked.count)
      }),
      { numRuns: 3000 },
    )
  })

  it('write bytes and numbers that read back', () => {
    fc.assert(
      fc.property(bytes(200), fc.nat(1023), fc.string(), (content, value, text) => {
        expect(fromBase32(toBase32(content))).toEqual(content)
        expect(readNumber(writeNumber(value))).toBe(value)
        const read = fromBase32(text)
        if (read !== undefined) expect(toBase32(read)).toBe(text.toLowerCase())
      }),
    )
  })
})

describe('what comes up and down', () => {
  const records = fc.array(
    fc.record({ sender: identifiers, bytes: bytes(300), expiresInMs: fc.nat(2 ** 31) }),
    { maxLength: 5 },
  )

  it('pages read back as they were written; others are refused with the typed error', () => {
    fc.assert(
      fc.property(records, bytes(10, 10), fc.boolean(), bytes(100), (all, cursor, hasMore, other) => {
        const page = { cursor, hasMore, records: all }
        const written = writePage(page)
        expect(readPage(written)).toEqual(page)
        typed(() => readPage(other))
        typed(() => readPage(written.slice(0, -1)))
      }),
    )
  })

  it('messages read back as they were written; others are nothing', () => {
    const actions = fc.constantFrom('put' as const, 'remove' as const)
    fc.assert(
      fc.property(
        actions,
        boxes,
        identifiers,
        bytes(16, 16),
        bytes(300),
        (action, box, sender, token, content) => {
          const message = { action, box, sender, token, expiresInMs: 60_000, bytes: content }
          expect(readUpload(writeUpload(message))).toEqual(message)
          readUpload(content)
          readUpload(Uint8Array.from([1, 0, ...content]))
        },
      ),
    )
  })
})

describe('a zone that gonet serves', () => {
  const make = (): ZoneAnswers => {
    const clock = new ManualClock()
    const records = new ZoneRecords({ clock, random: systemRandom })
    const yes = (): boolean => true
    return new ZoneAnswers({ zone, advertised: '127.0.0.1', records, clock, takes: yes, shows: yes })
  }
  const names = fc.constantFrom(
    zone,
    `ns.${zone}`,
    `aaaaaaaa.t.${zone}`,
    `${topic}.b.${zone}`,
    `aaaaaaaaaaaaaaaaaaaaaaaa.join.${topic}.d.${zone}`,
    `ae.aaaaaaaaaaaaaaaaaaaa.${topic}.u.${zone}`,
    'example.org',
  )
  const questions = fc.oneof(
    messages,
    names.chain((name) => damaged(writeQuery(7, name, 'TXT'))),
  )

  it('answers everything with a message, and never answers an answer', () => {
    const answers = make()
    fc.assert(
      fc.property(questions, fc.boolean(), (request, isTcp) => {
        const answer = answers.answer(request, 'source', isTcp)
        if (answer === undefined) {
          expect(request.length < 12 || ((request[2] ?? 0) & 0x80) !== 0).toBe(true)
          return
        }
        const read = readMessage(answer.bytes)
        expect(read.id).toBe(((request[0] ?? 0) << 8) | (request[1] ?? 0))
        expect(read.flags & 0x8000).toBe(0x8000)
        if (!isTcp) expect(answer.bytes.length).toBeLessThanOrEqual(1232)
        expect(answer.truncated.length).toBeLessThanOrEqual(request.length + 11)
      }),
      { numRuns: 5000 },
    )
  })

  it('stays bounded, whoever fills it', () => {
    const clock = new ManualClock()
    const records = new ZoneRecords({ clock, random: systemRandom })
    const uploads = new Uploads(clock, () => 'stored')
    for (let at = 0; at < 20_000; at++) {
      const source = `s${at % 50}`
      const room = `${topic.slice(4)}${toBase32(Uint8Array.of(at % 7, at % 11)).slice(0, 4)}`
      uploads.take({ topic: room, upload: `u${at}`, index: 0, count: 2, data: new Uint8Array(115) }, source)
      const record = {
        topic: room,
        box: 'join',
        sender: `s${at}`,
        bytes: new Uint8Array(4608),
        expiresInMs: 60_000,
      } as const
      records.put(record, { source, token: 'x' })
    }
    expect(uploads.pendingBytes).toBeLessThanOrEqual(4 * 1024 * 1024)
    const all = records.page(`${topic.slice(4)}aaaa`, 'join', new Uint8Array(10))
    expect(all.records.length).toBeGreaterThan(0)
    expect(writePage(all).length).toBeLessThanOrEqual(12_288 + 12)
  })

  it('lets nobody replace or remove what others have stored', () => {
    const records = new ZoneRecords({ clock: new ManualClock(), random: systemRandom })
    const record = { topic, box: 'join', sender: 'a', bytes: Uint8Array.of(1), expiresInMs: 1000 } as const
    expect(records.put(record, { source: '1', token: 'mine' })).toBe(true)
    expect(records.put({ ...record, bytes: Uint8Array.of(2) }, { source: '1', token: 'other' })).toBe(false)
    expect(records.remove(record, 'other')).toBe(false)
    expect(records.get(topic, recordIdOf(record))?.bytes).toEqual(Uint8Array.of(1))
    expect(records.remove(record, 'mine')).toBe(true)
  })
})

describe('options', () => {
  it('are refused with words that are for a person', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const parse of [parseZone, parseServerAddress]) {
          try {
            parse(text)
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError)
          }
        }
        sourceOf(text)
      }),
      { numRuns: 2000 },
    )
  })

  it.each([
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['192.0.2.1', '192.0.2.1'],
  ])('the source of %s is %s', (address, source) => {
    expect(sourceOf(address)).toBe(source)
  })
})
