import type { NewInvite } from '../../room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../room/admission/invite-register.js'
import type { GlobalOptions } from '../global-options.js'
import { describeInvite } from '../invite-text.js'
import { safeLine } from '../output/safe-text.js'
import { print, withRunningRoom } from '../running-room.js'

/**
 * Prints an invite's link.
 * @throws UsageError `not-the-host`, `invite-name-invalid`, `invite-expiry-invalid`; GonetError `too-many-invites`,
 *   `store-failed`, and what finding the running room throws
 */
export async function invite(invited: InviteOptions, options: GlobalOptions): Promise<void> {
  const { once, expiresInMs, name } = invited
  const parameters = {
    ...(once !== undefined && { once }),
    ...(expiresInMs !== undefined && { expiresInMs }),
    ...(name !== undefined && { name }),
  }
  const made = await withRunningRoom(options, (client) => client.request('invite', parameters))
  print(options, made, () => `${safeLine((made as NewInvite).link)}\n`)
}

/** @throws GonetError what finding the running room throws */
export async function listInvites(options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('invites'))
  print(options, answer, () => {
    const { invites } = answer as { readonly invites: readonly Invite[] }
    return invites.map((each) => `${safeLine(describeInvite(each))}\n`).join('')
  })
}

/** @throws UsageError `invite-unknown`, `not-the-host`; GonetError what finding the running room throws */
export async function revokeInvite(id: string, options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('revoke-invite', { id }))
  print(options, answer, () => `${safeLine(describeInvite(answer as Invite))}\n`)
}
