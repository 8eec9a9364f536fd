import { UsageError } from '../../core/errors.js'
import { formatKey, identityFromSeed } from '../../core/identity.js'
import { formatRoomId, parseRoomId } from '../../core/room-id.js'
import { nodeCrypto } from '../../node/crypto.js'
import type { GlobalOptions } from '../global-options.js'
import { safeJson } from '../output/safe-text.js'
import { readInput } from '../read-input.js'
import { openState } from '../settings.js'

const IdentityBytesMax = 4096

/** @throws UsageError `identity-invalid`, `identity-exposed` */
export function showIdentities(options: GlobalOptions): void {
  const state = openState(options)
  const guest = keyOf(state.readGuest())
  const rooms = state.hostedRooms().map((room) => ({ room, key: keyOf(state.readRoom(room)) }))
  if (options.json === true) {
    process.stdout.write(`${safeJson({ guest: guest === undefined ? null : { key: guest }, rooms })}\n`)
    return
  }
  const lines = [`guest  ${guest ?? 'none yet: the first join makes one'}`]
  for (const { room, key } of rooms) lines.push(`room   ${key ?? ''}  ${formatRoomId(room)}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

/** @throws UsageError `identity-missing`, `room-id-invalid` and what reading identities throws */
export function exportIdentity(room: string | undefined, options: GlobalOptions): void {
  const id = room === undefined ? undefined : parseRoomId(room)
  process.stdout.write(openState(options).exportIdentity(id))
}

/** @throws UsageError `identity-invalid`, `identity-exists`, `file-unreadable` */
export async function importIdentity(file: string, options: GlobalOptions): Promise<void> {
  const bytes = await readInput(file, IdentityBytesMax)
  const source = file === '-' ? 'stdin' : file
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new UsageError('identity-invalid', `${source} is not a usable identity: it is not UTF-8`, {
      cause: error,
    })
  }
  const { room } = openState(options).importIdentity(text, source, nodeCrypto)
  if (options.json === true) process.stdout.write(`${safeJson({ room: room ?? null })}\n`)
  else process.stdout.write(room === undefined ? 'guest\n' : `room ${formatRoomId(room)}\n`)
}

function keyOf(seed: Uint8Array | undefined): string | undefined {
  return seed && formatKey(identityFromSeed(nodeCrypto, seed).publicKey)
}
