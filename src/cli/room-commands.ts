/** Lines of a chat on a terminal that are for gonet, not for the others: `/approve anna`. */
import { UsageError } from '../core/errors.js'
import type { Room } from '../room/room.js'
import type { AdministrativeAct } from '../room/room-machine.js'

const Acts: Readonly<Record<AdministrativeAct, string>> = {
  approve: 'is let in',
  deny: 'is not let in',
  kick: 'is out for ten minutes',
  ban: 'is out, and stays out',
  unban: 'may come back',
}

/**
 * Does what a line says that begins with a slash, and says what has come of it. A line that begins with two is a
 * message that begins with one.
 * @returns what to tell the user; undefined where the line is a message
 * @throws GonetError why it could not be done
 */
export function runRoomCommand(
  room: Pick<Room, 'administer' | 'asking' | 'bans'>,
  line: string,
): string | undefined {
  const [, command, argument = ''] = /^\/([a-z]+)(?: +(.*\S))? *$/s.exec(line) ?? []
  if (command === undefined) return undefined
  if (command === 'asking') return list(room.asking, 'nobody asks to be let in')
  if (command === 'bans') return list(room.bans, 'nobody is kept out')
  if (!isAct(command)) {
    throw new UsageError('command-unknown', `There is no command /${command} here`, {
      advice: `There are /asking, /bans and /${Object.keys(Acts).join(', /')}; write // to begin a message with /`,
    })
  }
  if (argument === '') {
    throw new UsageError('command-incomplete', `/${command} needs a name, an address or a key`)
  }
  const { name, key } = room.administer(command, argument)
  return `${name} ${Acts[command]} (key ${key})`
}

/** The message that a line is: without the slash that keeps it from being a command. */
export function messageOf(line: string): string {
  return line.startsWith('//') ? line.slice(1) : line
}

function isAct(text: string): text is AdministrativeAct {
  return Object.hasOwn(Acts, text)
}

function list(members: readonly { readonly name: string; readonly key: string }[], none: string): string {
  return members.length === 0 ? none : members.map(({ name, key }) => `${name} (key ${key})`).join(', ')
}
