/** How people name a room to each other: its id, its host's whole key, or a link (docs/protocol.md, Links). */
import { fromBase64, toBase64 } from './encoding.js'
import { UsageError } from './errors.js'
import type { Crypto } from './ports.js'
import { defaultRoomId, parseRoomId, type RoomId, roomIdMatches } from './room-id.js'

const LinkStart = 'gonet://join/'
const MaxSignals = 8

export interface RoomReference {
  readonly room: RoomId
  /** The only host key to accept, where the reference names it. */
  readonly hostKey?: Uint8Array
  /** The first digits of the hash of the host's key, where the reference names those. */
  readonly hostDigits?: string
  /** Names of signalling backends, as a hint. */
  readonly signal?: readonly string[]
}

/** `gonet://join/<room>?key=<base64>&signal=<name>,<name>`: it holds no secret. */
export function formatLink(reference: Required<Omit<RoomReference, 'hostDigits'>>): string {
  const key = encodeURIComponent(toBase64(reference.hostKey))
  return `${LinkStart}${reference.room}?key=${key}&signal=${reference.signal.join(',')}`
}

/**
 * Reads a room id, a room id with the first digits of its host's key hash behind a slash, a `gonet://` link, or a
 * host's public key in base64, which means its default room.
 * @throws UsageError `room-id-invalid`, `link-invalid`
 */
export function parseRoomReference(crypto: Pick<Crypto, 'sha512'>, text: string): RoomReference {
  const trimmed = text.trim()
  if (/^gonet:/i.test(trimmed)) return parseLink(crypto, trimmed)
  const hostKey = fromBase64(trimmed, 32)
  if (hostKey !== undefined) return { room: defaultRoomId(crypto, hostKey), hostKey }
  const [id = '', digits, ...rest] = trimmed.split('/')
  if (digits === undefined) return { room: parseRoomId(id) }
  const hostDigits = digits.toLowerCase()
  if (rest.length > 0 || !/^[0-9a-f]{4,128}$/.test(hostDigits)) {
    throw new UsageError('room-id-invalid', 'What stands behind the slash are not digits of a host', {
      advice: 'Write the room id, a slash, and 4 or more hex digits, as they were shown',
    })
  }
  return { room: parseRoomId(id), hostDigits }
}

function parseLink(crypto: Pick<Crypto, 'sha512'>, text: string): RoomReference {
  if (!text.startsWith(LinkStart) || text.length > 1024) throw invalid('it does not begin with gonet://join/')
  const [path = '', query = ''] = text.slice(LinkStart.length).split(/\?(.*)/s)
  const room = parseRoomId(path.replace(/\/$/, ''))
  const parameters = new URLSearchParams(query)
  for (const name of parameters.keys()) {
    if (name !== 'key' && name !== 'signal') throw invalid(`this version does not know its part '${name}'`)
    if (parameters.getAll(name).length > 1) throw invalid(`its part '${name}' stands twice`)
  }
  const keyText = parameters.get('key')
  // A plus sign that was not escaped reads as a space.
  const hostKey = keyText === null ? undefined : fromBase64(keyText.replaceAll(' ', '+'), 32)
  if (keyText !== null && hostKey === undefined) throw invalid('its key is not a public key')
  if (hostKey !== undefined && !roomIdMatches(crypto, room, hostKey))
    throw invalid('its key is not of its room')
  const signal = parameters.get('signal')?.split(',')
  if (
    signal !== undefined &&
    (signal.length > MaxSignals || !signal.every((name) => /^[a-z]{1,16}$/.test(name)))
  ) {
    throw invalid('its signalling backends are not names')
  }
  return { room, ...(hostKey && { hostKey }), ...(signal && { signal }) }
}

function invalid(reason: string): UsageError {
  return new UsageError('link-invalid', `The link cannot be used: ${reason}`, {
    advice: 'Copy the whole link that the host shows',
  })
}
