/**
 * How records lie in a zone that takes updates: the bytes in one TXT record at a name of their own, and an
 * entry in the TXT records of their box. So one question shows what is in a box, and nothing has to be read
 * twice.
 */
import { createHash } from 'node:crypto'
import { concatenate, fromUtf8, utf8 } from '../../core/encoding.js'
import { readTxt, writeTxt } from './message.js'
import { dnsTraits } from './traits.js'

export interface IndexEntry {
  readonly sender: string
  /** ms since 1970. */
  readonly expiresAt: number
  readonly digest: string
}

const LayoutVersion = 1
const EntryText = /^1 ([0-9a-z]{1,64}) (\d{13}) ([0-9a-f]{16})$/

/** Names content: the first 16 hex digits of its SHA-256. */
export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** The data of a TXT record. */
export function writeEntry({ sender, expiresAt, digest }: IndexEntry): Uint8Array {
  const moment = String(Math.max(0, Math.round(expiresAt))).padStart(13, '0')
  return writeTxt(utf8(`${LayoutVersion} ${sender} ${moment} ${digest}`))
}

/** Undefined for whatever somebody else has put there. */
export function readEntry(data: Uint8Array): IndexEntry | undefined {
  if (data.length > 256) return undefined
  const text = readTxt(data)
  const [, sender, moment, digest] = EntryText.exec((text && fromUtf8(text)) ?? '') ?? []
  if (sender === undefined || moment === undefined || digest === undefined) return undefined
  return { sender, expiresAt: Number(moment), digest }
}

/** The data of a TXT record. */
export function writeContent(bytes: Uint8Array): Uint8Array {
  return writeTxt(concatenate(Uint8Array.of(LayoutVersion), bytes))
}

/** Undefined for whatever somebody else has put there. */
export function readContent(data: Uint8Array): Uint8Array | undefined {
  if (data.length > 2 * dnsTraits.maxRecordBytes) return undefined
  const content = readTxt(data)
  if (content?.[0] !== LayoutVersion || content.length > 1 + dnsTraits.maxRecordBytes) return undefined
  return content.slice(1)
}
