/**
 * What a zone that gonet serves answers (RFC 1034 section 4.3.2), from bytes to bytes. It answers for its zone
 * only, repeats the question as it came, in its case too, and knows every name that a resolver may ask for on
 * the way to a longer one (RFC 9156).
 */
import { isIPv6 } from 'node:net'
import { concatenate, fromUtf8, toHex, utf8 } from '../../core/encoding.js'
import { DecodeError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'
import { Class, Flag, HeaderBytes, Opcode, PlainUdpBytes, Rcode, Type, UdpPayloadBytes } from './constants.js'
import { digestOf } from './index-entry.js'
import { ednsOf, type Message, type Question, readMessage, recordData, viewOf, writeTxt } from './message.js'
import { nameBytes } from './names.js'
import { writePage } from './page.js'
import { CursorBytes, parseQuestionName, type ZoneQuestion } from './question-name.js'
import { readUpload } from './upload-message.js'
import { Uploads } from './uploads.js'
import type { ZoneRecords } from './zone-records.js'

export interface ZoneAnswersOptions {
  readonly zone: string
  /** An IP address: where the zone says that its server is. */
  readonly advertised: string
  readonly records: ZoneRecords
  readonly clock: Clock
  /** Whether strangers may put this, or remove it again. */
  readonly takes: (key: RecordKey) => boolean
  /** Whether strangers may read this box. */
  readonly shows: (topic: Topic, box: Box) => boolean
}

export interface ZoneAnswer {
  readonly bytes: Uint8Array
  /** The same without what was asked for: to be asked again over TCP. */
  readonly truncated: Uint8Array
}

/** How long resolvers keep a beacon, in seconds. */
export const BeaconTtl = 60
const ServerTtl = 300
/** A page's name is asked for once; but who gets it truncated comes again, over TCP. */
const PageTtl = 1
/** How long they keep that a name between others has no records, and that one does not exist. */
const NegativeTtl = 60
/** Names that will have a record as soon as a room opens. */
const ShortNegativeTtl = 1

interface Content {
  readonly rcode: number
  readonly answers?: readonly Uint8Array[]
  /** For how long resolvers keep that there is nothing, in seconds. */
  readonly negativeTtl?: number
}

export class ZoneAnswers {
  readonly #options: ZoneAnswersOptions
  readonly #uploads: Uploads

  constructor(options: ZoneAnswersOptions) {
    this.#options = options
    this.#uploads = new Uploads(options.clock, (topic, message, source) =>
      this.#handle(topic, message, source),
    )
  }

  /**
   * @param source who asks, as far as that can be told
   * @returns undefined for what must not be answered
   */
  answer(request: Uint8Array, source: string, isTcp: boolean): ZoneAnswer | undefined {
    // An answer to an answer could go on for ever.
    if (request.length < HeaderBytes || (viewOf(request).getUint16(2) & Flag.QR) !== 0) return undefined
    let message: Message
    try {
      message = readMessage(request)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return headerOnly(request, Rcode.FORMERR)
    }
    const [question, ...more] = message.questions
    if (message.opcode !== Opcode.QUERY) return headerOnly(request, Rcode.NOTIMP)
    if (question === undefined || more.length > 0 || !isPlain(question))
      return headerOnly(request, Rcode.FORMERR)
    const extension = ednsOf(message)
    const isOurs = question.class === Class.IN && this.#isInZone(question.name)
    const content =
      extension !== undefined && extension.version > 0
        ? { rcode: Rcode.BADVERS }
        : isOurs
          ? this.#contentFor(question, source)
          : { rcode: Rcode.REFUSED }
    const parts: Parts = { message, question, isOurs, hasEdns: extension !== undefined }
    const truncated = this.#assemble(parts, { rcode: content.rcode & 15 }, Flag.TC)
    const bytes = this.#assemble(parts, content, 0)
    const limit = isTcp
      ? 65_535
      : Math.min(UdpPayloadBytes, Math.max(PlainUdpBytes, extension?.udpPayloadBytes ?? PlainUdpBytes))
    return { bytes: bytes.length <= limit ? bytes : truncated, truncated }
  }

  #isInZone(name: string): boolean {
    const { zone } = this.#options
    return name === zone || name.endsWith(`.${zone}`)
  }

  #contentFor(question: Question, source: string): Content {
    const { zone } = this.#options
    // Transfers, and questions for whatever there is (RFC 8482).
    if ([Type.AXFR, Type.IXFR, Type.ANY].some((type) => type === question.type))
      return { rcode: Rcode.REFUSED }
    const asked = parseQuestionName(question.name, zone)
    if (asked === undefined) return { rcode: Rcode.NXDOMAIN, negativeTtl: NegativeTtl }
    const answers = this.#answersTo(asked, question.type, source)
    if (answers.length > 0) return { rcode: Rcode.NOERROR, answers }
    return {
      rcode: Rcode.NOERROR,
      negativeTtl: asked.kind === 'between' || asked.kind === 'server' ? NegativeTtl : ShortNegativeTtl,
    }
  }

  #answersTo(asked: ZoneQuestion, type: number, source: string): readonly Uint8Array[] {
    const { advertised } = this.#options
    switch (asked.kind) {
      case 'zone':
        if (type === Type.SOA) return [ownRecord(Type.SOA, NegativeTtl, this.#soa())]
        if (type === Type.NS) return [ownRecord(Type.NS, ServerTtl, nameBytes(this.#serverName()))]
        return []
      case 'server': {
        const addressType = isIPv6(advertised) ? 'AAAA' : 'A'
        if (type !== Type[addressType]) return []
        return [ownRecord(type, ServerTtl, recordData({ type: addressType, name: '.', data: advertised }))]
      }
      default:
        return type === Type.TXT ? this.#textsFor(asked, source) : []
    }
  }

  #textsFor(asked: ZoneQuestion, source: string): readonly Uint8Array[] {
    const { records, shows } = this.#options
    switch (asked.kind) {
      case 'probe':
        return [text(utf8('gonet 1'))]
      case 'beacon': {
        if (!shows(asked.topic, 'host')) return []
        const page = records.page(asked.topic, 'host', new Uint8Array(CursorBytes))
        if (page.records.length === 0) return []
        const shortest = Math.min(...page.records.map(({ expiresInMs }) => Math.floor(expiresInMs / 1000)))
        return [text(writePage(page), Math.min(BeaconTtl, shortest))]
      }
      case 'page':
        if (!shows(asked.topic, asked.box)) return []
        return [text(writePage(records.page(asked.topic, asked.box, asked.cursor)), PageTtl)]
      case 'check': {
        const record = records.get(asked.topic, asked.recordId)
        return [text(utf8(record === undefined ? 'none' : digestOf(record.bytes)))]
      }
      case 'part':
        return [text(utf8(this.#uploads.take(asked, source)))]
      default:
        return []
    }
  }

  /** What a message that has come up wants. */
  #handle(topic: Topic, bytes: Uint8Array, source: string): string {
    const message = readUpload(bytes)
    if (message === undefined) return 'refused malformed'
    const { action, box, sender, token, expiresInMs, bytes: content } = message
    const { records, takes } = this.#options
    if (!takes({ topic, box, sender })) return 'refused box'
    const owner = { source, token: toHex(token) }
    const isDone =
      action === 'put'
        ? records.put({ topic, box, sender, expiresInMs, bytes: content }, owner)
        : records.remove({ topic, box, sender }, owner.token)
    if (!isDone) return 'refused sender'
    return action === 'put' ? 'stored' : 'removed'
  }

  #assemble({ message, question, isOurs, hasEdns }: Parts, content: Content, flags: number): Uint8Array {
    const { answers = [], negativeTtl, rcode } = content
    const authorities = negativeTtl === undefined ? [] : [this.#authority(question, negativeTtl)]
    const additionals = hasEdns ? [optRecord(rcode >> 4)] : []
    const header = new Uint8Array(HeaderBytes)
    const view = viewOf(header)
    view.setUint16(0, message.id)
    const kept = message.flags & (Flag.RD | Flag.CD)
    view.setUint16(
      2,
      Flag.QR | (isOurs && rcode !== Rcode.REFUSED ? Flag.AA : 0) | kept | flags | (rcode & 15),
    )
    for (const [index, count] of [1, answers.length, authorities.length, additionals.length].entries()) {
      view.setUint16(4 + 2 * index, count)
    }
    return concatenate(header, question.bytes, ...answers, ...authorities, ...additionals)
  }

  /** RFC 2308 section 3. */
  #authority(question: Question, ttl: number): Uint8Array {
    // The zone's name is the end of the question's.
    const zoneOffset = HeaderBytes + question.bytes.length - 4 - nameBytes(this.#options.zone).length
    return record(pointer(zoneOffset), Type.SOA, ttl, this.#soa())
  }

  #soa(): Uint8Array {
    const { zone } = this.#options
    return recordData({
      type: 'SOA',
      name: '.',
      data: {
        mname: this.#serverName(),
        rname: `hostmaster.${zone}`,
        serial: 1,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum: NegativeTtl,
      },
    })
  }

  #serverName(): string {
    return `ns.${this.#options.zone}`
  }
}

interface Parts {
  readonly message: Message
  readonly question: Question
  readonly isOurs: boolean
  readonly hasEdns: boolean
}

/** Whether a question's name is written out, so that an answer can repeat it and point into it. */
function isPlain({ name, bytes }: Question): boolean {
  const [length, escapes] = [bytes.length - 4, (name.match(/\\\d{3}/g) ?? []).length]
  return length === (name === '' ? 1 : name.length - 3 * escapes + 2)
}

function headerOnly(request: Uint8Array, rcode: number): ZoneAnswer {
  const bytes = new Uint8Array(HeaderBytes)
  bytes.set(request.subarray(0, 2))
  const opcode = viewOf(request).getUint16(2) & 0x78_00
  viewOf(bytes).setUint16(2, Flag.QR | opcode | rcode)
  return { bytes, truncated: bytes }
}

/** A TXT record of the question's name. */
function text(bytes: Uint8Array, ttl = 0): Uint8Array {
  return ownRecord(Type.TXT, ttl, writeTxt(bytes))
}

function ownRecord(type: number, ttl: number, data: Uint8Array): Uint8Array {
  return record(pointer(HeaderBytes), type, ttl, data)
}

function pointer(offset: number): Uint8Array {
  return Uint8Array.of(0xc0 | (offset >> 8), offset & 255)
}

function record(name: Uint8Array, type: number, ttl: number, data: Uint8Array): Uint8Array {
  const fixed = new Uint8Array(10)
  const view = viewOf(fixed)
  view.setUint16(0, type)
  view.setUint16(2, Class.IN)
  view.setUint32(4, ttl)
  view.setUint16(8, data.length)
  return concatenate(name, fixed, data)
}

function optRecord(extendedRcode: number): Uint8Array {
  const bytes = new Uint8Array(11)
  const view = viewOf(bytes)
  view.setUint16(1, Type.OPT)
  view.setUint16(3, UdpPayloadBytes)
  view.setUint8(5, extendedRcode)
  return bytes
}

/** What an answer to a probe says. */
export function isProbeAnswer(bytes: Uint8Array): boolean {
  return fromUtf8(bytes) === 'gonet 1'
}
