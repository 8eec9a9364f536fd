/**
 * Where records lie in etcd: `<prefix>/1/<topic>/<box>/<sender>`. The 1 is the version of this layout.
 */
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'

const LayoutVersion = '1'
const Sender = /^[0-9a-z]{1,64}$/

/** Keys from `start` on, and before `end`. */
export interface KeyRange {
  readonly start: Buffer
  readonly end: Buffer
}

/** What the keys of a box begin with, with the slash before the sender. */
export function boxPrefix(prefix: string, topic: Topic, box: Box): string {
  return `${topicPrefix(prefix, topic)}${box}/`
}

/** What all keys of a room begin with. */
export function topicPrefix(prefix: string, topic: Topic): string {
  return `${prefix}/${LayoutVersion}/${topic}/`
}

/** The key of a record. */
export function recordKey(prefix: string, { topic, box, sender }: RecordKey): string {
  return `${boxPrefix(prefix, topic, box)}${sender}`
}

/** Every key that begins with `prefix`, which ends with a slash. */
export function rangeOf(prefix: string): KeyRange {
  const start = Buffer.from(prefix)
  const end = Buffer.from(start)
  // The character after the slash.
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1)
  return { start, end }
}

/** Whose record lies at a key of a box, or undefined where that is no sender. */
export function senderOf(prefix: string, key: Uint8Array): string | undefined {
  const start = Buffer.byteLength(prefix)
  // Cut before it is decoded: a stranger's key may have a megabyte.
  if (key.length <= start || key.length > start + 64) return undefined
  const text = Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
  const sender = text.slice(start)
  return text.slice(0, start) === Buffer.from(prefix).toString('latin1') && Sender.test(sender)
    ? sender
    : undefined
}
