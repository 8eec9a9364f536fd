/**
 * What can be asked of a zone that gonet itself serves, as names below the zone. The last label says what
 * kind of question it is; the first one is new each time, so that no cache answers, except for a beacon.
 */
import { createHash } from 'node:crypto'
import { toBase32 } from '../../core/encoding.js'
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'
import { fromBase32, readNumber, writeNumber } from './base32.js'
import { boxLabels, parseBoxLabels, TopicLabel } from './names.js'

/** Where a reader has got to: which run of the server, and how far in it. 10 bytes. */
export type Cursor = Uint8Array

export type ZoneQuestion =
  | { readonly kind: 'zone' }
  | { readonly kind: 'server' }
  /** Is anybody there? */
  | { readonly kind: 'probe' }
  /** All beacons of a topic, which caches may keep. */
  | { readonly kind: 'beacon'; readonly topic: Topic }
  /** What has come into a box since. */
  | { readonly kind: 'page'; readonly topic: Topic; readonly box: Box; readonly cursor: Cursor }
  /** Is this record still there? */
  | { readonly kind: 'check'; readonly topic: Topic; readonly recordId: string }
  /** A part of a message to the server. */
  | ({ readonly kind: 'part' } & UploadPart)
  /** No question, but there may be names below it. */
  | { readonly kind: 'between' }

export interface UploadPart {
  readonly topic: Topic
  /** Names the message: 16 characters of base32. */
  readonly upload: string
  readonly index: number
  readonly count: number
  readonly data: Uint8Array
}

export const CursorBytes = 10
export const NonceBytes = 5
export const UploadIdBytes = 10
const NonceLength = 8
const CursorLength = 16
const UploadIdLength = 16
export const MaxParts = 128
const MaxNameLength = 253
const Nonce = /^[a-z2-7]{8}$/
const RecordId = /^[a-z2-7]{20}$/
const UploadId = /^[a-z2-7]{16}$/

/** A record within its topic: 20 characters of base32. */
export function recordIdOf({ box, sender }: Pick<RecordKey, 'box' | 'sender'>): string {
  return toBase32(new Uint8Array(createHash('sha256').update(`${box}/${sender}`).digest())).slice(0, 20)
}

/** @param nonce 5 fresh bytes */
export function probeName(zone: string, nonce: Uint8Array): string {
  return `${toBase32(nonce)}.t.${zone}`
}

export function beaconName(zone: string, topic: Topic): string {
  return `${topic}.b.${zone}`
}

export function pageName(zone: string, topic: Topic, box: Box, cursor: Cursor, nonce: Uint8Array): string {
  return `${toBase32(nonce)}${toBase32(cursor)}.${boxLabels(box)}.${topic}.d.${zone}`
}

export function checkName(zone: string, key: RecordKey, nonce: Uint8Array): string {
  return `${toBase32(nonce)}.${recordIdOf(key)}.${key.topic}.c.${zone}`
}

/** A message to the server as names, which are asked for in any order. */
export function uploadNames(
  zone: string,
  topic: Topic,
  uploadId: Uint8Array,
  message: Uint8Array,
): readonly string[] {
  const upload = toBase32(uploadId)
  const rest = `.${upload}0000.${topic}.u.${zone}`
  const room = MaxNameLength - rest.length
  // A label has 63 characters and a dot.
  const characters = Math.floor((room + 1) / 64) * 63 + Math.max(0, ((room + 1) % 64) - 1)
  const partBytes = Math.floor((characters * 5) / 8)
  const count = Math.ceil(message.length / partBytes)
  if (count > MaxParts) throw new RangeError('a message has too many parts')
  return Array.from({ length: count }, (_, index) => {
    const data = toBase32(message.subarray(index * partBytes, (index + 1) * partBytes))
    const labels = data.match(/.{1,63}/g) ?? []
    const part = writeNumber(index) + writeNumber(count - 1)
    return `${labels.join('.')}.${upload}${part}.${topic}.u.${zone}`
  })
}

/**
 * @param name in lower case; below the zone, or the zone itself
 * @returns undefined for a name that no name of ours ends with
 */
export function parseQuestionName(name: string, zone: string): ZoneQuestion | undefined {
  if (name === zone) return { kind: 'zone' }
  const labels = name.slice(0, -zone.length - 1).split('.')
  const kind = labels.pop() ?? ''
  if (kind === 'ns') return labels.length === 0 ? { kind: 'server' } : undefined
  if (kind === 't') return parseProbe(labels)
  if (!['b', 'c', 'd', 'u'].includes(kind)) return undefined
  const topic = labels.pop()
  if (topic === undefined) return { kind: 'between' }
  if (!TopicLabel.test(topic)) return undefined
  switch (kind) {
    case 'b':
      return labels.length === 0 ? { kind: 'beacon', topic } : undefined
    case 'c':
      return parseCheck(labels, topic)
    case 'd':
      return parsePage(labels, topic)
    default:
      return parsePart(labels, topic)
  }
}

function parseProbe(labels: readonly string[]): ZoneQuestion | undefined {
  const [nonce, ...more] = labels
  if (nonce === undefined) return { kind: 'between' }
  return more.length === 0 && Nonce.test(nonce) ? { kind: 'probe' } : undefined
}

function parseCheck(labels: readonly string[], topic: Topic): ZoneQuestion | undefined {
  const [recordId, nonce, ...more] = [...labels].reverse()
  if (recordId === undefined) return { kind: 'between' }
  if (!RecordId.test(recordId) || more.length > 0) return undefined
  if (nonce === undefined) return { kind: 'between' }
  return Nonce.test(nonce) ? { kind: 'check', topic, recordId } : undefined
}

function parsePage(labels: readonly string[], topic: Topic): ZoneQuestion | undefined {
  const [first = '', ...boxes] = labels
  const box = parseBoxLabels(boxes)
  if (box !== undefined && first.length === NonceLength + CursorLength) {
    const cursor = fromBase32(first.slice(NonceLength))
    if (cursor !== undefined && Nonce.test(first.slice(0, NonceLength)))
      return { kind: 'page', topic, box, cursor }
  }
  return isBoxEnd(labels) ? { kind: 'between' } : undefined
}

/** Whether a box's labels can end with these. */
function isBoxEnd(labels: readonly string[]): boolean {
  if (labels.length === 0) return true
  const last = labels.at(-1)
  if (last === 'host' || last === 'join') return labels.length === 1
  const isIdentifier = labels.slice(0, -1).every((label) => /^[0-9a-z]{1,63}$/.test(label))
  return last === 'reply' && labels.length <= 3 && isIdentifier
}

function parsePart(labels: readonly string[], topic: Topic): ZoneQuestion | undefined {
  const head = labels.at(-1)
  if (head === undefined) return { kind: 'between' }
  const upload = head.slice(0, UploadIdLength)
  const index = readNumber(head.slice(UploadIdLength, UploadIdLength + 2))
  const last = readNumber(head.slice(UploadIdLength + 2))
  if (!UploadId.test(upload) || index === undefined || last === undefined) return undefined
  if (last >= MaxParts || index > last) return undefined
  if (labels.length === 1) return { kind: 'between' }
  const text = labels.slice(0, -1).join('')
  const data = fromBase32(text)
  if (data === undefined) return /^[a-z2-7]+$/.test(text) ? { kind: 'between' } : undefined
  return { kind: 'part', topic, upload, index, count: last + 1, data }
}
