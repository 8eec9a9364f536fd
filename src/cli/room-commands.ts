/** Lines of a chat on a terminal that are for gonet, not for the others: `/approve anna`. */
import { UsageError } from '../core/errors.js'
import type { InviteOptions } from '../room/admission/invite-register.js'
import type { Named } from '../room/find-member.js'
import type { Room } from '../room/room.js'
import type { AdministrativeAct } from '../room/room-machine.js'
import { parseDuration } from './duration.js'
import { describeInvite, describeNewInvite } from './invite-text.js'

const Acts: Readonly<Record<AdministrativeAct, string>> = {
  approve: 'is let in',
  deny: 'is not let in',
  kick: 'is out for ten minutes',
  ban: 'is out, and stays out',
  unban: 'may come back',
}

export const NobodyAsks = 'nobody asks to be let in'
export const NobodyBanned = 'nobody is kept out'

/** What has happened to somebody, as the end of a sentence about them. */
export function told(act: AdministrativeAct, { name, key }: Named): string {
  return `${name} ${Acts[act]} (key ${key})`
}

/** The room that lines are for: one in this process, or in another. */
export interface Administration extends Partial<Pick<Room, 'invite' | 'invites' | 'revokeInvite'>> {
  readonly asking: readonly Named[] | Promise<readonly Named[]>
  readonly bans: readonly Named[] | Promise<readonly Named[]>
  administer(act: AdministrativeAct, who: string): Named | Promise<Named>
}

/**
 * Does what a line says that begins with a slash, and says what has come of it. A line that begins with two is a
 * message that begins with one.
 * @returns what to tell the user; undefined where the line is a message
 * @throws GonetError why it could not be done
 */
export async function runRoomCommand(room: Administration, line: string): Promise<string | undefined> {
  const [, command, argument = ''] = /^\/([a-z]+)(?: +(.*\S))? *$/s.exec(line) ?? []
  if (command === undefined) return undefined
  if (command === 'asking') return list(await room.asking, NobodyAsks)
  if (command === 'bans') return list(await room.bans, NobodyBanned)
  if (command === 'invite' && room.invite !== undefined) {
    return describeNewInvite(room.invite(readInvite(argument)))
  }
  if (command === 'invites' && room.invites !== undefined) {
    return room.invites.map(describeInvite).join('; ') || 'there are no invites'
  }
  if (command === 'revoke' && room.revokeInvite !== undefined) {
    return `nobody is let in by it any more: ${describeInvite(room.revokeInvite(argument))}`
  }
  if (!isAct(command)) {
    throw new UsageError('command-unknown', `There is no command /${command} here`, {
      advice: `There are /asking, /bans, ${room.invite === undefined ? '' : '/invite, /invites, /revoke, '}/${Object.keys(Acts).join(', /')}; write // to begin a message with /`,
    })
  }
  if (argument === '') {
    throw new UsageError('command-incomplete', `/${command} needs a name, an address or a key`)
  }
  return told(command, await room.administer(command, argument))
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

function list(members: readonly Named[], none: string): string {
  return members.length === 0 ? none : members.map(({ name, key }) => `${name} (key ${key})`).join(', ')
}
