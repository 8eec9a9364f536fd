/** Records of a box as one TXT record of a zone that gonet serves: resolvers keep no order among several. */
import { concatenate, fromUtf8, utf8 } from '../../core/encoding.js'
import { DecodeError } from '../../core/errors.js'
import { viewOf } from './message.js'
import { Sender } from './names.js'
import { type Cursor, CursorBytes } from './question-name.js'
import type { FoundRecord } from './store.js'
import { dnsTraits } from './traits.js'

export interface Page {
  /** Where the next one goes on. */
  readonly cursor: Cursor
  /** Whether there is more now. */
  readonly hasMore: boolean
  readonly records: readonly FoundRecord[]
}

const Version = 1
const MaxExpiryMs = 2 ** 32 - 1

export function writePage({ cursor, hasMore, records }: Page): Uint8Array {
  return concatenate(
    Uint8Array.of(Version),
    cursor,
    Uint8Array.of(hasMore ? 1 : 0),
    ...records.map(writeRecord),
  )
}

/** How many bytes a record takes in a page. */
export function pagedLength({ sender, bytes }: Pick<FoundRecord, 'sender' | 'bytes'>): number {
  return 7 + sender.length + bytes.length
}

function writeRecord({ sender, bytes, expiresInMs }: FoundRecord): Uint8Array {
  const head = new Uint8Array(7)
  const view = viewOf(head)
  view.setUint8(0, sender.length)
  view.setUint32(1, Math.min(MaxExpiryMs, Math.max(0, Math.round(expiresInMs))))
  view.setUint16(5, bytes.length)
  return concatenate(head, utf8(sender), bytes)
}

/** @throws DecodeError `dns-page-malformed` */
export function readPage(bytes: Uint8Array): Page {
  const start = 2 + CursorBytes
  if (bytes.length < start || bytes[0] !== Version) throw malformed()
  const view = viewOf(bytes)
  const records: FoundRecord[] = []
  for (let at = start; at < bytes.length; ) {
    if (at + 7 > bytes.length) throw malformed()
    const [senderLength, expiresInMs, length] = [
      view.getUint8(at),
      view.getUint32(at + 1),
      view.getUint16(at + 5),
    ]
    const behindSender = at + 7 + senderLength
    if (behindSender + length > bytes.length || length > dnsTraits.maxRecordBytes) throw malformed()
    const sender = fromUtf8(bytes.subarray(at + 7, behindSender))
    if (sender === undefined || !Sender.test(sender)) throw malformed()
    records.push({ sender, expiresInMs, bytes: bytes.slice(behindSender, behindSender + length) })
    at = behindSender + length
  }
  return { cursor: bytes.slice(1, 1 + CursorBytes), hasMore: bytes[1 + CursorBytes] === 1, records }
}

function malformed(): DecodeError {
  return new DecodeError('dns-page-malformed', 'the answer is none of a gonet server')
}
