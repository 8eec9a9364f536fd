/**
 * Records as TXT data. A record is cut into fragments, one TXT resource record each, one to a packet, so that
 * no packet needs IP fragmentation. The first character string of a fragment says whose and which part it is:
 * `1 <sender> <digest> <index> <count>`; the strings after it are the part. The digest is the first half of
 * the record's SHA-256, in hex.
 */
import { createHash } from 'node:crypto'
import { mdnsTraits } from './traits.js'

/** With the names around it, a packet stays under 1400 bytes. All fragments but the last have this size. */
export const FragmentBytes = 1100
export const MaxFragments: number = Math.ceil(mdnsTraits.maxRecordBytes / FragmentBytes)
/** RFC 1035 section 3.3: a character string. */
const MaxStringBytes = 255
const Head = /^1 ([0-9a-z]{1,64}) ([0-9a-f]{32}) ([0-9]) ([1-9])$/

export interface Fragment {
  readonly sender: string
  /** Of the whole record. */
  readonly digest: string
  /** From 0. */
  readonly index: number
  readonly count: number
  readonly bytes: Uint8Array
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32)
}

/** The TXT data of each fragment of a record, as lists of character strings. */
export function encodeRecord(sender: string, bytes: Uint8Array): Buffer[][] {
  const digest = digestOf(bytes)
  const parts = cut(bytes, FragmentBytes)
  return parts.map((part, index) => [
    Buffer.from(`1 ${sender} ${digest} ${index} ${parts.length}`),
    ...(part.length === 0 ? [] : cut(part, MaxStringBytes)),
  ])
}

/** Reads TXT data from the network; undefined where it is none of ours. */
export function decodeFragment(strings: readonly Uint8Array[]): Fragment | undefined {
  const [head, ...parts] = strings
  if (head === undefined || head.length > MaxStringBytes) return undefined
  const match = Head.exec(Buffer.from(head.buffer, head.byteOffset, head.length).toString('latin1'))
  if (match === null) return undefined
  const [, sender = '', digest = '', index, count] = match
  const fragment = { sender, digest, index: Number(index), count: Number(count) }
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const isLast = fragment.index === fragment.count - 1
  if (fragment.count > MaxFragments || fragment.index >= fragment.count) return undefined
  if (isLast ? length > FragmentBytes : length !== FragmentBytes) return undefined
  return { ...fragment, bytes: new Uint8Array(Buffer.concat(parts)) }
}

/** Pieces of at most `size` bytes; one empty piece for no bytes. */
function cut(bytes: Uint8Array, size: number): Buffer[] {
  const count = Math.max(1, Math.ceil(bytes.length / size))
  return Array.from({ length: count }, (_, index) =>
    Buffer.from(bytes.subarray(index * size, (index + 1) * size)),
  )
}
