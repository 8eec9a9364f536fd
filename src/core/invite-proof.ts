/** How a guest shows that it was invited (docs/protocol.md, Invites). */

import { type InviteProof, type Join, writeJoinBody } from './messages.js'
import type { Crypto } from './ports.js'

/** What somebody who was invited has of the invite. */
export interface InviteKey {
  /** 8 hex digits: names the invite to its host, and is no secret. */
  readonly id: string
  /** 16 bytes. */
  readonly secret: Uint8Array
}

/** Shows that the guest of a join has an invite's secret: for this join only, and without giving the secret away. */
export function proveInvite(
  crypto: Pick<Crypto, 'hkdfSha256' | 'hmacSha256'>,
  { id, secret }: InviteKey,
  join: Join,
): InviteProof {
  const key = crypto.hkdfSha256(secret, undefined, 'gonet/1 invite', 32)
  return { id, proof: crypto.hmacSha256(key, writeJoinBody(join)) }
}
