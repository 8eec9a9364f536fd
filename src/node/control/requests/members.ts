import * as z from 'zod/mini'
import type { Member } from '../../../room/room.js'
import type { ControlRequest } from '../request.js'
import type { KnownPath } from '../room-view.js'

export interface ListedMember extends Member {
  /** Whether it is this member itself. */
  readonly self: boolean
  /** The path to it, where there is one. */
  readonly path?: KnownPath
}

export const members: ControlRequest<object> = {
  name: 'members',
  parameters: z.object({}),
  handle: ({ room, view }): { readonly members: readonly ListedMember[] } => ({
    members: room.members.map((member) => {
      const path = view.pathTo(member.name)
      return { ...member, self: member.address === view.own?.address, ...(path !== undefined && { path }) }
    }),
  }),
}
