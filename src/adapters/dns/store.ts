/** What the adapter asks of whatever keeps its records. Every method can fail with a `SignallingError`. */
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'

export interface FoundRecord {
  readonly sender: string
  readonly bytes: Uint8Array
  readonly expiresInMs: number
}

/** Reads one box for one watcher. */
export interface BoxReader {
  /** What it has not returned before. */
  read(signal: AbortSignal): Promise<readonly FoundRecord[]>
  /** What others still have of the box, where it cannot be read now. */
  readCached?(signal: AbortSignal): Promise<readonly FoundRecord[]>
  close?(): void
}

export interface RecordStore {
  /** Resolves when the store can be used. */
  probe(signal: AbortSignal): Promise<void>
  /** @param onChange called where the store knows by itself that there is something to read */
  reader(topic: Topic, box: Box, onChange: () => void): BoxReader
  /** Stores a record in place of the same sender's. */
  put(record: SignalRecord, signal: AbortSignal): Promise<void>
  /** Whether the record is there, as it was put. */
  holds(record: SignalRecord, signal: AbortSignal): Promise<boolean>
  remove(key: RecordKey, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}
