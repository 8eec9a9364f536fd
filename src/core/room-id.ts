import { UsageError } from './errors.js'
import { keyHash } from './identity.js'
import type { Crypto } from './ports.js'

const DefaultDigits = 20
const MinDigits = 6
const MaxDigits = 128

/** The id of a room in its canonical form: 6 to 128 lower-case hex digits. */
export type RoomId = string

/**
 * Reads a room id as people type it: dashes, spaces and case do not matter.
 * @throws UsageError `room-id-invalid` with the reason
 */
export function parseRoomId(text: string): RoomId {
  const digits = text.replace(/[-\s]/g, '').toLowerCase()
  const advice = 'A room id is 6 to 128 hex digits, such as cf83-e135-7eef-b8bd-f154'
  const stranger = /[^0-9a-f]/u.exec(digits)
  if (stranger !== null) {
    throw new UsageError(
      'room-id-invalid',
      `'${abridge(text)}' is not a room id: '${stranger[0]}' is not a hex digit`,
      { advice },
    )
  }
  if (digits.length < MinDigits) {
    throw new UsageError(
      'room-id-invalid',
      `'${abridge(text)}' is not a room id: it has fewer than ${MinDigits} digits`,
      { advice },
    )
  }
  if (digits.length > MaxDigits) {
    throw new UsageError(
      'room-id-invalid',
      `'${abridge(text)}' is not a room id: it has more than ${MaxDigits} digits`,
      { advice },
    )
  }
  return digits
}

/** The canonical id of a room whose host chose none: the first 20 digits of its key's hash, 80 bits. */
export function defaultRoomId(crypto: Pick<Crypto, 'sha512'>, hostKey: Uint8Array): RoomId {
  return keyHash(crypto, hostKey).slice(0, DefaultDigits)
}

/** Whether a host key may speak for a room: the id is a substring of the key's SHA-512 in hex. */
export function roomIdMatches(crypto: Pick<Crypto, 'sha512'>, room: RoomId, hostKey: Uint8Array): boolean {
  return keyHash(crypto, hostKey).includes(room)
}

/**
 * How much work it takes to find another key for a room id, as the binary logarithm of the keys to try: the id
 * may stand anywhere in a key's hash.
 */
export function roomIdStrengthBits(room: RoomId): number {
  return 4 * room.length - Math.log2(MaxDigits + 1 - room.length)
}

/** Whether somebody else may have found a key for it. */
export function isWeakRoomId(room: RoomId): boolean {
  return roomIdStrengthBits(room) < 64
}

/** Grouped by four, for reading aloud: `cf83-e135-7eef-b8bd-f154`. */
export function formatRoomId(room: RoomId): string {
  return room.replace(/(.{4})(?=.)/g, '$1-')
}

function abridge(text: string): string {
  const printable = text.replace(/[\p{Cc}\p{Cf}]/gu, '?')
  return printable.length > 40 ? `${printable.slice(0, 37)}...` : printable
}
