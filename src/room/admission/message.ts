/**
 * What a guest and its host say to each other inside the tunnel before the guest is in (docs/protocol.md,
 * Admission). The first byte says what a message is.
 */
import { concatenate, fromUtf8, utf8 } from '../../core/encoding.js'
import { DecodeError } from '../../core/errors.js'

export type AdmissionMessage =
  /** The guest asks whether it is in. */
  | { readonly type: 'ask' }
  /** OPAQUE's first message (KE1), by the guest. */
  | { readonly type: 'start'; readonly bytes: Uint8Array }
  /** The host's answer to it (KE2). */
  | { readonly type: 'challenge'; readonly bytes: Uint8Array }
  /** The guest's last (KE3), and its proof that both have one key for this tunnel. */
  | { readonly type: 'finish'; readonly proof: Uint8Array; readonly bytes: Uint8Array }
  /** The guest gives up: the password was wrong. */
  | { readonly type: 'abort' }
  /** The host waits: for a person who was asked, or for the guest to prove the password. */
  | { readonly type: 'waiting' }
  /** The guest is in. `proof`: the host's, where a password was asked for; else empty. */
  | { readonly type: 'admitted'; readonly proof: Uint8Array }
  /** The guest is not in, or not any more: a stable code, and a text for the person. */
  | { readonly type: 'denied'; readonly code: string; readonly text: string }

export const ProofBytes = 32

const MaxOpaqueBytes = 512
const MaxTextBytes = 256

const Type = {
  Ask: 1,
  Start: 2,
  Challenge: 3,
  Finish: 4,
  Abort: 5,
  Waiting: 6,
  Admitted: 7,
  Denied: 8,
} as const

export function writeAdmission(message: AdmissionMessage): Uint8Array {
  switch (message.type) {
    case 'ask':
      return Uint8Array.of(Type.Ask)
    case 'start':
      return concatenate(Uint8Array.of(Type.Start), message.bytes)
    case 'challenge':
      return concatenate(Uint8Array.of(Type.Challenge), message.bytes)
    case 'finish':
      return concatenate(Uint8Array.of(Type.Finish), message.proof, message.bytes)
    case 'abort':
      return Uint8Array.of(Type.Abort)
    case 'waiting':
      return Uint8Array.of(Type.Waiting)
    case 'admitted':
      return concatenate(Uint8Array.of(Type.Admitted), message.proof)
    case 'denied': {
      const code = utf8(message.code)
      return concatenate(Uint8Array.of(Type.Denied, code.length), code, utf8(message.text))
    }
  }
}

/** @throws DecodeError `admission-form` */
export function readAdmission(bytes: Uint8Array): AdmissionMessage {
  const body = bytes.subarray(1)
  const isOpaque = body.length > 0 && body.length <= MaxOpaqueBytes
  switch (bytes[0]) {
    case Type.Ask:
      if (body.length === 0) return { type: 'ask' }
      break
    case Type.Start:
      if (isOpaque) return { type: 'start', bytes: body.slice() }
      break
    case Type.Challenge:
      if (isOpaque) return { type: 'challenge', bytes: body.slice() }
      break
    case Type.Finish:
      if (body.length > ProofBytes && isOpaque) {
        return { type: 'finish', proof: body.slice(0, ProofBytes), bytes: body.slice(ProofBytes) }
      }
      break
    case Type.Abort:
      if (body.length === 0) return { type: 'abort' }
      break
    case Type.Waiting:
      if (body.length === 0) return { type: 'waiting' }
      break
    case Type.Admitted:
      if (body.length === 0 || body.length === ProofBytes) return { type: 'admitted', proof: body.slice() }
      break
    case Type.Denied: {
      const end = 1 + (body[0] ?? 0)
      const [code, text] = [fromUtf8(body.subarray(1, end)), fromUtf8(body.subarray(end))]
      const isText = text !== undefined && body.length - end <= MaxTextBytes && !/\p{Cc}/u.test(text)
      if (body.length >= end && code !== undefined && /^[a-z][a-z-]{0,39}$/.test(code) && isText) {
        return { type: 'denied', code, text }
      }
    }
  }
  throw new DecodeError('admission-form', 'not an admission message')
}
