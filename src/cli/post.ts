import { explain, GonetError } from '../core/errors.js'
import { type Administration, messageOf, runRoomCommand } from './room-commands.js'

/** Where lines go: a room in this process, or in another. */
export interface Recipient extends Administration {
  send(text: string): string | Promise<string>
}

/**
 * Posts a line, or does what it says.
 * @param isTyped whether a person types, and lines may be for gonet
 * @returns what to tell whoever wrote it: what has come of it, or why nothing has
 */
export async function post(room: Recipient, line: string, isTyped: boolean): Promise<string | undefined> {
  try {
    const told = isTyped ? await runRoomCommand(room, line) : undefined
    if (told === undefined) await room.send(isTyped ? messageOf(line) : line)
    return told
  } catch (error) {
    if (!(error instanceof GonetError)) throw error
    const advice = error.advice === undefined ? '' : `. ${error.advice}`
    const what = isTyped && /^\/[a-z]/.test(line) ? 'that was not done' : 'a message was not sent'
    return `${what}: ${explain(error)}${advice}`
  }
}
