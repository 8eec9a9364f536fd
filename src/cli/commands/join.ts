import { openGuestRoom } from '../../node/open-room.js'
import type { GlobalOptions } from '../global-options.js'
import { runRoom } from '../run-room.js'

/** @param room a room id, a `gonet://` link, or the host's public key in base64 */
export async function join(room: string, options: GlobalOptions): Promise<void> {
  await runRoom({
    role: 'guest',
    status: 'looking for the room ...',
    options,
    open: (settings) => openGuestRoom(room, settings),
  })
}
