/** What the port mapper says, and counts. */
import type { SocketAddress } from '../../core/machine.js'

export type PortMappingProtocol = 'pcp' | 'nat-pmp'

export type PortMapperEvent =
  /** The router forwards what comes to `external`: the first mapping, or another address or protocol. */
  | {
      readonly type: 'mapped'
      readonly external: SocketAddress
      readonly protocol: PortMappingProtocol
      readonly lifetimeMs: number
    }
  | PortMappingFailed
  /** The router no longer forwards. It is asked again. */
  | { readonly type: 'lost' }
  /** The mapping is deleted, or the router does not say so: the mapper does nothing any more. */
  | { readonly type: 'closed' }

/**
 * There is no mapping now; the router is asked again in some minutes. `double-nat`: its external address, in
 * `external`, is of an inner network, so that the internet cannot reach it.
 */
export interface PortMappingFailed {
  readonly type: 'failed'
  readonly reason: 'no-answer' | 'refused' | 'double-nat'
  /** The router's result code by its name in the RFC, where there is one. */
  readonly result?: string
  readonly external?: SocketAddress
}

/** What was dropped, by reason. Numbers only grow. */
export interface PortMapperCounters {
  /** From somewhere else than the router's port. */
  foreign: number
  /** No whole message of PCP or NAT-PMP. */
  malformed: number
  /** An answer to something that was not asked: another nonce, another port, another opcode. */
  unexpected: number
}
