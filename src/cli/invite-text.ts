/** Invites as people read them. */
import type { NewInvite } from '../room/admission/host-invites.js'
import type { Invite } from '../room/admission/invite-register.js'

/** Who may use an invite, how often and until when. */
export function describeInvite({ id, once, expiresAtMs, name, state, usedBy }: Invite): string {
  const terms = [
    ...(once ? ['for one guest'] : []),
    ...(name === undefined ? [] : [`for ${name}`]),
    ...(expiresAtMs === undefined ? [] : [`until ${new Date(expiresAtMs).toISOString().slice(0, 16)}Z`]),
    ...(state === 'open' || (state === 'used' && usedBy.length > 0) ? [] : [state]),
    ...(usedBy.length === 0 ? [] : [`used by ${usedBy.map((guest) => guest.name).join(', ')}`]),
  ]
  return terms.length === 0 ? id : `${id} (${terms.join(', ')})`
}

/** What to give to whom one invites. */
export function describeNewInvite(invite: NewInvite): string {
  return `invite ${describeInvite(invite)}: whoever has the link can use it: gonet join '${invite.link}'`
}
