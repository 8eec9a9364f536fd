/** Which of the rooms that run from a state folder a command is meant for. */
import { GonetError, UsageError } from '../../core/errors.js'
import { formatRoomId } from '../../core/room-id.js'
import { ControlClient } from './client.js'
import { RunFolder, type RunningRoom } from './run-folder.js'

export interface FoundRoom {
  readonly running: RunningRoom
  readonly client: ControlClient
}

/**
 * @param state the state folder
 * @param wanted the beginning of a room id, as people write it, `host:` or `guest:` before it where this machine has
 *   both in one room; undefined for the only room that runs
 * @throws UsageError `no-running-room`, `room-unclear`, `room-option-invalid`, `control-exposed`, which lists what runs;
 *   `control-version`
 */
export async function findRunningRoom(state: string, wanted: string | undefined): Promise<FoundRoom> {
  const isMeant = parseWanted(wanted)
  const folder = new RunFolder(state)
  const all = folder.announced()
  const opened = await Promise.allSettled(
    all.map(async (running): Promise<FoundRoom> => {
      return { running, client: await ControlClient.open(folder.socketPath(running), running) }
    }),
  )
  const alive = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const meant = alive.filter(({ running }) => isMeant(running))
  const [only] = meant
  for (const found of alive) if (meant.length !== 1 || found !== only) found.client.close()
  if (meant.length === 1 && only !== undefined) return only
  if (alive.length === 0) {
    for (const each of opened) if (each.status === 'rejected' && !isGone(each.reason)) throw each.reason
  }
  if (meant.length === 0) throw none(state, wanted, alive)
  throw new UsageError('room-unclear', `${meant.length} rooms that run here can be meant: ${list(meant)}`, {
    advice: 'Name one with --room',
  })
}

function isGone(error: unknown): boolean {
  return error instanceof GonetError && error.code === 'control-gone'
}

function parseWanted(wanted: string | undefined): (running: RunningRoom) => boolean {
  if (wanted === undefined) return () => true
  const [, role, id = ''] = /^(?:(host|guest):)?([0-9a-fA-F\s-]*)$/.exec(wanted) ?? []
  const digits = id.replace(/[-\s]/g, '').toLowerCase()
  if (digits === '' && role === undefined) {
    throw new UsageError('room-option-invalid', `'${wanted}' does not name a room`, {
      advice:
        'Write --room and the beginning of a room id, such as --room cf83; host: or guest: may stand before it',
    })
  }
  return (running) => running.room.startsWith(digits) && (role === undefined || running.role === role)
}

function none(state: string, wanted: string | undefined, alive: readonly FoundRoom[]): UsageError {
  if (alive.length === 0) {
    return new UsageError('no-running-room', `No room runs from ${state}`, {
      advice: 'Start one with gonet create, join or up, or name its state folder with --state',
    })
  }
  const what = `No room that runs from ${state} is meant by --room ${wanted ?? ''}`
  return new UsageError('no-running-room', what, { advice: `There are: ${list(alive)}` })
}

function list(rooms: readonly FoundRoom[]): string {
  return rooms.map(({ running }) => `${running.role}:${formatRoomId(running.room)}`).join(', ')
}
