/** How people name a room to each other: its id, its host's whole key, or a link (docs/protocol.md, Links). */
import { fromBase64, fromHex, toBase64, toHex } from './encoding.js'
import { UsageError } from './errors.js'
import type { InviteKey } from './invite-proof.js'
import type { Crypto } from './ports.js'
import { defaultRoomId, parseRoomId, type RoomId, roomIdMatches } from './room-id.js'

const LinkStart = 'gonet://join/'
const MaxLinkCharacters = 1024
const MaxSignals = 8
const SignalName = /^[a-z]{1,16}$/
/** Of the room's secret, and of an invite's. */
export const SecretBytes = 16

export interface RoomReference {
  readonly room: RoomId
  /** The only host key to accept, where the reference names it. */
  readonly hostKey?: Uint8Array
  /** The first digits of the hash of the host's key, where the reference names those. */
  readonly hostDigits?: string
  /** Names of signalling backends, as a hint. */
  readonly signal?: readonly string[]
  /** What makes of a link an invite: whoever has it can use it. */
  readonly invite?: InviteSecrets
}

export interface InviteSecrets extends InviteKey {
  /** The room's secret, 16 bytes: it says where the room is found. */
  readonly roomSecret: Uint8Array
}

/**
 * `gonet://join/<room>?key=<base64>&signal=<name>,<name>`, which holds no secret; with an invite
 * `&secret=<hex>&invite=<id>.<hex>` besides.
 */
export function formatLink({
  room,
  hostKey,
  signal,
  invite,
}: Required<Pick<RoomReference, 'room' | 'hostKey' | 'signal'>> & Pick<RoomReference, 'invite'>): string {
  const key = encodeURIComponent(toBase64(hostKey))
  const link = `${LinkStart}${room}?key=${key}&signal=${signal.slice(0, MaxSignals).join(',')}`
  if (invite === undefined) return link
  const { id, roomSecret, secret } = invite
  return `${link}&secret=${toHex(roomSecret)}&invite=${id}.${toHex(secret)}`
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

/** The text with what is secret in every link in it hidden. */
export function maskInvites(text: string): string {
  return text.replace(/(gonet:\/\/\S*?[?&](?:secret|invite)=)\S*/gi, '$1***')
}

const Parts: readonly string[] = ['key', 'signal', 'secret', 'invite']

function parseLink(crypto: Pick<Crypto, 'sha512'>, text: string): RoomReference {
  if (text.length > MaxLinkCharacters) throw invalid(`it has more than ${MaxLinkCharacters} characters`)
  if (!text.startsWith(LinkStart)) throw invalid('it does not begin with gonet://join/')
  const [path = '', query = ''] = text.slice(LinkStart.length).split(/\?(.*)/s)
  const room = parseRoomId(path.replace(/\/$/, ''))
  const parameters = new URLSearchParams(query)
  for (const name of parameters.keys()) {
    if (!Parts.includes(name)) throw invalid('this version does not know one of its parts')
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
    (signal.length > MaxSignals || !signal.every((name) => SignalName.test(name)))
  ) {
    throw invalid('its signalling backends are not names')
  }
  const invite = readInvite(parameters.get('secret'), parameters.get('invite'))
  if (invite !== undefined && hostKey === undefined) throw invalid('it is an invite that names no host')
  return { room, ...(hostKey && { hostKey }), ...(signal && { signal }), ...(invite && { invite }) }
}

function readInvite(roomText: string | null, text: string | null): InviteSecrets | undefined {
  if (roomText === null && text === null) return undefined
  if (roomText === null || text === null) throw invalid('it is only a part of an invite')
  const [id = '', secretText = '', ...rest] = text.split('.')
  const [roomSecret, secret] = [fromHex(roomText, SecretBytes), fromHex(secretText, SecretBytes)]
  if (roomSecret === undefined || secret === undefined || rest.length > 0 || !/^[0-9a-f]{8}$/.test(id)) {
    throw invalid('its invite was changed on the way')
  }
  return { id, secret, roomSecret }
}

function invalid(reason: string): UsageError {
  return new UsageError('link-invalid', `The link cannot be used: ${reason}`, {
    advice: 'Copy the whole link that the host shows',
  })
}
