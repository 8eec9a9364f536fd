/** What comes out of a device. */
import type { Endpoint } from '../../core/machine.js'

/** The peer of a cookie reply: whoever asked for it is nobody yet. */
export const Nobody = ''

/** A datagram for a peer, or for Nobody. */
export interface DeviceTransmit {
  readonly peer: string
  readonly bytes: Uint8Array
  /**
   * A peer with an endpoint: where it is now. Else, for a handshake response: the source of its initiation.
   * Else undefined. For Nobody: the source of what is answered, and the only place to send it to.
   */
  readonly replyTo: Endpoint | undefined
}

export type DeviceEvent =
  /** An inner IP packet without padding, whose source address is allowed for this peer. */
  | { readonly type: 'packet'; readonly peer: string; readonly bytes: Uint8Array }
  /** A new session can be used: the response was consumed, or the initiator's first message has come. */
  | { readonly type: 'session'; readonly peer: string }
  /** Something authentic came, at least once since this event was last polled. */
  | { readonly type: 'authenticated'; readonly peer: string; readonly source: Endpoint }
  /** RekeyAttemptTime went by without a response, or the keys were forgotten (three times RejectAfterTime). */
  | { readonly type: 'expired'; readonly peer: string }
