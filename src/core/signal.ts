import type { Box, RecordKey, SignalRecord, Topic } from './signalling-adapter.js'

/** What a signalling machine wants done on the backends. `adapter` names one; without it, all of them. */
export type SignalTransmit =
  | {
      readonly kind: 'publish'
      readonly record: SignalRecord
      readonly adapter?: string
      /** The same record again: only for backends where the box does not stand. */
      readonly repeat: boolean
    }
  | { readonly kind: 'retract'; readonly key: RecordKey }
  | { readonly kind: 'watch' | 'unwatch'; readonly topic: Topic; readonly box: Box }
