/**
 * What hosts and guests say to each other through a signalling backend (docs/protocol.md, Messages): the
 * fields of each action, their forms, and the order in which they are written.
 */
import { fromBase64, fromHex, toBase64, toHex } from './encoding.js'
import { type Envelope, envelopeVerifies, readEnvelope, writeBody, writeEnvelope } from './envelope.js'
import { DecodeError } from './errors.js'
import { nameProblem } from './identity.js'
import type { Crypto, KeyPair } from './ports.js'
import { MaxPuzzleBits } from './puzzle.js'
import type { RoomId } from './room-id.js'

/** How many candidates a message can carry. */
export const MaxCandidates = 12

/** Who may enter a room: everybody, whom a person lets in, listed keys, whoever is invited, or knows the password. */
export type AdmissionKind = 'open' | 'approve' | 'allow' | 'invite' | 'password'

/** The beacon: that a host lives, where to seal a join to, and how admission goes. */
export interface Beacon {
  readonly action: 'host'
  readonly room: RoomId
  readonly publicKey: Uint8Array
  readonly username: string
  /** X25519, fresh for the epoch: joins are boxed to it. */
  readonly seal: Uint8Array
  /** 16 hex digits: 8 of a counter that only grows, 8 random. A larger one is newer. */
  readonly epoch: string
  readonly admission: AdmissionKind
  /** For how many bits the solutions of joins have to be good: 0 when calm, at most 20. */
  readonly puzzle: number
}

export interface Join {
  readonly action: 'join'
  readonly room: RoomId
  readonly publicKey: Uint8Array
  readonly username: string
  /** The host's Ed25519 key, its sealing key and its epoch: a join is for one host and one epoch. */
  readonly host: Uint8Array
  readonly seal: Uint8Array
  readonly epoch: string
  /** X25519, fresh for the join: the answer is boxed to it. */
  readonly box: Uint8Array
  /** X25519, fresh for the join: the guest's WireGuard key. */
  readonly wireguard: Uint8Array
  /** 16 bytes. */
  readonly nonce: Uint8Array
  /** `<ufrag> <password>` (RFC 8445 section 5.3), of 8 and 24 characters. */
  readonly ice: string
  /** `<kind> <ip:port>`, joined by `, `; at most 12, possibly none. */
  readonly candidates: string
  /** Which invite the guest has, and that it has its secret. */
  readonly invite?: InviteProof | undefined
}

export interface InviteProof {
  /** 8 hex digits. */
  readonly id: string
  /** 32 bytes: see `proveInvite`. */
  readonly proof: Uint8Array
}

export interface Welcome {
  readonly action: 'welcome'
  readonly room: RoomId
  /** The overlay address that the guest is given. */
  readonly peer: string
  readonly publicKey: Uint8Array
  /** How room ids are made from keys. */
  readonly method: 'SHA-512'
  readonly username: string
  /** Where the host can most likely be reached, ip:port; empty where it knows no address of its own. */
  readonly address: string
  /** X25519, fresh for the epoch: the host's WireGuard key. */
  readonly wireguard: Uint8Array
  readonly epoch: string
  /** SHA-512 of the join that this answers. */
  readonly inReplyTo: Uint8Array
  /** The room's IPv4 network, as `10.7.0.0/16`. */
  readonly subnet: string
  readonly ice: string
  readonly candidates: string
}

export interface Refuse {
  readonly action: 'refuse'
  readonly room: RoomId
  readonly publicKey: Uint8Array
  readonly epoch: string
  readonly inReplyTo: Uint8Array
  /** Stable, kebab-case. */
  readonly code: string
  /** For a person. */
  readonly text: string
}

/** Candidates that a guest found after its join. */
export interface Update {
  readonly action: 'update'
  readonly room: RoomId
  readonly publicKey: Uint8Array
  readonly epoch: string
  /** SHA-512 of the join that this adds to. */
  readonly inReplyTo: Uint8Array
  readonly candidates: string
}

export type Message = Beacon | Join | Welcome | Refuse | Update
export type Action = Message['action']

/** A message whose form and signature are right. */
export interface Verified<M extends Message> {
  readonly message: M
  /** SHA-512 of all three documents' bytes. */
  readonly hash: Uint8Array
}

/**
 * Writes and signs a message.
 * @returns UTF-8 bytes, at most 4096
 */
export function writeMessage(crypto: Pick<Crypto, 'sign'>, signer: KeyPair, message: Message): Uint8Array {
  return writeEnvelope(crypto, signer, writeFields(message))
}

/** What a join says, but for its invite: what the proof of that one is over. */
export function writeJoinBody(join: Join): Uint8Array {
  return writeBody(writeFields({ ...join, invite: undefined }))
}

/**
 * Reads a message and verifies its signature by the key that it names.
 * @throws DecodeError `message-…`
 */
export function readMessage(crypto: Pick<Crypto, 'verify' | 'sha512'>, bytes: Uint8Array): Verified<Message> {
  const envelope = readEnvelope(bytes)
  const message = readFields(envelope)
  if (!envelopeVerifies(crypto, envelope, message.publicKey)) {
    throw new DecodeError('message-signature-wrong', 'signature is not of the key that the message names')
  }
  return { message, hash: crypto.sha512(bytes) }
}

function writeFields(message: Message): readonly (readonly [key: string, value: string])[] {
  const forms: Forms = FormsByAction[message.action]
  const values = message as unknown as Record<string, unknown>
  return Object.entries(forms).flatMap(([key, form]) =>
    values[key] === undefined && form.isOptional === true ? [] : [[key, form.write(values[key])] as const],
  )
}

function readFields(envelope: Envelope): Message {
  const action = envelope.fields.get('action') ?? ''
  if (!isAction(action)) throw new DecodeError('message-action', 'message has no known action')
  const forms: Forms = FormsByAction[action]
  for (const key of envelope.fields.keys()) {
    if (!Object.hasOwn(forms, key))
      throw new DecodeError('message-key-unknown', `key ${key} does not belong in a ${action}`)
  }
  const message: Record<string, unknown> = {}
  for (const [key, form] of Object.entries(forms)) {
    const text = envelope.fields.get(key)
    if (text === undefined && form.isOptional === true) continue
    if (text === undefined) throw new DecodeError('message-key-missing', `key ${key} is missing`)
    const value = form.read(text)
    if (value === undefined) throw new DecodeError('message-value', `the value of ${key} is not of its form`)
    message[key] = value
  }
  return message as unknown as Message
}

function isAction(text: string): text is Action {
  return Object.hasOwn(FormsByAction, text)
}

/** A value's form: `read` gives undefined for anything that `write` would not have written. */
interface Form {
  read(text: string): unknown
  write(value: unknown): string
  readonly isOptional?: true
}

type Forms = Readonly<Record<string, Form>>

function pattern(expression: RegExp): Form {
  return { read: (text) => (expression.test(text) ? text : undefined), write: String }
}

function binary(
  encode: (bytes: Uint8Array) => string,
  decode: (text: string) => Uint8Array | undefined,
): Form {
  return { read: decode, write: (value) => encode(value as Uint8Array) }
}

const Key = binary(toBase64, (text) => fromBase64(text, 32))
const Hash = binary(toHex, (text) => fromHex(text, 64))
const Nonce = binary(toHex, (text) => fromHex(text, 16))
const Room = pattern(/^[0-9a-f]{6,128}$/)
const Epoch = pattern(/^[0-9a-f]{16}$/)
const Name: Form = { read: (text) => (nameProblem(text) === undefined ? text : undefined), write: String }
const Ice = pattern(/^[A-Za-z0-9+/]{8} [A-Za-z0-9+/]{24}$/)
const Address = pattern(/^(?:[0-9.]{7,15}:\d{1,5}|\[[0-9a-f:.]{2,45}\]:\d{1,5})?$/)
const Candidate = '[a-z]{4,12} (?:[0-9.]{7,15}|\\[[0-9a-f:.]{2,45}\\]):\\d{1,5}'
const Candidates = pattern(new RegExp(`^(?:${Candidate}(?:, ${Candidate}){0,${MaxCandidates - 1}})?$`))
const Text: Form = {
  read: (text) => (text.length <= 256 && !/\p{Cc}/u.test(text) ? text : undefined),
  write: String,
}
const Bits: Form = {
  read: (text) => (/^(?:0|[1-9]\d?)$/.test(text) && Number(text) <= MaxPuzzleBits ? Number(text) : undefined),
  write: String,
}
const Invite: Form = {
  read: (text) => {
    const [id = '', proofText = '', ...rest] = text.split(' ')
    const proof = fromHex(proofText, 32)
    return proof !== undefined && rest.length === 0 && /^[0-9a-f]{8}$/.test(id) ? { id, proof } : undefined
  },
  write: (value) => {
    const { id, proof } = value as InviteProof
    return `${id} ${toHex(proof)}`
  },
  isOptional: true,
}
const word = (text: string): Form => pattern(new RegExp(`^${text}$`))

const FormsByAction: {
  readonly [A in Action]: { readonly [K in keyof Extract<Message, { action: A }>]-?: Form }
} = {
  host: {
    room: Room,
    publicKey: Key,
    action: word('host'),
    username: Name,
    seal: Key,
    epoch: Epoch,
    admission: pattern(/^(?:open|approve|allow|invite|password)$/),
    puzzle: Bits,
  },
  join: {
    room: Room,
    publicKey: Key,
    action: word('join'),
    username: Name,
    host: Key,
    seal: Key,
    epoch: Epoch,
    box: Key,
    wireguard: Key,
    nonce: Nonce,
    ice: Ice,
    candidates: Candidates,
    invite: Invite,
  },
  welcome: {
    room: Room,
    action: word('welcome'),
    peer: pattern(/^[0-9.]{7,15}$/),
    publicKey: Key,
    method: word('SHA-512'),
    username: Name,
    address: Address,
    wireguard: Key,
    epoch: Epoch,
    inReplyTo: Hash,
    subnet: pattern(/^[0-9.]{7,15}\/\d{1,2}$/),
    ice: Ice,
    candidates: Candidates,
  },
  refuse: {
    room: Room,
    publicKey: Key,
    action: word('refuse'),
    epoch: Epoch,
    inReplyTo: Hash,
    code: pattern(/^[a-z][a-z-]{0,39}$/),
    text: Text,
  },
  update: {
    room: Room,
    publicKey: Key,
    action: word('update'),
    epoch: Epoch,
    inReplyTo: Hash,
    candidates: Candidates,
  },
}
