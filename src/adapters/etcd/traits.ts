import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const etcdTraits: SignallingTraits = {
  // Far below what etcd takes by default (1.5 MiB a request), and above any message of the protocol.
  maxRecordBytes: 8192,
  delivery: 'push',
  typicalLatencyMs: 5,
  standing: { host: true, join: true, reply: true },
  retracts: true,
  expires: true,
  needsCredentials: false,
}
