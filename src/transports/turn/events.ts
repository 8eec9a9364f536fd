/** What a TURN client says to its owner. */
import type { SocketAddress } from '../../core/machine.js'

export type TurnEvent =
  /** The server relays what comes to `relayed`. `mapped`: where it sees this client. */
  | { readonly type: 'allocated'; readonly relayed: SocketAddress; readonly mapped: SocketAddress }
  /** These IP addresses may send to the relayed address, and can be sent to. */
  | { readonly type: 'permitted'; readonly addresses: readonly string[] }
  /** The server does not permit this; it is asked again where `permit` is called again. */
  | { readonly type: 'denied'; readonly address: string; readonly status: number; readonly reason: string }
  | { readonly type: 'data'; readonly peer: SocketAddress; readonly bytes: Uint8Array }
  /**
   * The server gives no allocation. `final`: nor will it, as things are, and the client rests until it is
   * started again. Else it tries again by itself, ever more slowly.
   */
  | ({ readonly type: 'failed'; readonly final: boolean } & TurnFailure)
  /** The server wants to be replaced by this one: start the client again with it. `domain`: its TLS name. */
  | { readonly type: 'redirect'; readonly server: SocketAddress; readonly domain: string | undefined }
  /** The allocation is gone, and its relayed address with it; the client tries for another by itself. */
  | ({ readonly type: 'lost' } & TurnFailure)
  /** On streams: it is time for a new stream. Open one, and start the client again with it. */
  | { readonly type: 'reconnect' }
  /** The server has freed the allocation, or will not say. */
  | { readonly type: 'closed' }

export interface TurnFailure {
  readonly code: TurnFailureCode
  /** The server's number, where it has given one. */
  readonly status: number | undefined
  /** A sentence without a final stop; fit for a terminal, whatever the server has sent. */
  readonly reason: string
}

export type TurnFailureCode =
  /** No answer. */
  | 'turn-unreachable'
  /** The stream has ended, or makes no sense. */
  | 'turn-stream'
  /** Answers, all of them with a wrong signature or with none. */
  | 'turn-unauthentic'
  /** 401, 431, 441: wrong, expired or missing credentials. */
  | 'turn-unauthorized'
  /** 437. */
  | 'turn-mismatch'
  /** 486. */
  | 'turn-quota'
  /** 508. */
  | 'turn-capacity'
  /** 300 without a server, to one that was tried, or too often. */
  | 'turn-redirect'
  /** Any other error. */
  | 'turn-refused'
  /** A success that lacks what it must have, or has what is not understood. */
  | 'turn-unusable'
