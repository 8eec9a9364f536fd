/**
 * Where records lie on a broker: `<prefix>/1/<topic>/<box>/<sender>`. The 1 is the version of this layout.
 */
import type { Box, RecordKey, Topic } from '../../core/signalling-adapter.js'

const LayoutVersion = '1'
const Sender = /^[0-9a-z]{1,64}$/

/** The topic name that all records of a box begin with, without the sender. */
export function boxTopic(prefix: string, topic: Topic, box: Box): string {
  return `${prefix}/${LayoutVersion}/${topic}/${box}`
}

/** The topic name of a record. */
export function recordTopic(prefix: string, { topic, box, sender }: RecordKey): string {
  return `${boxTopic(prefix, topic, box)}/${sender}`
}

/** The filter that matches every record of a box. */
export function boxFilter(name: string): string {
  return `${name}/+`
}

/** Takes a topic name apart, or undefined where the sender is not one. */
export function parseRecordTopic(
  name: string,
): { readonly box: string; readonly sender: string } | undefined {
  const slash = name.lastIndexOf('/')
  const sender = name.slice(slash + 1)
  return slash > 0 && Sender.test(sender) ? { box: name.slice(0, slash), sender } : undefined
}
