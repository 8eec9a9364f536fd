/**
 * A room's secret: where those who were invited find it (docs/protocol.md, Invites). Its host makes it with the first
 * invite, and keeps it as long as the room; a guest keeps what its invite brought.
 */
import { fromHex, fromUtf8, toHex, utf8 } from '../core/encoding.js'
import { UsageError } from '../core/errors.js'
import { SecretBytes } from '../core/invite.js'
import type { Random, Store } from '../core/ports.js'

/** What it is kept as. */
export const RoomSecretName = 'room-secret'

/**
 * @param store the room's
 * @throws UsageError `room-secret-invalid`; GonetError `store-failed`
 */
export function readRoomSecret(store: Store): Uint8Array | undefined {
  const bytes = store.read(RoomSecretName)
  if (bytes === undefined) return undefined
  const secret = fromHex((fromUtf8(bytes) ?? '').trim(), SecretBytes)
  if (secret !== undefined) return secret
  throw new UsageError(
    'room-secret-invalid',
    `The file ${RoomSecretName} of this room is not what gonet wrote`,
    {
      advice: 'Put a copy back. Without the file, invites that were given out lead nowhere',
    },
  )
}

/** @throws GonetError `store-failed` */
export function keepRoomSecret(store: Store, secret: Uint8Array): void {
  const text = `${toHex(secret)}\n`
  if (fromUtf8(store.read(RoomSecretName) ?? new Uint8Array()) !== text)
    store.write(RoomSecretName, utf8(text))
}

/** @throws GonetError `store-failed` */
export function makeRoomSecret(store: Store, random: Random): Uint8Array {
  const secret = random.bytes(SecretBytes)
  keepRoomSecret(store, secret)
  return secret
}
