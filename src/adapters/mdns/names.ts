import type { Box, Topic } from '../../core/signalling-adapter.js'

/** RFC 1035 section 2.3.4. */
const MaxLabelBytes = 63

/**
 * The name that all records of a box have, so that one question enumerates it:
 * `host.<topic>._gonet._udp.local`, `<guest>.reply.<topic>._gonet._udp.local`.
 */
export function boxName(topic: Topic, box: Box): string {
  return [...boxLabels(box), topic, '_gonet', '_udp', 'local'].join('.')
}

/** A guest's id may be one character longer than a label. */
function boxLabels(box: Box): string[] {
  const [kind = '', guest] = box.split('/')
  if (guest === undefined) return [kind]
  return [guest.slice(0, MaxLabelBytes), guest.slice(MaxLabelBytes), kind].filter((label) => label !== '')
}
