import { UsageError } from '../../core/errors.js'
import { parseRoomId } from '../../core/room-id.js'
import { type OpenRoomOptions, openHostRoom } from '../../node/open-room.js'
import { findRoomKey } from '../find-room-key.js'
import type { GlobalOptions } from '../global-options.js'
import { runRoom } from '../run-room.js'
import { openState } from '../settings.js'

/**
 * Hosts a room until SIGINT or SIGTERM.
 * @param isNew whether to host another room than before
 */
export async function create(
  room: string | undefined,
  isNew: boolean,
  options: GlobalOptions,
): Promise<void> {
  if (isNew && room !== undefined) {
    throw new UsageError('usage', '--new makes a room with an id of its own, so none can be given with it')
  }
  const named = room === undefined ? undefined : parseRoomId(room)
  if (named !== undefined) await findRoomKey(named, openState(options), options)
  await runRoom({
    role: 'host',
    status: 'opening the room ...',
    options,
    open: (settings) => openHostRoom(isNew ? 'new' : (named ?? configuredRoom(settings)), settings),
  })
}

/** A guest's configuration names a room that it joins, not one that it hosts. */
function configuredRoom({ loaded: { config } }: OpenRoomOptions): string | undefined {
  return config.role === 'guest' ? undefined : config.room
}
