/**
 * What gonet lays into the DHT: a record, or the retraction of records.
 *
 * Nodes keep a value until it expires, and refuse to change one under its id (the edit policy of their default
 * type). So a record that replaces another is a value beside it, and watchers have to know that the old one
 * no longer counts. Anybody may put anything there: so a record carries a commitment, the hash of a secret,
 * and only who reveals that secret takes it back. Nobody can erase or replace the record of somebody else.
 */
import { createHash } from 'node:crypto'
import { DecodeError } from '../../core/errors.js'

export interface RecordValue {
  readonly kind: 'record'
  readonly sender: string
  readonly commitment: Uint8Array
  /** Of the records that it replaces. */
  readonly secrets: readonly Uint8Array[]
  readonly bytes: Uint8Array
}

export interface RetractionValue {
  readonly kind: 'retraction'
  readonly secrets: readonly Uint8Array[]
}

export type DhtValue = RecordValue | RetractionValue

export const SecretBytes = 16
/** A record that is replaced lives on for 10 minutes: more than these stand together only where it is published in haste. */
export const MaxSecrets = 8

/** `gn`, and the version of this layout. */
const Magic: readonly number[] = [0x67, 0x6e, 1]
const RecordKind = 1
const RetractionKind = 2
const CommitmentBytes = 16
const Sender = /^[0-9a-z]{1,64}$/
const MaxRecordBytes = 8192
/** Magic, kind, number of secrets, commitment, length of the sender. */
const MaxHeaderBytes = Magic.length + 2 + MaxSecrets * SecretBytes + CommitmentBytes + 1 + 64

/** Of an encoded value. */
export const MaxValueBytes: number = MaxHeaderBytes + MaxRecordBytes

/** What the secret of a record hashes to. */
export function commitmentTo(secret: Uint8Array): Uint8Array {
  const hash = createHash('sha256').update('gonet opendht retraction\0').update(secret).digest()
  return new Uint8Array(hash.subarray(0, CommitmentBytes))
}

export function encodeValue(value: DhtValue): Uint8Array {
  const secrets = value.secrets.slice(-MaxSecrets)
  const head = [...Magic, value.kind === 'record' ? RecordKind : RetractionKind, secrets.length]
  const parts: Uint8Array[] = [Uint8Array.from(head), ...secrets]
  if (value.kind === 'record') {
    const sender = new TextEncoder().encode(value.sender)
    parts.push(value.commitment, Uint8Array.of(sender.length), sender, value.bytes)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** @throws DecodeError `opendht-value-wrong` */
export function decodeValue(bytes: Uint8Array): DhtValue {
  const reader = new Reader(bytes)
  const magic = reader.take(Magic.length)
  if (!Magic.every((byte, index) => magic[index] === byte)) throw wrong('it is not of gonet')
  const kind = reader.byte()
  const count = reader.byte()
  if (count > MaxSecrets) throw wrong('too many secrets')
  const secrets = Array.from({ length: count }, () => reader.take(SecretBytes))
  if (kind === RetractionKind) {
    if (reader.rest().length > 0) throw wrong('more than a retraction')
    return { kind: 'retraction', secrets }
  }
  if (kind !== RecordKind) throw wrong('neither record nor retraction')
  const commitment = reader.take(CommitmentBytes)
  const sender = Buffer.from(reader.take(reader.byte())).toString('latin1')
  if (!Sender.test(sender)) throw wrong('its sender is none')
  const content = reader.rest()
  if (content.length > MaxRecordBytes) throw wrong('its record is too large')
  return { kind: 'record', sender, commitment, secrets, bytes: content }
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw wrong('it ends too early')
    const part = this.#bytes.slice(this.#at, this.#at + length)
    this.#at += length
    return part
  }

  byte(): number {
    return this.take(1)[0] ?? 0
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at)
  }
}

function wrong(message: string): DecodeError {
  return new DecodeError('opendht-value-wrong', `a value of the DHT: ${message}`)
}
