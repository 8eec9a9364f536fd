import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const dnsTraits: SignallingTraits = {
  // Where a record goes up in query names, each 100 bytes cost a query.
  maxRecordBytes: 4608,
  delivery: 'poll',
  typicalLatencyMs: 500,
  standing: { host: true, join: true, reply: true },
  retracts: true,
  // A zone keeps what it is told to keep: readers drop what has expired.
  expires: false,
  needsCredentials: false,
}
