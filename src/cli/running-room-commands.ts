/** The commands that talk to a room that runs already, through its control socket. */
import type { Command } from 'commander'
import type { GlobalOptions } from './global-options.js'

export function addRunningRoomCommands(program: Command, options: () => GlobalOptions): void {
  program
    .command('status')
    .description('how a running room is')
    .action(async () => {
      const { status } = await import('./commands/status.js')
      await status(options())
    })
  program
    .command('members')
    .description('who is in a running room')
    .action(async () => {
      const { members } = await import('./commands/members.js')
      await members(options())
    })
  program
    .command('send')
    .description('post a message in a running room')
    .argument('<text...>', 'the message; - is what stdin has')
    .action(async (words: readonly string[]) => {
      const { send } = await import('./commands/send.js')
      await send(words, options())
    })
  program
    .command('leave')
    .description('end a running room, for this machine')
    .action(async () => {
      const { leave } = await import('./commands/leave.js')
      await leave(options())
    })
}
