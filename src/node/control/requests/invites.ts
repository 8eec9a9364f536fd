/** Requests about a host's invites. */
import * as z from 'zod/mini'
import type { NewInvite } from '../../../room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../../room/admission/invite-register.js'
import type { ControlRequest } from '../request.js'

export const invite: ControlRequest<InviteOptions> = {
  name: 'invite',
  parameters: z.object({
    once: z.optional(z.boolean()),
    expiresInMs: z.optional(z.number()),
    name: z.optional(z.string()),
  }),
  handle: ({ room }, options): NewInvite => room.invite(options),
}

export const invites: ControlRequest<object> = {
  name: 'invites',
  parameters: z.object({}),
  handle: ({ room }): { readonly invites: readonly Invite[] } => ({ invites: room.invites }),
}

export const revokeInvite: ControlRequest<{ readonly id: string }> = {
  name: 'revoke-invite',
  parameters: z.object({ id: z.string() }),
  handle: ({ room }, { id }): Invite => room.revokeInvite(id),
}
