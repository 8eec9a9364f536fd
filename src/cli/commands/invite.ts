import type { NewInvite } from '../../room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../room/admission/invite-register.js'
import type { GlobalOptions } from '../global-options.js'
import { describeInvite } from '../invite-text.js'
import { safeLine } from '../output/safe-text.js'
import { isForTerminal, print, withRunningRoom } from '../running-room.js'

/** What is drawn are the light modules. */
const LightOnDark = '\u001b[97;40m'
const Reset = '\u001b[0m'

/**
 * Prints an invite's link, with a QR code of it on a terminal.
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
  const link = safeLine((made as NewInvite).link)
  const code = options.json !== true && isForTerminal(options) ? await qrCode(link) : ''
  print(options, made, () => `${code}${link}\n`)
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

/** Dark on light, whatever the terminal's colours are: not every camera takes the reverse. */
async function qrCode(text: string): Promise<string> {
  const { renderUnicodeCompact } = await import('uqr')
  const rows = renderUnicodeCompact(text, { ecc: 'L', border: 2 }).split('\n')
  return rows.map((row) => `${LightOnDark}${row}${Reset}\n`).join('')
}
