import { formatRoomId } from '../../core/room-id.js'
import { findRunningRoom } from '../../node/control/find-running-room.js'
import { runAttachedSession } from '../attached-session.js'
import { type Front, makeFront } from '../front.js'
import type { GlobalOptions } from '../global-options.js'
import { interrupt, leaveOnSignals } from '../leave-signals.js'
import { openState } from '../settings.js'

/**
 * Chats in a running room, which goes on when this ends.
 * @throws GonetError what finding the running room throws; what ended the room
 */
export async function chat(options: GlobalOptions): Promise<void> {
  const { client, running } = await findRunningRoom(openState(options).directory, options.room)
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  let front: Front | undefined
  const restore = (): void => front?.output.close()
  process.on('exit', restore)
  try {
    const room = formatRoomId(running.room)
    front = await makeFront(options, `in room ${room}`, () => interrupt(leave))
    const { interactive, lines, output } = front
    if (interactive) output.notice(`gonet: in room ${room}; Ctrl-C goes, and the room runs on`)
    const stay = options.stay === true
    await runAttachedSession({ client, output, lines, interactive, stay, leave: leave.signal })
  } finally {
    client.close()
    restore()
    process.off('exit', restore)
    stopListening()
  }
}
