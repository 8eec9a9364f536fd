/** What goes up to a zone that gonet serves, in parts: a record, or the wish to remove one. */
import { concatenate, fromUtf8, utf8 } from '../../core/encoding.js'
import type { Box } from '../../core/signalling-adapter.js'
import { viewOf } from './message.js'
import { Sender } from './names.js'
import { dnsTraits } from './traits.js'

export interface UploadMessage {
  readonly action: 'put' | 'remove'
  readonly box: Box
  readonly sender: string
  /** Whoever stored the record names it to replace or remove it: 16 random bytes. */
  readonly token: Uint8Array
  readonly expiresInMs: number
  readonly bytes: Uint8Array
}

export const TokenBytes = 16
const Version = 1
const Actions = ['put', 'remove'] as const
const HeadBytes = 2 + TokenBytes + 4
const Reply = /^reply\/([0-9a-z]{1,64})$/
/** The head, and the longest names of box and sender. */
export const MaxUploadBytes: number = HeadBytes + 1 + 70 + 1 + 64 + dnsTraits.maxRecordBytes

export function writeUpload({ action, box, sender, token, expiresInMs, bytes }: UploadMessage): Uint8Array {
  const head = new Uint8Array(HeadBytes)
  head.set([Version, Actions.indexOf(action)])
  head.set(token, 2)
  viewOf(head).setUint32(2 + TokenBytes, Math.min(2 ** 32 - 1, Math.max(0, Math.round(expiresInMs))))
  return concatenate(head, short(box), short(sender), bytes)
}

/** Undefined for anything that `writeUpload` does not write. */
export function readUpload(message: Uint8Array): UploadMessage | undefined {
  const action = Actions[message[1] ?? Actions.length]
  if (message[0] !== Version || action === undefined || message.length > MaxUploadBytes) return undefined
  const boxLength = message[HeadBytes]
  if (boxLength === undefined) return undefined
  const behindBox = HeadBytes + 1 + boxLength
  const senderLength = message[behindBox]
  if (senderLength === undefined) return undefined
  const behindSender = behindBox + 1 + senderLength
  const box = boxOf(fromUtf8(message.subarray(HeadBytes + 1, behindBox)))
  const sender = fromUtf8(message.subarray(behindBox + 1, behindSender))
  if (message.length < behindSender || box === undefined || sender === undefined || !Sender.test(sender)) {
    return undefined
  }
  const bytes = message.slice(behindSender)
  if (bytes.length > dnsTraits.maxRecordBytes) return undefined
  const expiresInMs = viewOf(message).getUint32(2 + TokenBytes)
  return { action, box, sender, token: message.slice(2, 2 + TokenBytes), expiresInMs, bytes }
}

function boxOf(text: string | undefined): Box | undefined {
  if (text === 'host' || text === 'join') return text
  const [, guest] = Reply.exec(text ?? '') ?? []
  return guest === undefined ? undefined : `reply/${guest}`
}

function short(text: string): Uint8Array {
  return concatenate(Uint8Array.of(text.length), utf8(text))
}
