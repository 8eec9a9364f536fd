/** How pastes are named: `gonet-<topic>-<box>-<sender>`, and what is in them: base64. */
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'

/** What every title of gonet begins with. */
export const TitlePrefix = 'gonet-'
const Title = /^gonet-([a-z2-7]{20})-(host|join|reply-[0-9a-z]{1,64})-([0-9a-z]{1,64})$/
const Base64 = /^[0-9A-Za-z+/]*={0,2}$/
const MaxRecordBytes = 8192

export function titleOf({ topic, box, sender }: RecordKey): string {
  return `${TitlePrefix}${topic}-${box.replace('/', '-')}-${sender}`
}

/** Undefined for titles that are not ours. */
export function parseTitle(title: string): RecordKey | undefined {
  const [, topic, box, sender] = Title.exec(title) ?? []
  if (topic === undefined || box === undefined || sender === undefined) return undefined
  return { topic, box: box.replace('-', '/') as Box, sender }
}

/** Whether a title names a record of this box. */
export function isInBox(title: string, topic: Topic, box: Box): boolean {
  const key = parseTitle(title)
  return key?.topic === topic && key.box === box
}

export function encodePaste(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** Undefined for what is no record. */
export function decodePaste(text: string): Uint8Array | undefined {
  const joined = text.replace(/[\r\n]/g, '')
  if (joined.length === 0 || !Base64.test(joined)) return undefined
  const bytes = new Uint8Array(Buffer.from(joined, 'base64'))
  return bytes.length === 0 || bytes.length > MaxRecordBytes ? undefined : bytes
}
