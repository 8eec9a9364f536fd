import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const opendhtTraits: SignallingTraits = {
  // Nodes take values of 64 KiB.
  maxRecordBytes: 8192,
  delivery: 'push',
  typicalLatencyMs: 200,
  standing: { host: true, join: true, reply: true },
  // A DHT forgets nothing before its time, but watchers that are gonet heed a retraction.
  retracts: true,
  // After 10 minutes, whatever a record says.
  expires: false,
  needsCredentials: false,
}
