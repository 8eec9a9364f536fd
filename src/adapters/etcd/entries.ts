/** What etcd is asked for, and what it shows. */
import type { SignallingError } from '../../core/errors.js'

/** A key and what lies there. Numbers of 64 bits are decimal text. */
export interface KeyValue {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly mod_revision: string
  readonly lease: string
}

export interface RangeReply {
  /** The latest first. */
  readonly entries: readonly KeyValue[]
  /** Of the store, when it was read. */
  readonly revision: bigint
}

export interface RangeLimits {
  readonly limit: number
  /** Only what was stored before this revision. */
  readonly before?: bigint | undefined
  /** Values are left empty. */
  readonly keysOnly?: boolean
}

export interface WatchHandlers {
  readonly onPut: (entry: KeyValue) => void
  readonly onDelete: () => void
  /** It shows nothing more, while the session goes on: `watch-refused`, `etcd-compacted`. */
  readonly onEnd: (error: SignallingError) => void
}

/** Compares and changes keys in one step (etcd's Txn). */
export interface Transaction {
  readonly compare: readonly object[]
  readonly success: readonly object[]
  readonly failure?: readonly object[]
}
