/** One step of a roster: what became of which members, chained to the step before (docs/protocol.md, Roster). */
import { concatenate, toBase64, utf8 } from './encoding.js'
import { DecodeError } from './errors.js'
import type { Crypto } from './ports.js'
import type { RoomId } from './room-id.js'
import {
  LinkBytes,
  type RosterMember,
  type RosterNumber,
  readMembers,
  readNumber,
  writeMember,
  writeNumber,
} from './roster.js'

const Context = 'gonet/1 roster change\n'
const FormatVersion = 1
const SignatureBytes = 64
const HeaderBytes = 43
/** A change fits into a datagram; what does not becomes several. */
export const MaxChangeBytes = 1000

export interface ChangedMember extends RosterMember {
  /** Taken off the roster, with which it has no state any more. */
  readonly removed: boolean
}

export interface RosterChange extends RosterNumber {
  /** The link of the version before; zero bytes for the first of a term. */
  readonly previous: Uint8Array
  readonly members: readonly ChangedMember[]
}

/** A change as it was read or written, and the link that it adds to the chain. */
export interface LinkedChange {
  readonly change: RosterChange
  readonly link: Uint8Array
}

/** What stands before the first change of a term. */
export const NoLink: Uint8Array = new Uint8Array(LinkBytes)

/**
 *     1 ‖ term (4) ‖ version (4) ‖ previous link (32) ‖ members (2) ‖ member… ‖ signature (64)
 *
 * A member is as in a roster, with bit 1 of its flags: removed. The host's signature is over
 * "gonet/1 roster change\n", the room id, "\n" and all before it; the link is the SHA-256 of the same.
 */
export function writeChange(
  crypto: Pick<Crypto, 'sha256'>,
  sign: (bytes: Uint8Array) => Uint8Array,
  room: RoomId,
  change: RosterChange,
): LinkedChange & { readonly bytes: Uint8Array } {
  const count = Uint8Array.of(change.members.length >> 8, change.members.length & 255)
  const members = change.members.map((member) => writeMember(member, member.removed))
  const body = concatenate(writeNumber(FormatVersion, change), change.previous, count, ...members)
  const signed = signedBytes(room, body)
  return { change, link: crypto.sha256(signed), bytes: concatenate(body, sign(signed)) }
}

/**
 * Reads a change and verifies that the host signed it for this room.
 * @throws DecodeError `roster-form`, `roster-signature-wrong`, `roster-member`
 */
export function readChange(
  crypto: Pick<Crypto, 'sha256' | 'verify'>,
  hostKey: Uint8Array,
  room: RoomId,
  bytes: Uint8Array,
): LinkedChange {
  const end = bytes.length - SignatureBytes
  if (end < HeaderBytes || bytes.length > MaxChangeBytes || bytes[0] !== FormatVersion) {
    throw new DecodeError('roster-form', `not a change of a roster of version ${FormatVersion}`)
  }
  const body = bytes.subarray(0, end)
  const signed = signedBytes(room, body)
  if (!crypto.verify(signed, bytes.subarray(end), hostKey)) {
    throw new DecodeError('roster-signature-wrong', 'change is not signed by the host of this room')
  }
  const previous = body.slice(9, 9 + LinkBytes)
  const change = { ...readNumber(body), previous, members: readMembers(body, 9 + LinkBytes) }
  return { change, link: crypto.sha256(signed) }
}

/** The members, by key in base64, after some of them have changed: whoever is new comes last. */
export function applyChange(
  members: ReadonlyMap<string, RosterMember>,
  changed: readonly ChangedMember[],
): Map<string, RosterMember> {
  const after = new Map(members)
  for (const { removed, ...member } of changed) {
    const key = toBase64(member.publicKey)
    if (removed) after.delete(key)
    else after.set(key, member)
  }
  return after
}

/** What leads from some members to others, in pieces that each fit into one change. */
export function changesBetween(
  before: ReadonlyMap<string, RosterMember>,
  after: readonly RosterMember[],
): readonly (readonly ChangedMember[])[] {
  const keys = new Set(after.map(({ publicKey }) => toBase64(publicKey)))
  const gone = Array.from(before).filter(([key]) => !keys.has(key))
  const changed = [
    ...gone.map(([, member]) => ({ ...member, online: false, removed: true })),
    ...after
      .filter((member) => !isSameMember(before.get(toBase64(member.publicKey)), member))
      .map((member) => ({ ...member, removed: false })),
  ]
  const pieces: ChangedMember[][] = []
  let room = 0
  for (const member of changed) {
    const length = writeMember(member).length
    if (length > room) {
      pieces.push([])
      room = MaxChangeBytes - HeaderBytes - SignatureBytes
    }
    room -= length
    pieces.at(-1)?.push(member)
  }
  return pieces
}

function isSameMember(before: RosterMember | undefined, { name, address, online }: RosterMember): boolean {
  return before?.name === name && before.address === address && before.online === online
}

function signedBytes(room: RoomId, body: Uint8Array): Uint8Array {
  return concatenate(utf8(`${Context}${room}\n`), body)
}
