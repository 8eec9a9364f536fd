/** What the documentation promises for a later version: not mistyped, only early. */
import { UsageError } from '../core/errors.js'

export const LaterCommands: readonly string[] = [
  'up',
  'chat',
  'send',
  'status',
  'members',
  'ping',
  'invite',
  'approve',
  'deny',
  'kick',
  'ban',
  'unban',
  'leave',
  'exec',
  'shell',
  'expose',
  'forward',
]

export const LaterOptions: readonly string[] = ['--room <id>']

/** @param what as the user typed it, such as `gonet up` or `--room` */
export function notYet(what: string): UsageError {
  return new UsageError('not-yet', `This version of gonet does not have ${what} yet`)
}
