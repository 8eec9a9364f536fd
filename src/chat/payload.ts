/**
 * What replicas say to each other, in datagrams of at most 1000 bytes (docs/protocol.md, Chat):
 *
 *     lines      1 ‖ flags (1) ‖ digest (8) ‖ line…
 *     line       author (32) ‖ incarnation (8) ‖ have (4) ‖ head (8) ‖ beyond (4) ‖ delivered (4)
 *                ‖ floor (4) ‖ floor hash (32) ‖ floor Lamport time (6)
 *     fragment   2 ‖ entry (16, the start of its hash) ‖ index (1) ‖ count (1) ‖ bytes
 */
import { concatenate, toHex } from '../core/encoding.js'
import { DecodeError } from '../core/errors.js'
import { type Entry, hashBytes, LargestEntryBytes } from './entry.js'
import { type Base, BaseBytes, DigestBytes, getBase, HeadBytes, StreamBytes, setBase } from './vector.js'

export const MaxPayloadBytes = 1000

const Type = { Lines: 1, Fragment: 2 } as const
const Flag = { Ask: 1, Whole: 2 } as const
const LinesHeaderBytes: number = 2 + DigestBytes
const LineBytes: number = StreamBytes + 12 + HeadBytes + BaseBytes
const FragmentHeaderBytes = 19
const FragmentIdBytes = 16
const FragmentBytes: number = MaxPayloadBytes - FragmentHeaderBytes
const MaxFragments: number = Math.ceil(LargestEntryBytes / FragmentBytes)

/** How many lines fit into a datagram. */
export const MaxLines: number = Math.floor((MaxPayloadBytes - LinesHeaderBytes) / LineBytes)

/** What a replica has of one stream. */
export interface VectorLine {
  /** Author and incarnation, in hex. */
  readonly stream: string
  /** The highest sequence up to which there is no gap, the floor included. */
  readonly have: number
  /** The start of the hash of the entry `have`, in hex; zeros where have is 0. */
  readonly head: string
  /** Bit k: it also has sequence have + 2 + k. */
  readonly beyond: number
  /** The highest sequence that every member online has, as the hub tells the author, and the author back; else 0. */
  readonly delivered: number
  /** What the sender cannot give any more, or does not give to this reader; undefined where it has all. */
  readonly floor: Base | undefined
}

export interface LinesPayload {
  readonly type: 'lines'
  /** Whether the sender wants to know what the reader has. */
  readonly ask: boolean
  /** Whether the sender has said now all that it has. */
  readonly whole: boolean
  /** Over everything that the sender has, in hex. */
  readonly digest: string
  readonly lines: readonly VectorLine[]
}

export interface FragmentPayload {
  readonly type: 'fragment'
  /** The start of the entry's hash, in hex. */
  readonly entry: string
  readonly index: number
  readonly count: number
  readonly bytes: Uint8Array
}

/** @param payload of at most `MaxLines` lines */
export function writeLines({ ask, whole, digest, lines }: Omit<LinesPayload, 'type'>): Uint8Array {
  const bytes = new Uint8Array(LinesHeaderBytes + lines.length * LineBytes)
  const view = new DataView(bytes.buffer)
  bytes[0] = Type.Lines
  bytes[1] = (ask ? Flag.Ask : 0) | (whole ? Flag.Whole : 0)
  bytes.set(hashBytes(digest, DigestBytes), 2)
  lines.forEach((line, index) => writeLine(bytes, view, LinesHeaderBytes + index * LineBytes, line))
  return bytes
}

/** Cuts an entry into the payloads that carry it. */
export function fragmentEntry({ hash, bytes }: Entry): readonly Uint8Array[] {
  const count = Math.ceil(bytes.length / FragmentBytes)
  const id = hashBytes(hash, FragmentIdBytes)
  return Array.from({ length: count }, (_, index) => {
    const piece = bytes.subarray(index * FragmentBytes, (index + 1) * FragmentBytes)
    return concatenate(Uint8Array.of(Type.Fragment), id, Uint8Array.of(index, count), piece)
  })
}

/** Whether a payload says something that was posted, rather than what its sender has. */
export function carriesEntry(payload: Uint8Array): boolean {
  return payload[0] === Type.Fragment
}

/** @throws DecodeError `chat-payload` */
export function readPayload(bytes: Uint8Array): LinesPayload | FragmentPayload {
  if (bytes.length > MaxPayloadBytes) throw invalid()
  if (bytes[0] === Type.Lines) return readLines(bytes)
  if (bytes[0] === Type.Fragment) return readFragment(bytes)
  throw invalid()
}

function readLines(bytes: Uint8Array): LinesPayload {
  const flags = bytes[1] ?? 0
  const size = bytes.length - LinesHeaderBytes
  if (size < 0 || size % LineBytes !== 0 || flags > (Flag.Ask | Flag.Whole)) throw invalid()
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const lines = Array.from({ length: size / LineBytes }, (_, index) =>
    readLine(bytes, view, LinesHeaderBytes + index * LineBytes),
  )
  return {
    type: 'lines',
    ask: (flags & Flag.Ask) !== 0,
    whole: (flags & Flag.Whole) !== 0,
    digest: toHex(bytes.subarray(2, LinesHeaderBytes)),
    lines,
  }
}

function writeLine(bytes: Uint8Array, view: DataView, offset: number, line: VectorLine): void {
  bytes.set(hashBytes(line.stream, StreamBytes), offset)
  view.setUint32(offset + 40, line.have)
  bytes.set(hashBytes(line.head, HeadBytes), offset + 44)
  view.setUint32(offset + 52, line.beyond)
  view.setUint32(offset + 56, line.delivered)
  if (line.floor !== undefined) setBase(view, offset + 60, line.floor)
}

function readLine(bytes: Uint8Array, view: DataView, offset: number): VectorLine {
  const have = view.getUint32(offset + 40)
  const floor = getBase(view, offset + 60)
  if (floor !== undefined && floor.sequence > have) throw invalid()
  return {
    stream: toHex(bytes.subarray(offset, offset + StreamBytes)),
    have,
    head: toHex(bytes.subarray(offset + 44, offset + 52)),
    beyond: view.getUint32(offset + 52),
    delivered: view.getUint32(offset + 56),
    floor,
  }
}

function readFragment(bytes: Uint8Array): FragmentPayload {
  const [index = 0, count = 0] = bytes.subarray(1 + FragmentIdBytes, FragmentHeaderBytes)
  if (bytes.length <= FragmentHeaderBytes || count > MaxFragments || index >= count) throw invalid()
  // Only the last piece may be short, so that no entry comes in more pieces than it must.
  if (index < count - 1 && bytes.length < MaxPayloadBytes) throw invalid()
  return {
    type: 'fragment',
    entry: toHex(bytes.subarray(1, 1 + FragmentIdBytes)),
    index,
    count,
    bytes: bytes.subarray(FragmentHeaderBytes),
  }
}

function invalid(): DecodeError {
  return new DecodeError('chat-payload', 'not a payload of the chat')
}
