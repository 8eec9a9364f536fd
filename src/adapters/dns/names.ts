/**
 * Domain names: checked text, the only names that we send. dns-packet would write a label of any length, and
 * a wrong one would make it write a wrong message.
 */
import { UsageError } from '../../core/errors.js'
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'
import { MaxLabelBytes, MaxNameBytes } from './constants.js'

/** So that the longest name of a record still fits. */
const MaxZoneLength = 80
const Label = /^[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?$/

export const TopicLabel: RegExp = /^[a-z2-7]{20}$/
export const Sender: RegExp = /^[0-9a-z]{1,64}$/

/**
 * A zone's name in lower case, without the final dot.
 * @throws UsageError `dns-zone-wrong`
 */
export function parseZone(text: string): string {
  const zone = text.toLowerCase().replace(/\.$/, '')
  if (
    zone.length > 0 &&
    zone.length <= MaxZoneLength &&
    zone.split('.').every((label) => Label.test(label))
  ) {
    return zone
  }
  throw new UsageError('dns-zone-wrong', 'this is no zone for the dns backend', {
    advice: `Name a zone as gonet.example.org, with at most ${MaxZoneLength} characters`,
  })
}

/** Whether a name is one that TSIG keys have: labels as a zone's. */
export function isKeyName(text: string): boolean {
  const name = text.toLowerCase().replace(/\.$/, '')
  return name.length <= 200 && name.split('.').every((label) => Label.test(label))
}

/**
 * A name as it stands in a message, without compression (RFC 1035 section 3.1).
 * @throws RangeError for a label or a name that the DNS does not have
 */
export function nameBytes(name: string): Uint8Array {
  const labels = name === '' || name === '.' ? [] : name.replace(/\.$/, '').split('.')
  const bytes = new Uint8Array(labels.reduce((length, label) => length + label.length + 1, 1))
  if (bytes.length > MaxNameBytes) throw new RangeError('a domain name is too long')
  let offset = 0
  for (const label of labels) {
    if (label.length === 0 || label.length > MaxLabelBytes || !/^[\x21-\x7e]+$/.test(label)) {
      throw new RangeError('a label of a domain name is wrong')
    }
    bytes[offset] = label.length
    for (let at = 0; at < label.length; at++) bytes[offset + 1 + at] = label.charCodeAt(at)
    offset += label.length + 1
  }
  return bytes
}

/** Up to 64 characters as one label, or as two where a label is too short for them. */
export function identifierLabels(identifier: string): string {
  if (identifier.length <= MaxLabelBytes) return identifier
  return `${identifier.slice(0, MaxLabelBytes)}.${identifier.slice(MaxLabelBytes)}`
}

/** `host`, `join`, or `<guest id>.reply`. */
export function boxLabels(box: Box): string {
  return box === 'host' || box === 'join' ? box : `${identifierLabels(box.slice('reply/'.length))}.reply`
}

/** The reverse of `boxLabels`, or undefined. */
export function parseBoxLabels(labels: readonly string[]): Box | undefined {
  const last = labels.at(-1)
  if (labels.length === 1 && (last === 'host' || last === 'join')) return last
  if (last !== 'reply') return undefined
  const guest = parseIdentifierLabels(labels.slice(0, -1))
  return guest === undefined ? undefined : `reply/${guest}`
}

/** The reverse of `identifierLabels`, or undefined. */
export function parseIdentifierLabels(labels: readonly string[]): string | undefined {
  if (labels.length === 0 || labels.length > 2) return undefined
  const identifier = labels.join('')
  return Sender.test(identifier) && identifierLabels(identifier) === labels.join('.') ? identifier : undefined
}

/** Where a box's index lies in a zone that takes updates. */
export function indexName(zone: string, topic: Topic, box: Box): string {
  return `${boxLabels(box)}.${topic}.${zone}`
}

/** Where a record lies in a zone that takes updates. */
export function recordName(zone: string, { topic, box, sender }: RecordKey): string {
  return `${identifierLabels(sender)}.${indexName(zone, topic, box)}`
}
