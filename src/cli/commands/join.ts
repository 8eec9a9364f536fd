import { UsageError } from '../../core/errors.js'
import { nearest } from '../../node/config/suggestion.js'
import { openGuestRoom } from '../../node/open-room.js'
import type { GlobalOptions } from '../global-options.js'
import { runRoom } from '../run-room.js'

/**
 * @param room a room id, a `gonet://` link, or the host's public key in base64
 * @param commands what a mistyped command may have meant: one that is unknown is taken for a room
 */
export async function join(room: string, options: GlobalOptions, commands: readonly string[]): Promise<void> {
  try {
    await runRoom({
      role: 'guest',
      status: 'looking for the room ...',
      options,
      open: (settings) => openGuestRoom(room, settings),
    })
  } catch (error) {
    const meant = nearest(room, commands)
    if (!(error instanceof UsageError) || error.code !== 'room-id-invalid' || meant === undefined) throw error
    throw new UsageError(error.code, `'${room}' is neither a command nor a room id`, {
      advice: `Did you mean gonet ${meant}?`,
    })
  }
}
