import { UsageError } from '../../core/errors.js'
import { formatRoomId } from '../../core/room-id.js'
import { systemClock } from '../../node/clock.js'
import type { LoadedConfig } from '../../node/config/load-config.js'
import { ControlServer } from '../../node/control/server.js'
import { type OpenRoomOptions, openGuestRoom, openHostRoom } from '../../node/open-room.js'
import { ServiceNotifier } from '../../node/service-notifier.js'
import type { Room } from '../../room/room.js'
import { EventLog } from '../event-log.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { loadSettings, makeLogger, openState } from '../settings.js'

/**
 * Runs what the configuration says until a signal or a command ends it: log lines instead of a chat, and no time limit.
 * @throws UsageError `role-missing`, `room-missing`, ConfigError; what ended the room
 */
export async function up(options: GlobalOptions): Promise<void> {
  const loaded = await loadSettings(options)
  const open = opener(loaded)
  const logger = await makeLogger(loaded, options)
  for (const warning of loaded.warnings) logger.warn(warning)
  const state = openState(options)
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const notifier = new ServiceNotifier({ environment: process.env, clock: systemClock, logger })
  leave.signal.addEventListener('abort', () => notifier.stopping())
  const control = new ControlServer({ state: state.directory, clock: systemClock, logger })
  let failure: unknown
  try {
    const abort = leave.signal
    const room = await open({ loaded, state, logger, timeoutMs: undefined, abort, control })
    await follow(room, new EventLog(logger), notifier)
  } catch (error) {
    failure = error
    throw error
  } finally {
    if (!leave.signal.aborted) notifier.stopping()
    await control.close(failure instanceof Error ? failure : undefined)
    await notifier.close()
    stopListening()
  }
}

async function follow(room: Room, log: EventLog, notifier: ServiceNotifier): Promise<void> {
  const id = formatRoomId(room.id)
  let isUp = false
  notifier.ready(`room ${id}: not up yet`)
  for await (const event of room.events) {
    log.show(event)
    isUp ||= event.event === 'room' || event.event === 'joined'
    const isNews = event.event === 'room' || event.event === 'joined' || event.event === 'member'
    const online = room.members.filter((member) => member.online).length
    if (isUp && isNews) notifier.status(`room ${id}: ${online} online`)
  }
}

function opener({ config }: LoadedConfig): (options: OpenRoomOptions) => Promise<Room> {
  const { role, room } = config
  if (role === 'host') return (options) => openHostRoom(room, options)
  if (role === undefined) {
    throw new UsageError('role-missing', 'The configuration does not say whether to host or to join', {
      advice: 'Set role to host or guest',
    })
  }
  if (room !== undefined) return (options) => openGuestRoom(room, options)
  throw new UsageError('room-missing', 'The configuration does not name the room to join', {
    advice: 'Set room to the id or link that the host shows',
  })
}
