/** The commands for a room that runs in the background, and for any that runs already, through its control socket. */
import { type Command, InvalidArgumentError } from 'commander'
import type { GlobalOptions } from './global-options.js'

const Who = 'a name, an overlay address, or a public key or its beginning'

/** What a host does to others. */
const Acts = [
  ['approve', 'let somebody in that asks; without a member, list who does', '[member]'],
  ['deny', 'do not let somebody in that asks; without a member, list who does', '[member]'],
  ['kick', 'put a member out for ten minutes', '<member>'],
  ['ban', 'put a member out for ever', '<member>'],
  ['unban', 'let somebody come back; without a member, list who is kept out', '[member]'],
] as const

/** @param onExitCode called with the exit code of a command that has run another */
export function addRunningRoomCommands(
  program: Command,
  options: () => GlobalOptions,
  onExitCode: (exitCode: number) => void,
): void {
  program
    .command('up')
    .description('run what the configuration says, as a service')
    .action(async () => {
      const { up } = await import('./commands/up.js')
      await up(options())
    })
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
    .command('chat')
    .description('chat in a running room, which goes on afterwards')
    .action(async () => {
      const { chat } = await import('./commands/chat.js')
      await chat(options())
    })
  program
    .command('ping')
    .description('measure the round trip to a member, through the tunnel')
    .argument('<member>', Who)
    .option('--count <n>', 'how often, once a second', parseCount, 4)
    .action(async (who: string, { count }: { readonly count: number }) => {
      const { ping } = await import('./commands/ping.js')
      await ping(who, count, options())
    })
  for (const [act, description, argument] of Acts) {
    program
      .command(act)
      .description(description)
      .argument(argument, Who)
      .action(async (who: string | undefined) => {
        const { administer } = await import('./commands/administer.js')
        await administer(act, who, options())
      })
  }
  program
    .command('leave')
    .description('end a running room, for this machine')
    .option('--close', 'as its host, for all')
    .action(async ({ close }: { readonly close?: true }) => {
      const { leave } = await import('./commands/leave.js')
      await leave(close === true, options())
    })
  program
    .command('exec')
    .description('run a program in the network of a running room, in mode namespace')
    .argument('<command...>', 'the program and its arguments, after --')
    .action(async (command: readonly string[]) => {
      const { runInside } = await import('./commands/exec.js')
      onExitCode(await runInside(command, options()))
    })
  program
    .command('shell')
    .description('run a shell in the network of a running room, in mode namespace')
    .action(async () => {
      const { runInside } = await import('./commands/exec.js')
      onExitCode(await runInside([process.env['SHELL'] ?? '/bin/sh'], options()))
    })
}

function parseCount(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (count > 0) return count
  throw new InvalidArgumentError('It takes a whole number from 1 to 999999.')
}
