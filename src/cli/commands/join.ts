import { UsageError } from '../../core/errors.js'
import { nearest } from '../../node/config/suggestion.js'
import { type OpenRoomOptions, openGuestRoom } from '../../node/open-room.js'
import type { GlobalOptions } from '../global-options.js'
import { runRoom } from '../run-room.js'

/**
 * @param room a room id, a `gonet://` link, or the host's public key in base64; by default the configured room
 * @param commands what a mistyped command may have meant: one that is unknown is taken for a room
 */
export async function join(
  room: string | undefined,
  options: GlobalOptions,
  commands: readonly string[],
): Promise<void> {
  try {
    await runRoom({
      role: 'guest',
      status: 'looking for the room ...',
      options,
      open: (settings) => openGuestRoom(room ?? configuredRoom(settings), settings),
    })
  } catch (error) {
    const meant = room === undefined ? undefined : nearest(room, commands)
    if (!(error instanceof UsageError) || error.code !== 'room-id-invalid' || meant === undefined) throw error
    throw new UsageError(error.code, `'${room ?? ''}' is neither a command nor a room id`, {
      advice: `Did you mean gonet ${meant}?`,
    })
  }
}

function configuredRoom({ loaded }: OpenRoomOptions): string {
  const { room } = loaded.config
  if (room !== undefined) return room
  throw new UsageError('room-missing', 'No room is named, and none is configured', {
    advice: 'Write gonet join and the id or link that the host shows',
  })
}
