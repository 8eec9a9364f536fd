/**
 * The one interface that a signalling backend implements. An adapter carries opaque bytes: the core signs,
 * seals, times, and de-duplicates them. It copes with late, doubled and missing records, and trusts none.
 */

/** Where a record lies: the host's beacon, the guests' joins, or the answers to one guest. */
export type Box = 'host' | 'join' | `reply/${string}`

/** 20 characters of base32 (a–z, 2–7), derived from the room; says nothing about it. */
export type Topic = string

/** What a record replaces, and what a retraction removes. `sender` is 1 to 64 characters of [0-9a-z]. */
export interface RecordKey {
  readonly topic: Topic
  readonly box: Box
  readonly sender: string
}

export interface SignalRecord extends RecordKey {
  readonly bytes: Uint8Array
  /** How long the backend should keep it, from publication; best effort. Watchers may report 0 (unknown). */
  readonly expiresInMs: number
}

/** The differences between backends, as data: the engine and the shared test suite read them. */
export interface SignallingTraits {
  /** The largest `bytes` that publish takes; the adapter splits where its backend takes less. At least 4,608. */
  readonly maxRecordBytes: number
  readonly delivery: 'push' | 'poll'
  /** From publish to a watcher's callback, in ms, when all is well. */
  readonly typicalLatencyMs: number
  /** Whether a watcher is shown what was published before it came. Where not, the engine republishes. */
  readonly standing: { readonly host: boolean; readonly join: boolean; readonly reply: boolean }
  /** Whether a retraction reaches the backend (else records only expire). */
  readonly retracts: boolean
  /** Whether the backend itself drops records at `expiresInMs`. */
  readonly expires: boolean
  readonly needsCredentials: boolean
}

/** Up, or down with the reason for a person. Reported on every change. */
export type AdapterState = { readonly state: 'up' } | { readonly state: 'down'; readonly reason: string }

export interface SignallingAdapter {
  /** The name in the registry, in `--signal` and in events. */
  readonly name: string
  readonly traits: SignallingTraits
  /**
   * Starts connecting and returns when the adapter can be used, whether or not the backend answers yet:
   * it goes on trying by itself, with backoff and jitter, and reports through the `onState` callback that
   * it was made with.
   * @throws UsageError for a wrong configuration; the signal's reason on abort. Nothing else.
   */
  open(
    as: { readonly role: 'host' | 'guest'; readonly topics: readonly Topic[] },
    signal: AbortSignal,
  ): Promise<void>
  /**
   * Stores a record, replacing the same sender's record in that box. Resolves when the backend has it;
   * while the backend is down it waits.
   * @throws SignallingError `record-too-large`, or the backend's refusal; the signal's reason on abort.
   */
  publish(record: SignalRecord, signal: AbortSignal): Promise<void>
  /** Removes a record of ours, best effort; resolves at once where the backend is down. */
  retract(key: RecordKey, signal: AbortSignal): Promise<void>
  /**
   * Reports every record of a box, now (where the box stands) and from now on, until abort or close.
   * Resolves after its first read; re-reads after every reconnect, so records may be reported again.
   */
  watch(topic: Topic, box: Box, onRecord: (record: SignalRecord) => void, signal: AbortSignal): Promise<void>
  /** Ends everything, removing what this adapter's death would remove. Idempotent; never rejects. */
  close(): Promise<void>
}
