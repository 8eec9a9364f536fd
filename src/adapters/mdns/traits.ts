import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const mdnsTraits: SignallingTraits = {
  maxRecordBytes: 8192,
  delivery: 'push',
  typicalLatencyMs: 5,
  // Who published a record answers for it, as long as it counts.
  standing: { host: true, join: true, reply: true },
  retracts: true,
  expires: true,
  needsCredentials: false,
}
