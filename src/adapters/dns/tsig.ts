/** Transaction signatures with a shared secret (RFC 8945). */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { concatenate } from '../../core/encoding.js'
import { DecodeError } from '../../core/errors.js'
import { Class, Type } from './constants.js'
import { type Message, type ResourceRecord, readName, viewOf, writeRecord } from './message.js'
import { nameBytes } from './names.js'

export type TsigAlgorithm = 'hmac-sha256' | 'hmac-sha512'

export interface TsigKey {
  /** In lower case, without the final dot. */
  readonly name: string
  readonly algorithm: TsigAlgorithm
  readonly secret: Uint8Array
}

/** How far clocks may differ, in seconds (section 10). */
const FudgeSeconds = 300

export interface TsigData {
  readonly algorithm: string
  /** Seconds since 1970. */
  readonly timeSigned: number
  readonly fudge: number
  readonly mac: Uint8Array
  readonly originalId: number
  readonly error: number
  readonly otherData: Uint8Array
  /** Algorithm, time, fudge: as they stand in the record. */
  readonly head: Uint8Array
}

export interface VerifiedTsig {
  readonly error: number
  /** The server's time, in seconds since 1970. */
  readonly serverSeconds: number
}

/**
 * A message with its signature, which a server answers for.
 * @param message a whole message without TSIG
 * @param unixSeconds now
 */
export function signMessage(
  message: Uint8Array,
  key: TsigKey,
  unixSeconds: number,
): { readonly bytes: Uint8Array; readonly mac: Uint8Array } {
  const head = concatenate(nameBytes(key.algorithm), uint48(unixSeconds), uint16(FudgeSeconds))
  const mac = digest(key, [message, variables(key, head, 0, new Uint8Array(0))])
  const view = viewOf(message)
  const data = concatenate(head, uint16(mac.length), mac, uint16(view.getUint16(0)), uint16(0), uint16(0))
  const record = writeRecord({ name: key.name, type: Type.TSIG, class: Class.ANY, ttl: 0, data })
  const bytes = concatenate(message, record)
  viewOf(bytes).setUint16(10, view.getUint16(10) + 1)
  return { bytes, mac }
}

/**
 * Checks the signature of an answer, whatever it says about an error of ours (section 5.3).
 * @param bytes the whole answer, and what was read of it
 * @param requestMac of the question that it answers
 * @returns undefined where the server signs nothing, as it does with keys that it does not know
 * @throws DecodeError `dns-tsig-wrong`
 */
export function verifyAnswer(
  bytes: Uint8Array,
  message: Message,
  key: TsigKey,
  requestMac: Uint8Array,
  unixSeconds: number,
): VerifiedTsig | undefined {
  const record = tsigRecord(message)
  if (record === undefined) return undefined
  const tsig = readTsig(record)
  if (record.name !== key.name || tsig.algorithm !== key.algorithm) throw wrong('by another key')
  if (tsig.mac.length === 0) return undefined
  const unsigned = bytes.slice(0, record.offset)
  const view = viewOf(unsigned)
  view.setUint16(0, tsig.originalId)
  view.setUint16(10, view.getUint16(10) - 1)
  const expected = digest(key, [
    uint16(requestMac.length),
    requestMac,
    unsigned,
    variables(key, tsig.head, tsig.error, tsig.otherData),
  ])
  if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) throw wrong('wrongly')
  // Of BADTIME, the time signed is ours, and the server's stands behind it (section 5.2.3).
  const serverSeconds = tsig.otherData.length === 6 ? readUint48(tsig.otherData, 0) : tsig.timeSigned
  if (tsig.otherData.length !== 6 && Math.abs(tsig.timeSigned - unixSeconds) > tsig.fudge) {
    throw wrong('at another time')
  }
  return { error: tsig.error, serverSeconds }
}

/** What an answer's TSIG says of an error, unverified: with BADKEY and BADSIG there is no signature. */
export function claimedTsigError(message: Message): number {
  const record = tsigRecord(message)
  return record === undefined ? 0 : readTsig(record).error
}

/** The last record, and no other (section 5.1). */
function tsigRecord({ additionals, answers, authorities }: Message): ResourceRecord | undefined {
  const all = [...answers, ...authorities, ...additionals].filter(({ type }) => type === Type.TSIG)
  const [record] = all
  if (record === undefined) return undefined
  if (all.length > 1 || record !== additionals.at(-1) || record.class !== Class.ANY) throw wrong('oddly')
  return record
}

/** @throws DecodeError `dns-tsig-wrong` */
export function readTsig({ data }: Pick<ResourceRecord, 'data'>): TsigData {
  const { name: algorithm, end } = readName(data, 0)
  if (data.length < end + 16) throw wrong('with too little')
  const view = viewOf(data)
  const macLength = view.getUint16(end + 8)
  const behindMac = end + 10 + macLength
  if (data.length < behindMac + 6) throw wrong('with too little')
  const otherLength = view.getUint16(behindMac + 4)
  if (data.length !== behindMac + 6 + otherLength) throw wrong('with too little or too much')
  return {
    algorithm,
    timeSigned: readUint48(data, end),
    fudge: view.getUint16(end + 6),
    mac: data.subarray(end + 10, behindMac),
    originalId: view.getUint16(behindMac),
    error: view.getUint16(behindMac + 2),
    otherData: data.subarray(behindMac + 6),
    head: concatenate(nameBytes(algorithm.replace(/\\\d{3}/g, 'x')), data.subarray(end, end + 8)),
  }
}

/** Section 4.3.3: what is signed beside the message. */
function variables(key: TsigKey, head: Uint8Array, error: number, otherData: Uint8Array): Uint8Array {
  const fixed = Uint8Array.of(0, Class.ANY, 0, 0, 0, 0)
  return concatenate(nameBytes(key.name), fixed, head, uint16(error), uint16(otherData.length), otherData)
}

function digest(key: TsigKey, parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac(key.algorithm.slice('hmac-'.length), key.secret)
  for (const part of parts) hmac.update(part)
  return new Uint8Array(hmac.digest())
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255)
}

function uint48(value: number): Uint8Array {
  const bytes = new Uint8Array(6)
  const view = viewOf(bytes)
  view.setUint16(0, Math.floor(value / 2 ** 32))
  view.setUint32(2, value % 2 ** 32)
  return bytes
}

function readUint48(bytes: Uint8Array, at: number): number {
  const view = viewOf(bytes)
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}

function wrong(how: string): DecodeError {
  return new DecodeError('dns-tsig-wrong', `the answer is signed ${how}`)
}
