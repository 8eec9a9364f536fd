/** `gonet invite` and what stands below it. */
import { type Command, InvalidArgumentError } from 'commander'
import type { InviteOptions } from '../room/admission/invite-register.js'
import { parseDuration } from './duration.js'
import type { GlobalOptions } from './global-options.js'

interface InviteFlags {
  readonly once?: true
  readonly expires?: number
  readonly for?: string
}

export function addInviteCommand(program: Command, options: () => GlobalOptions): void {
  const invite = program
    .command('invite')
    .description('print a link that lets in whoever has it')
    .option('--once', 'for one guest only')
    .option('--expires <time>', 'for a time, such as 30m, 1h or 2d', parseExpiry)
    .option('--for <name>', 'for a guest of this name only')
    .action(async (flags: InviteFlags) => {
      const { invite: run } = await import('./commands/invite.js')
      await run(invitedBy(flags), options())
    })
  invite
    .command('list')
    .description('the invites of a running room')
    .action(async () => {
      const { listInvites } = await import('./commands/invite.js')
      await listInvites(options())
    })
  invite
    .command('revoke')
    .description('let nobody in by an invite any more')
    .argument('<id>', 'as the list has it')
    .action(async (id: string) => {
      const { revokeInvite } = await import('./commands/invite.js')
      await revokeInvite(id, options())
    })
}

function invitedBy({ once, expires, for: name }: InviteFlags): InviteOptions {
  return { once, expiresInMs: expires, name }
}

function parseExpiry(text: string): number {
  const expiresInMs = parseDuration(text)
  if (expiresInMs !== undefined) return expiresInMs
  throw new InvalidArgumentError('It takes a number and s, m, h or d, such as 30m.')
}
