import type { Clock, Random } from '../../core/ports.js'
import type { SignalRecord, Topic } from '../../core/signalling-adapter.js'
import type { DhtNode } from './node.js'

/** What everything has that happens for one topic. */
export interface TopicEnvironment {
  readonly node: DhtNode
  readonly topic: Topic
  readonly clock: Clock
  readonly random: Random
  /** False where peers are to meet by mailboxes alone, as where no connection can be made. */
  readonly connects: boolean
}

export type OnRecord = (record: SignalRecord) => void
