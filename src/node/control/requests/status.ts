import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'
import type { Backend, KnownPath } from '../room-view.js'

export interface RoomStatus {
  readonly room: string
  readonly role: 'host' | 'guest'
  /** Whether the room is up: hosted on a backend, or joined. */
  readonly up: boolean
  /** This member's overlay address, once the room is up. */
  readonly address?: string
  /** A host's link. */
  readonly invite?: string
  readonly signalling: readonly Backend[]
  /** On the roster, and those of them that are online. */
  readonly members: number
  readonly online: number
  /** Those that ask to be let in. */
  readonly asking: number
  /** Messages that not every member online is known to have. */
  readonly undelivered: number
  /** A guest's path to its host. */
  readonly path?: KnownPath
  readonly pid: number
}

export const status: ControlRequest<object> = {
  name: 'status',
  parameters: z.object({}),
  handle: ({ room, role, view }): RoomStatus => {
    const host = room.members.find((member) => member.host)
    const path = role === 'guest' && host !== undefined ? view.pathTo(host.name) : undefined
    return {
      room: room.id,
      role,
      up: view.own !== undefined,
      ...view.own,
      signalling: view.backends,
      members: room.members.length,
      online: room.members.filter(({ online }) => online).length,
      asking: room.asking.length,
      undelivered: room.undelivered,
      ...(path !== undefined && { path }),
      pid: process.pid,
    }
  },
}
