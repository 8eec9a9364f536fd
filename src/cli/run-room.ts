/** A room on this process's own streams and signals. */
import { systemClock } from '../node/clock.js'
import { ControlServer } from '../node/control/server.js'
import type { OpenRoomOptions } from '../node/open-room.js'
import type { Room } from '../room/room.js'
import { type Front, makeFront } from './front.js'
import type { GlobalOptions } from './global-options.js'
import { interrupt, leaveOnSignals } from './leave-signals.js'
import { runSession } from './session.js'
import { loadSettings, makeLogger, openState } from './settings.js'

export interface RoomCommand {
  readonly role: 'host' | 'guest'
  /** What is going on until the room is up, for a terminal. */
  readonly status: string
  readonly options: GlobalOptions
  readonly open: (settings: OpenRoomOptions) => Promise<Room>
}

/** @throws GonetError: whatever ended the room, or kept it from opening */
export async function runRoom({ role, status, options, open }: RoomCommand): Promise<void> {
  const loaded = await loadSettings(options)
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  let front: Front | undefined
  const restore = (): void => front?.output.close()
  process.on('exit', restore)
  let control: ControlServer | undefined
  let failure: unknown
  try {
    const logger = await makeLogger(loaded, options, (line) => front?.output.notice(line.trimEnd()))
    front = await makeFront(options, status, () => interrupt(leave))
    for (const warning of loaded.warnings) front.output.notice(`gonet: ${warning}`)
    const { output, lines, interactive, askPassword } = front
    const timeoutMs = options.timeout * 1000
    const state = openState(options)
    control = new ControlServer({ state: state.directory, clock: systemClock, logger })
    const room = await open({ loaded, state, logger, timeoutMs, askPassword, control })
    const stay = options.stay === true
    await runSession({
      room,
      role,
      output,
      lines,
      interactive,
      stay,
      clock: systemClock,
      leave: leave.signal,
    })
  } catch (error) {
    failure = error
    throw error
  } finally {
    await control?.close(failure instanceof Error ? failure : undefined)
    restore()
    process.off('exit', restore)
    stopListening()
  }
}
