import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const dhtTraits: SignallingTraits = {
  maxRecordBytes: 8192,
  delivery: 'push',
  // Once host and guest are connected. Finding each other takes some seconds on the public DHT.
  typicalLatencyMs: 200,
  // Whoever publishes keeps the record and shows it to each who comes, for as long as he is there.
  standing: { host: true, join: true, reply: true },
  retracts: true,
  expires: true,
  needsCredentials: false,
}
