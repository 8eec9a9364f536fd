import { formatRoomId } from '../../core/room-id.js'
import type { RoomStatus } from '../../node/control/requests/status.js'
import type { GlobalOptions } from '../global-options.js'
import { safeLine } from '../output/safe-text.js'
import { isForTerminal, print, withRunningRoom } from '../running-room.js'

/** @throws GonetError what finding the running room throws */
export async function status(options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('status'))
  print(options, answer, () => format(answer as RoomStatus, isForTerminal(options)))
}

/** `name: value` lines; on a terminal the values stand below each other. */
function format(room: RoomStatus, isAligned: boolean): string {
  const { address, asking, invite, members, online, path, pid, role, signalling, undelivered, up } = room
  const rows: (readonly [name: string, value: string])[] = [
    ['room', formatRoomId(room.room)],
    ['role', role],
    ['state', up ? 'up' : role === 'host' ? 'opening' : 'joining'],
    ['address', address ?? ''],
    ['link', invite ?? ''],
    ['members', `${members}, ${online} online`],
    ['asking', asking > 0 ? String(asking) : ''],
    ['path', path === undefined ? '' : `${path.kind} ${path.remote}, ${path.rttMs} ms`],
    ...signalling.map(({ adapter, state, reason }) => {
      const why = reason === undefined ? '' : `: ${reason}`
      return ['signalling', `${adapter} ${state}${why}`] as const
    }),
    ['undelivered', undelivered > 0 ? String(undelivered) : ''],
    ['process', String(pid)],
  ]
  const shown = rows.filter(([, value]) => value !== '')
  const width = isAligned ? Math.max(...shown.map(([name]) => name.length)) + 2 : 0
  return shown.map(([name, value]) => `${safeLine(`${`${name}:`.padEnd(width)} ${value}`)}\n`).join('')
}
