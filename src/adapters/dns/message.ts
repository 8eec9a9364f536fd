/**
 * DNS messages (RFC 1035 section 4). dns-packet writes them; reading is done here, since what comes is
 * hostile: dns-packet does not say where a record begins, which TSIG needs, reads every type there is, and
 * takes malformed ones.
 */
import { type Answer, encode } from 'dns-packet'
import { DecodeError } from '../../core/errors.js'
import { Flag, HeaderBytes, MaxNameBytes, Type, UdpPayloadBytes } from './constants.js'
import { nameBytes } from './names.js'

export interface Question {
  /** In lower case, without the final dot. Bytes that no name of ours has stand as `\ddd`. */
  readonly name: string
  readonly type: number
  readonly class: number
  /** As it came, for the answer to repeat: its case too. */
  readonly bytes: Uint8Array
}

export interface ResourceRecord {
  /** As a question's. */
  readonly name: string
  readonly type: number
  readonly class: number
  readonly ttl: number
  readonly data: Uint8Array
  /** Where it begins in the message. */
  readonly offset: number
}

export interface Message {
  readonly id: number
  /** The header's second word. */
  readonly flags: number
  readonly opcode: number
  /** Without the extension of EDNS. */
  readonly rcode: number
  readonly questions: readonly Question[]
  readonly answers: readonly ResourceRecord[]
  readonly authorities: readonly ResourceRecord[]
  readonly additionals: readonly ResourceRecord[]
}

/** More than any message of ours has. */
const MaxRecords = 2048

/** @throws DecodeError `dns-message-malformed` */
export function readMessage(bytes: Uint8Array): Message {
  if (bytes.length < HeaderBytes) throw malformed('is too short')
  const view = viewOf(bytes)
  const [questionCount = 0, ...counts] = [4, 6, 8, 10].map((at) => view.getUint16(at))
  if (questionCount + counts.reduce((sum, count) => sum + count, 0) > MaxRecords)
    throw malformed('is too long')
  const reader = new Reader(bytes, HeaderBytes)
  const questions = Array.from({ length: questionCount }, () => reader.question())
  const [answers = [], authorities = [], additionals = []] = counts.map((count) =>
    Array.from({ length: count }, () => reader.record()),
  )
  if (reader.offset !== bytes.length) throw malformed('has bytes behind its end')
  const flags = view.getUint16(2)
  const id = view.getUint16(0)
  const [opcode, rcode] = [(flags >> 11) & 15, flags & 15]
  return { id, flags, opcode, rcode, questions, answers, authorities, additionals }
}

/** An identifier that can be looked at before the message is read, or undefined. */
export function messageId(bytes: Uint8Array): number | undefined {
  return bytes.length < HeaderBytes ? undefined : viewOf(bytes).getUint16(0)
}

/** The character-strings of a TXT record's data, joined (RFC 1035 section 3.3.14). Undefined where malformed. */
export function readTxt(data: Uint8Array): Uint8Array | undefined {
  const joined = new Uint8Array(data.length)
  let length = 0
  for (let at = 0; at < data.length; ) {
    const stringLength = data[at] ?? 0
    if (at + 1 + stringLength > data.length) return undefined
    joined.set(data.subarray(at + 1, at + 1 + stringLength), length)
    length += stringLength
    at += 1 + stringLength
  }
  return joined.slice(0, length)
}

/** Data of a TXT record: any bytes, in character-strings of at most 255. */
export function writeTxt(bytes: Uint8Array): Uint8Array {
  const strings: Buffer[] = []
  for (let at = 0; at < bytes.length || at === 0; at += 255) {
    strings.push(Buffer.from(bytes.subarray(at, at + 255)))
  }
  return recordData({ type: 'TXT', name: '.', data: strings })
}

/** A record's data as dns-packet writes it. */
export function recordData(answer: Answer): Uint8Array {
  // Behind the header: the root's name, type, class, time to live, length.
  return encode({ type: 'response', answers: [{ ...answer, name: '.' }] }).subarray(HeaderBytes + 11)
}

/** A question with EDNS (RFC 6891), and recursion desired: a server that has none ignores that. */
export function writeQuery(id: number, name: string, type: 'TXT' | 'SOA'): Uint8Array {
  // It throws for what dns-packet would write wrongly.
  nameBytes(name)
  return encode({
    type: 'query',
    id,
    flags: Flag.RD,
    questions: [{ type, name }],
    additionals: [edns()],
  })
}

/** @param extendedRcode the upper eight bits of twelve */
export function edns(extendedRcode = 0): Answer {
  return {
    type: 'OPT',
    name: '.',
    udpPayloadSize: UdpPayloadBytes,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  }
}

export interface RecordFields {
  readonly name: string
  readonly type: number
  readonly class: number
  readonly ttl: number
  readonly data: Uint8Array
}

/** A record of any class, of which dns-packet knows only some (NONE of RFC 2136 not). */
export function writeRecord({ name, type, class: recordClass, ttl, data }: RecordFields): Uint8Array {
  const owner = nameBytes(name)
  const bytes = new Uint8Array(owner.length + 10 + data.length)
  bytes.set(owner)
  const view = viewOf(bytes)
  view.setUint16(owner.length, type)
  view.setUint16(owner.length + 2, recordClass)
  view.setUint32(owner.length + 4, ttl)
  view.setUint16(owner.length + 8, data.length)
  bytes.set(data, owner.length + 10)
  return bytes
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  offset: number

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.offset = offset
  }

  question(): Question {
    const start = this.offset
    const name = this.#name()
    this.#need(4)
    const [type, questionClass] = [this.#view.getUint16(this.offset), this.#view.getUint16(this.offset + 2)]
    this.offset += 4
    return { name, type, class: questionClass, bytes: this.#bytes.subarray(start, this.offset) }
  }

  record(): ResourceRecord {
    const offset = this.offset
    const name = this.#name()
    this.#need(10)
    const at = this.offset
    const [type, recordClass] = [this.#view.getUint16(at), this.#view.getUint16(at + 2)]
    const [ttl, length] = [this.#view.getUint32(at + 4), this.#view.getUint16(at + 8)]
    this.offset += 10
    this.#need(length)
    const data = this.#bytes.subarray(this.offset, this.offset + length)
    this.offset += length
    return { name, type, class: recordClass, ttl, data, offset }
  }

  #name(): string {
    const { name, end } = readName(this.#bytes, this.offset)
    this.offset = end
    return name
  }

  #need(count: number): void {
    if (this.offset + count > this.#bytes.length) throw malformed('ends too early')
  }
}

/**
 * A name that may be compressed (RFC 1035 section 4.1.4). A pointer leads back, before where it is read from.
 * @throws DecodeError `dns-message-malformed`
 */
export function readName(bytes: Uint8Array, start: number): { readonly name: string; readonly end: number } {
  let text = ''
  let length = 1
  let at = start
  let limit = start
  let end: number | undefined
  for (;;) {
    const first = bytes[at]
    if (first === undefined) throw malformed('ends in a name')
    if (first === 0) return { name: text, end: end ?? at + 1 }
    if (first >= 0xc0) {
      const second = bytes[at + 1]
      if (second === undefined) throw malformed('ends in a name')
      end ??= at + 2
      at = ((first & 0x3f) << 8) | second
      if (at >= limit) throw malformed('has a name that points forward')
      limit = at
      continue
    }
    if (first >= 0x40) throw malformed('has a name of an unknown kind')
    length += first + 1
    if (length > MaxNameBytes) throw malformed('has a name that is too long')
    if (at + 1 + first > bytes.length) throw malformed('ends in a name')
    const label = labelText(bytes.subarray(at + 1, at + 1 + first))
    text = text === '' ? label : `${text}.${label}`
    at += 1 + first
  }
}

function labelText(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    const isUpper = byte >= 0x41 && byte <= 0x5a
    const character = String.fromCharCode(isUpper ? byte + 0x20 : byte)
    text += /[0-9a-z_-]/.test(character) ? character : `\\${String(byte).padStart(3, '0')}`
  }
  return text
}

/** The OPT record of a message (RFC 6891 section 6.1), or undefined. */
export function ednsOf({
  additionals,
}: Message): { readonly udpPayloadBytes: number; readonly version: number } | undefined {
  const record = additionals.find(({ type }) => type === Type.OPT)
  return record && { udpPayloadBytes: record.class, version: (record.ttl >>> 16) & 255 }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function malformed(how: string): DecodeError {
  return new DecodeError('dns-message-malformed', `a DNS message ${how}`)
}
