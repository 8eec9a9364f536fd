/** Lines of a chat on a terminal that are for gonet, not for the others: `/approve anna`. */
import { UsageError } from '../core/errors.js'
import type { InviteOptions } from '../room/admission/invite-register.js'
import type { Room } from '../room/room.js'
import type { AdministrativeAct } from '../room/room-machine.js'
import { parseDuration } from './duration.js'
import { describeInvite, describeNewInvite } from './invite-text.js'

/** What a line of the chat needs of a room. */
export type CommandedRoom = Pick<
  Room,
  'administer' | 'asking' | 'bans' | 'invite' | 'invites' | 'revokeInvite'
>

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
export function runRoomCommand(room: CommandedRoom, line: string): string | undefined {
  const [, command, argument = ''] = /^\/([a-z]+)(?: +(.*\S))? *$/s.exec(line) ?? []
  if (command === undefined) return undefined
  if (command === 'asking') return list(room.asking, 'nobody asks to be let in')
  if (command === 'bans') return list(room.bans, 'nobody is kept out')
  if (command === 'invite') return describeNewInvite(room.invite(readInvite(argument)))
  if (command === 'invites') return room.invites.map(describeInvite).join('; ') || 'there are no invites'
  if (command === 'revoke')
    return `nobody is let in by it any more: ${describeInvite(room.revokeInvite(argument))}`
  if (!isAct(command)) {
    throw new UsageError('command-unknown', `There is no command /${command} here`, {
      advice: `There are /asking, /bans, /invite, /invites, /revoke and /${Object.keys(Acts).join(', /')}; write // to begin a message with /`,
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

/** `[once] [1h] [for NAME]`, in this order. */
function readInvite(text: string): InviteOptions {
  const [, once, duration, name] = /^(once(?= |$))? *(\d\S*)? *(?:for +(\S.*))?$/s.exec(text) ?? []
  const expiresInMs = duration === undefined ? undefined : parseDuration(duration)
  const isUnread = text !== '' && once === undefined && duration === undefined && name === undefined
  if (isUnread || (duration !== undefined && expiresInMs === undefined)) {
    throw new UsageError('command-incomplete', `/invite does not know what ${text} is`, {
      advice: 'Write /invite [once] [1h] [for NAME]; a span of time is a number and s, m, h or d',
    })
  }
  return { once: once !== undefined, expiresInMs, name }
}

function isAct(text: string): text is AdministrativeAct {
  return Object.hasOwn(Acts, text)
}

function list(members: readonly { readonly name: string; readonly key: string }[], none: string): string {
  return members.length === 0 ? none : members.map(({ name, key }) => `${name} (key ${key})`).join(', ')
}
