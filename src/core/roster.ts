/**
 * Who is in a room: the host's signed snapshot, numbered (term, version). The term is the counter of the
 * host's epoch when it began to host, so that a restarted host's rosters are newer than its earlier ones
 * (docs/protocol.md, Roster).
 */
import { concatenate, fromUtf8, utf8 } from './encoding.js'
import { DecodeError } from './errors.js'
import { nameProblem } from './identity.js'
import type { Crypto } from './ports.js'
import type { RoomId } from './room-id.js'

const Context = 'gonet/1 roster\n'
const FormatVersion = 1
const SignatureBytes = 64
const HeaderBytes = 11
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

export interface Roster {
  readonly term: number
  readonly version: number
  /** The host first, then in the order in which they came. */
  readonly members: readonly RosterMember[]
}

/** Whether roster a is newer than b. */
export function isNewer(a: RosterNumber, b: RosterNumber): boolean {
  return a.term > b.term || (a.term === b.term && a.version > b.version)
}

export type RosterNumber = Pick<Roster, 'term' | 'version'>

/**
 *     1 ‖ term (4) ‖ version (4) ‖ members (2) ‖ member… ‖ signature (64)
 *     member = key (32) ‖ IPv4 (4) ‖ flags (1, bit 0: online) ‖ name bytes (1) ‖ name
 *
 * Numbers are big-endian; the host's signature is over "gonet/1 roster\n", the room id, "\n" and all before it.
 */
export function writeRoster(
  sign: (bytes: Uint8Array) => Uint8Array,
  room: RoomId,
  roster: Roster,
): Uint8Array {
  const header = new Uint8Array(HeaderBytes)
  const view = new DataView(header.buffer)
  view.setUint8(0, FormatVersion)
  view.setUint32(1, roster.term)
  view.setUint32(5, roster.version)
  view.setUint16(9, roster.members.length)
  const members = roster.members.map((member) => {
    const name = utf8(member.name)
    const address = Uint8Array.from(member.address.split('.'), Number)
    return concatenate(member.publicKey, address, Uint8Array.of(Number(member.online), name.length), name)
  })
  const body = concatenate(header, ...members)
  return concatenate(body, sign(signedBytes(room, body)))
}

/**
 * Reads a snapshot and verifies that the host signed it for this room.
 * @throws DecodeError `roster-…`
 */
export function readRoster(
  crypto: Pick<Crypto, 'verify'>,
  hostKey: Uint8Array,
  room: RoomId,
  bytes: Uint8Array,
): Roster {
  const end = bytes.length - SignatureBytes
  if (end < HeaderBytes || bytes.length > MaxRosterBytes || bytes[0] !== FormatVersion) {
    throw new DecodeError('roster-form', 'not a roster of version 1')
  }
  const body = bytes.subarray(0, end)
  if (!crypto.verify(signedBytes(room, body), bytes.subarray(end), hostKey)) {
    throw new DecodeError('roster-signature-wrong', 'roster is not signed by the host of this room')
  }
  const view = new DataView(body.buffer, body.byteOffset, body.length)
  const members: RosterMember[] = []
  let offset = HeaderBytes
  for (let left = view.getUint16(9); left > 0; left -= 1) {
    const nameEnd = offset + 38 + (body[offset + 37] ?? 0)
    const name = offset + 38 <= end ? fromUtf8(body.subarray(offset + 38, nameEnd)) : undefined
    if (name === undefined || nameEnd > end || nameProblem(name) !== undefined) {
      throw new DecodeError('roster-member', 'a member of the roster is not of its form')
    }
    members.push({
      publicKey: body.slice(offset, offset + 32),
      address: body.subarray(offset + 32, offset + 36).join('.'),
      online: ((body[offset + 36] ?? 0) & 1) === 1,
      name,
    })
    offset = nameEnd
  }
  if (offset !== end) throw new DecodeError('roster-form', 'bytes after the last member')
  return { term: view.getUint32(1), version: view.getUint32(5), members }
}

function signedBytes(room: RoomId, body: Uint8Array): Uint8Array {
  return concatenate(utf8(`${Context}${room}\n`), body)
}
