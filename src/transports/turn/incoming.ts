/** What a message from a TURN server is, before anybody asks whether it is wanted. */
import { DecodeError } from '../../core/errors.js'
import type { SocketAddress } from '../../core/machine.js'
import { type DecodedMessage, decodeMessage, findAttribute } from '../stun/message.js'
import { isUnderstood, readXorAddress } from './attributes.js'
import { decodeChannelData, isChannelData } from './channel-data.js'
import { Data, TurnAttributeType } from './constants.js'

export type Incoming =
  | { readonly type: 'channel-data'; readonly channel: number; readonly bytes: Uint8Array }
  | { readonly type: 'data'; readonly peer: SocketAddress; readonly bytes: Uint8Array }
  /** RFC 8656 section 11.6: an ICMP error about what was sent to a peer. */
  | { readonly type: 'icmp' }
  | { readonly type: 'response'; readonly message: DecodedMessage }
  /** What a server has no reason to send. */
  | { readonly type: 'foreign' }

/** @throws DecodeError for what is no whole message, or lacks what it must have */
export function readIncoming(bytes: Uint8Array): Incoming {
  if (isChannelData(bytes[0] ?? 0)) return { type: 'channel-data', ...decodeChannelData(bytes) }
  const message = decodeMessage(bytes)
  if (message.class === 'success' || message.class === 'error') return { type: 'response', message }
  if (message.class === 'request' || message.method !== Data) return { type: 'foreign' }
  if (findAttribute(message, TurnAttributeType.Icmp) !== undefined) return { type: 'icmp' }
  const peer = readXorAddress(message, TurnAttributeType.XorPeerAddress)
  const data = findAttribute(message, TurnAttributeType.Data)
  if (peer === undefined || data === undefined || !isUnderstood(message)) {
    throw new DecodeError('turn-data', 'A Data indication lacks its peer or its data')
  }
  return { type: 'data', peer, bytes: data }
}
