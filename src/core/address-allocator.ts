/**
 * Addresses given out by a store that every host shares (docs/decisions/0010): what it is asked, and what it
 * is told. A backend that can compare and swap offers it beside signalling.
 */
import type { Subnet } from './overlay.js'
import type { Topic } from './signalling-adapter.js'

/** Somebody who is to have an address of a room's network, in words that say nothing to the store. */
export interface AddressClaim {
  readonly topic: Topic
  /** Whose it is: 1 to 64 characters of [0-9a-z], the same for the same member and room. */
  readonly holder: string
  /** Who it is, sealed for the room's hosts. */
  readonly sealed: Uint8Array
  /** The same in JSON, for a store whose operator may read it. */
  readonly readable: string
}

export interface AddressRequest extends AddressClaim {
  readonly subnet: Subnet
  /** The number within the network that it had before, if it had one. */
  readonly preferred: number | undefined
  /** Numbers that the host knows to be in use. */
  readonly avoid: ReadonlySet<number>
}

export interface AddressAllocator {
  /**
   * The number of an address that nobody else has: the holder's own, while it has one. It stays the holder's
   * for a minute at least.
   * @returns undefined where every address is in use
   * @throws SignallingError why the store cannot say; the signal's reason on abort
   */
  allocate(request: AddressRequest, signal: AbortSignal): Promise<number | undefined>
  /** The holder is in the room: from now on its address stays its own, until minutes after `release`. */
  keep(claim: AddressClaim, address: HeldAddress): void
  /** The holder has left the room. */
  release(claim: Pick<AddressClaim, 'topic' | 'holder'>): void
  /** Idempotent; never rejects. What is held stays held for minutes. */
  close(): Promise<void>
}

export interface HeldAddress {
  readonly subnet: Subnet
  readonly number: number
}

/** What a host wants of the store. */
export type AddressTransmit =
  /** To be answered: `id` names the answer. */
  | { readonly kind: 'allocate'; readonly id: string; readonly request: AddressRequest }
  | { readonly kind: 'keep'; readonly claim: AddressClaim; readonly address: HeldAddress }
  | { readonly kind: 'release'; readonly claim: Pick<AddressClaim, 'topic' | 'holder'> }

/** A number; that there is none; or that the store cannot be asked. */
export type AddressAnswer = number | 'none' | 'unavailable'
