/** What the registry knows of a backend before anything of it is loaded. */
import type { $ZodType } from 'zod/v4/core'
import type { AddressAllocator } from '../core/address-allocator.js'
import type { Clock, Logger, Random } from '../core/ports.js'
import type { AdapterState, SignallingAdapter, SignallingTraits } from '../core/signalling-adapter.js'

/** What an adapter gets from outside. */
export interface AdapterContext {
  /** Called on every change. Before the first call the adapter is still trying. */
  readonly onState: (state: AdapterState) => void
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface AdapterDefinition<Options = unknown> {
  /** In `--signal`, in events, and the key of its section below `adapters` in the configuration. */
  readonly name: string
  /** One line. */
  readonly description: string
  readonly traits: SignallingTraits
  /** Its section of the configuration: strict, with defaults and descriptions. */
  readonly options: $ZodType<Options>
  /** Loads the backend's library, and makes an adapter that is not open yet. */
  create(options: Options, context: AdapterContext): Promise<SignallingAdapter>
  /** Loads the backend's library, and makes what gives out addresses for all hosts; where it can do that. */
  allocator?(options: Options, context: Omit<AdapterContext, 'onState'>): Promise<AddressAllocator>
  /** Whether every server that these options name is on this machine. False for options that are wrong. */
  loopbackOnly(options: Options): boolean
}
