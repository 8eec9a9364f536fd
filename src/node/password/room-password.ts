/** A room's password at its host: registered once, and kept as what guesses are tested by. */
import { fromUtf8, utf8 } from '../../core/encoding.js'
import { GonetError, UsageError } from '../../core/errors.js'
import type { PasswordProof } from '../../core/password-proof.js'
import type { Store } from '../../core/ports.js'
import type { PasswordRegistration } from './opaque.js'
import { hostPassword } from './password-thread.js'

const StoreName = 'password'
const Version = 1

/**
 * @param store the room's
 * @param password what the user gave; undefined to use what was registered before
 * @throws UsageError `password-missing`; GonetError `store-failed`, `password-unreadable`, `password-thread`
 */
export async function openRoomPassword(
  store: Store,
  hostKey: Uint8Array,
  password: string | undefined,
): Promise<PasswordProof> {
  const secret = password ?? readRegistration(store)
  if (secret === undefined) {
    throw new UsageError('password-missing', 'This room is to ask for a password, and has none yet', {
      advice: 'Give one with --password-file FILE or GONET_PASSWORD; it is not needed again later',
    })
  }
  const { proof, registration } = await hostPassword(hostKey, secret)
  if (password !== undefined) {
    store.write(StoreName, utf8(`${JSON.stringify({ version: Version, ...registration })}\n`))
  }
  return proof
}

function readRegistration(store: Store): PasswordRegistration | undefined {
  const bytes = store.read(StoreName)
  if (bytes === undefined) return undefined
  try {
    const { version, setup, record } = JSON.parse(fromUtf8(bytes) ?? '') as Record<string, unknown>
    if (version === Version && typeof setup === 'string' && typeof record === 'string')
      return { setup, record }
  } catch {
    // Told of below, as any other form.
  }
  throw new GonetError('password-unreadable', `The file ${StoreName} of this room is not what gonet wrote`, {
    advice: 'Give the password again with --password-file FILE',
  })
}
