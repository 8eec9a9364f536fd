/**
 * A signalling message on the wire: three YAML documents (version, body, signature) of a flat subset, read
 * by a strict reader of its own, because a general YAML parser fed by strangers can be made to exhaust the
 * process (docs/protocol.md, Messages).
 */
import { concatenate, fromHex, fromUtf8, toHex, utf8 } from './encoding.js'
import { DecodeError } from './errors.js'
import type { Crypto, KeyPair } from './ports.js'

/** A whole message, in bytes. */
export const MaxMessageBytes = 4096

const SignatureContext = utf8('gonet/1 message\n')
const Separator = '---'
const KeyPattern = /^[a-z][A-Za-z0-9]{0,31}$/
const PlainPattern = /^[A-Za-z0-9][A-Za-z0-9._+/-]*$/

export interface Envelope {
  /** The body's values by key, in the order in which they stand. */
  readonly fields: ReadonlyMap<string, string>
  /** Ed25519, 64 bytes; not verified yet. */
  readonly signature: Uint8Array
  /** What the signature is over. */
  readonly signed: Uint8Array
}

/**
 * Writes and signs a message. Every value is quoted, since a hex value such as 5e1234 is a number to YAML.
 * @returns the message's UTF-8 bytes, at most 4096
 * @throws RangeError where the fields make more than that: the caller's caps are wrong
 */
export function writeEnvelope(
  crypto: Pick<Crypto, 'sign'>,
  signer: KeyPair,
  fields: Iterable<readonly [key: string, value: string]>,
): Uint8Array {
  const signed = writeBody(fields)
  const signature = crypto.sign(concatenate(SignatureContext, signed), signer.secretKey)
  const whole = concatenate(signed, utf8(`${Separator}\nsignature: "${toHex(signature)}"\n`))
  if (whole.length > MaxMessageBytes) throw new RangeError(`a message of ${whole.length} bytes`)
  return whole
}

/** A message up to its body's end: what its signature is over. */
export function writeBody(fields: Iterable<readonly [key: string, value: string]>): Uint8Array {
  let text = `version: 1\n${Separator}\n`
  for (const [key, value] of fields) text += `${key}: ${JSON.stringify(value)}\n`
  return utf8(text)
}

/**
 * Reads a message's form; who signed it, and whether, is for `envelopeVerifies`.
 * @throws DecodeError `message-…`, for anything but the exact form that docs/protocol.md gives
 */
export function readEnvelope(bytes: Uint8Array): Envelope {
  if (bytes.length > MaxMessageBytes)
    throw new DecodeError('message-oversized', 'message of more than 4096 bytes')
  const text = fromUtf8(bytes)
  if (text === undefined) throw new DecodeError('message-not-utf8', 'message is not UTF-8')
  const lines = text.split('\n')
  if (lines.pop() !== '') throw new DecodeError('message-truncated', 'message does not end with a newline')
  const [version, first, ...rest] = lines
  if (version !== 'version: 1') throw new DecodeError('message-version', 'message is not of version 1')
  const last = rest.length - 2
  if (first !== Separator || rest[last] !== Separator) {
    throw new DecodeError('message-shape', 'message is not three documents')
  }
  const fields = new Map<string, string>()
  for (const line of rest.slice(0, last)) {
    const [key, value] = readLine(line)
    if (fields.has(key)) throw new DecodeError('message-key-repeated', `key ${key} stands twice`)
    fields.set(key, value)
  }
  const [signatureKey, signatureText] = readLine(rest[last + 1] ?? '')
  const signature = signatureKey === 'signature' ? fromHex(signatureText, 64) : undefined
  if (signature === undefined)
    throw new DecodeError('message-signature-form', 'signature is not 128 hex digits')
  const trailerBytes = utf8(`${Separator}\n${rest[last + 1] ?? ''}\n`).length
  const signed = concatenate(SignatureContext, bytes.subarray(0, bytes.length - trailerBytes))
  return { fields, signature, signed }
}

export function envelopeVerifies(
  crypto: Pick<Crypto, 'verify'>,
  envelope: Envelope,
  publicKey: Uint8Array,
): boolean {
  return crypto.verify(envelope.signed, envelope.signature, publicKey)
}

function readLine(line: string): [key: string, value: string] {
  const colon = line.indexOf(': ')
  const key = line.slice(0, colon)
  if (colon < 1 || !KeyPattern.test(key)) throw new DecodeError('message-line', 'a line is not "key: value"')
  return [key, readScalar(line.slice(colon + 2))]
}

function readScalar(text: string): string {
  if (PlainPattern.test(text)) return text
  let value: unknown
  try {
    value = /^".*"$/.test(text) ? JSON.parse(text) : undefined
  } catch {
    value = undefined
  }
  // What JSON lets stand in quotes and YAML does not: C1 controls, DEL, lone surrogates, line separators.
  if (typeof value !== 'string' || /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text) || /\p{Cs}/u.test(value)) {
    throw new DecodeError('message-scalar', 'a value is neither plain nor JSON-quoted')
  }
  return value
}
