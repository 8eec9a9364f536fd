/**
 * What ties a password's proof to one tunnel: a login that somebody relays between two tunnels proves nothing in
 * either (docs/protocol.md, Admission).
 */
import { concatenate, utf8 } from '../../core/encoding.js'
import type { Crypto } from '../../core/ports.js'

/** The two ends of a tunnel. Keys are 32 bytes. */
export interface TunnelBinding {
  readonly hostKey: Uint8Array
  readonly guestKey: Uint8Array
  readonly hostWireguard: Uint8Array
  readonly guestWireguard: Uint8Array
  /** 16 hex digits. */
  readonly epoch: string
}

/** Shows that `role` has OPAQUE's session key, and that it is for this tunnel. 32 bytes. */
export function tunnelProof(
  crypto: Pick<Crypto, 'hmacSha256'>,
  sessionKey: Uint8Array,
  role: 'host' | 'guest',
  binding: TunnelBinding,
): Uint8Array {
  const { hostKey, guestKey, hostWireguard, guestWireguard, epoch } = binding
  const what = utf8(`gonet/1 admission ${role}\n`)
  return crypto.hmacSha256(
    sessionKey,
    concatenate(what, hostKey, guestKey, hostWireguard, guestWireguard, utf8(epoch)),
  )
}
