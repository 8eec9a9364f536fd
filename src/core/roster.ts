/**
 * Who is in a room: the host's signed snapshot, numbered (term, version), and the link of the chain of changes
 * that led to it. The term is the counter of the host's epoch when it began to host, so that a restarted host's
 * rosters are newer than its earlier ones (docs/protocol.md, Roster).
 */
import { concatenate, fromUtf8, utf8 } from './encoding.js'
import { DecodeError } from './errors.js'
import { nameProblem } from './identity.js'
import type { Crypto } from './ports.js'
import type { RoomId } from './room-id.js'

const Context = 'gonet/1 roster\n'
const FormatVersion = 2
const SignatureBytes = 64
const HeaderBytes = 43
const NumberBytes = 9
/** SHA-256 of a change. */
export const LinkBytes = 32
/** Members in a snapshot, the host and those that have left included. */
export const MaxRosterMembers = 2048
export const MaxRosterBytes: number = 512 * 1024

export interface RosterMember {
  readonly publicKey: Uint8Array
  readonly name: string
  /** Overlay IPv4 address, dotted. */
  readonly address: string
  readonly online: boolean
}

export interface Roster extends RosterNumber {
  /** The hash of the change that made this version. */
  readonly link: Uint8Array
  /** The host first, then in the order in which they came. */
  readonly members: readonly RosterMember[]
}

export interface RosterNumber {
  readonly term: number
  readonly version: number
}

/** Whether roster a is newer than b. */
export function isNewer(a: RosterNumber, b: RosterNumber): boolean {
  return a.term > b.term || (a.term === b.term && a.version > b.version)
}

/** Whether two rosters say the same, number and link included. */
export function isSameRoster(a: Roster, b: Roster): boolean {
  const [left, right] = [rosterBody(a), rosterBody(b)]
  return left.length === right.length && left.every((byte, index) => byte === right[index])
}

/**
 *     2 ‖ term (4) ‖ version (4) ‖ link (32) ‖ members (2) ‖ member… ‖ signature (64)
 *     member = key (32) ‖ IPv4 (4) ‖ flags (1, bit 0: online) ‖ name bytes (1) ‖ name
 *
 * Numbers are big-endian; the host's signature is over "gonet/1 roster\n", the room id, "\n" and all before it.
 */
export function writeRoster(
  sign: (bytes: Uint8Array) => Uint8Array,
  room: RoomId,
  roster: Roster,
): Uint8Array {
  const body = rosterBody(roster)
  return concatenate(body, sign(signedBytes(room, body)))
}

/**
 * Reads a snapshot and verifies that the host signed it for this room.
 * @throws DecodeError `roster-form`, `roster-signature-wrong`, `roster-member`
 */
export function readRoster(
  crypto: Pick<Crypto, 'verify'>,
  hostKey: Uint8Array,
  room: RoomId,
  bytes: Uint8Array,
): Roster {
  const end = bytes.length - SignatureBytes
  if (end < HeaderBytes || bytes.length > MaxRosterBytes || bytes[0] !== FormatVersion) {
    throw new DecodeError('roster-form', `not a roster of version ${FormatVersion}`)
  }
  const body = bytes.subarray(0, end)
  if (!crypto.verify(signedBytes(room, body), bytes.subarray(end), hostKey)) {
    throw new DecodeError('roster-signature-wrong', 'roster is not signed by the host of this room')
  }
  const link = body.slice(NumberBytes, NumberBytes + LinkBytes)
  const members = readMembers(body, NumberBytes + LinkBytes)
  return {
    ...readNumber(body),
    link,
    members: members.map(({ publicKey, name, address, online }) => ({ publicKey, name, address, online })),
  }
}

/** The form's version, term and version, with which snapshots and changes begin. */
export function writeNumber(form: number, { term, version }: RosterNumber): Uint8Array {
  const bytes = new Uint8Array(NumberBytes)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, form)
  view.setUint32(1, term)
  view.setUint32(5, version)
  return bytes
}

export function readNumber(bytes: Uint8Array): RosterNumber {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return { term: view.getUint32(1), version: view.getUint32(5) }
}

/** @param removed whether the member is taken off: in changes only */
export function writeMember(member: RosterMember, removed = false): Uint8Array {
  const name = utf8(member.name)
  const address = Uint8Array.from(member.address.split('.'), Number)
  const flags = Number(member.online) | (Number(removed) << 1)
  return concatenate(member.publicKey, address, Uint8Array.of(flags, name.length), name)
}

/**
 * Reads a count (2) and as many members, up to the end of the bytes.
 * @throws DecodeError `roster-form`, `roster-member`
 */
export function readMembers(
  bytes: Uint8Array,
  start: number,
): readonly (RosterMember & { readonly removed: boolean })[] {
  const end = bytes.length
  const members: (RosterMember & { readonly removed: boolean })[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, end)
  let offset = start + 2
  for (let left = view.getUint16(start); left > 0; left -= 1) {
    const nameEnd = offset + 38 + (bytes[offset + 37] ?? 0)
    const name = offset + 38 <= end ? fromUtf8(bytes.subarray(offset + 38, nameEnd)) : undefined
    if (name === undefined || nameEnd > end || nameProblem(name) !== undefined) {
      throw new DecodeError('roster-member', 'a member of the roster is not of its form')
    }
    const flags = bytes[offset + 36] ?? 0
    members.push({
      publicKey: bytes.slice(offset, offset + 32),
      address: bytes.subarray(offset + 32, offset + 36).join('.'),
      online: (flags & 1) === 1,
      removed: (flags & 2) === 2,
      name,
    })
    offset = nameEnd
  }
  if (offset !== end) throw new DecodeError('roster-form', 'bytes after the last member')
  return members
}

function rosterBody(roster: Roster): Uint8Array {
  const count = Uint8Array.of(roster.members.length >> 8, roster.members.length & 255)
  const members = roster.members.map((member) => writeMember(member))
  return concatenate(writeNumber(FormatVersion, roster), roster.link, count, ...members)
}

function signedBytes(room: RoomId, body: Uint8Array): Uint8Array {
  return concatenate(utf8(`${Context}${room}\n`), body)
}
