import type { SignallingTraits } from '../../core/signalling-adapter.js'

export const pastebinTraits: SignallingTraits = {
  // In base64 far below what paste sites take (512 KiB at pastebin.com).
  maxRecordBytes: 8192,
  delivery: 'poll',
  typicalLatencyMs: 5000,
  standing: { host: true, join: true, reply: true },
  retracts: true,
  // After 10 minutes or a day, whatever a record says.
  expires: false,
  needsCredentials: true,
}
