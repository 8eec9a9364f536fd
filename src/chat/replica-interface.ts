/** What a replica needs, what it tells, and what it sends. */
import type { GonetError } from '../core/errors.js'
import type { Crypto, Random, Store, Wall } from '../core/ports.js'

export interface ChatReplicaOptions {
  readonly room: string
  readonly author: {
    /** Ed25519, 32 bytes. */
    readonly publicKey: Uint8Array
    readonly sign: (bytes: Uint8Array) => Uint8Array
  }
  /** The author's display name. */
  readonly name: string
  readonly crypto: Pick<Crypto, 'sha256' | 'verify'>
  readonly random: Random
  readonly wall: Wall
  readonly store: Store
  /** Whether entries of an author may come in from neighbours. */
  readonly accepts: (author: Uint8Array) => boolean
  /** Whether this replica is the room's hub, which decides what counts as delivered. */
  readonly hub: boolean
  /** How many entries a newcomer is given. */
  readonly historyLimit: number
}

export type ChatEvent =
  | {
      readonly type: 'message'
      /** Whether it was posted here. */
      readonly own: boolean
      readonly author: Uint8Array
      readonly id: string
      readonly name: string
      readonly text: string
      /** Whether something that belongs after it was shown before. */
      readonly late: boolean
    }
  /** Every member online has this message of ours. */
  | { readonly type: 'delivered'; readonly id: string }
  /** The log cannot be kept on disk any more; it goes on in memory. Once, until it can again. */
  | { readonly type: 'store-failed'; readonly error: GonetError }

export interface ChatTransmit {
  readonly neighbour: string
  /** At most 1000 bytes. */
  readonly payload: Uint8Array
}
