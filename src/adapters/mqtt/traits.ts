import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const mqttTraits: SignallingTraits = {
  // Far below what brokers take by default (1 MiB and more), and above any message of the protocol.
  maxRecordBytes: 8192,
  delivery: 'push',
  typicalLatencyMs: 50,
  // Only the beacon is retained: a broker keeps one message a topic for ever, unless somebody erases it.
  standing: { host: true, join: false, reply: false },
  retracts: true,
  // MQTT 5 brokers do expire beacons, those that speak 3.1.1 do not.
  expires: false,
  needsCredentials: false,
}
