import type { Random } from '../../core/ports.js'
import type { StunCrypto } from '../stun/message.js'
import type { LongTermKey, TurnCredentials } from './authentication.js'

export interface TurnClientOptions {
  readonly crypto: StunCrypto
  readonly random: Random
  readonly longTermKey: LongTermKey
  /** Over UDP requests are sent again; over a stream messages are padded, and pieces put together. */
  readonly transport: 'udp' | 'stream'
  /**
   * Asked once for each allocation, which keeps its user. Undefined for a server that wants none; answers of
   * any server are believed then.
   */
  readonly credentials?: () => TurnCredentials
  /** Of the relayed address. Default 4. */
  readonly family?: 4 | 6
  /** How long nothing may come before the server is asked whether the allocation is alive, ms. Default 25,000. */
  readonly keepaliveMs?: number
}
