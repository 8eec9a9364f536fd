/** What commands have in common that ask a running room. */
import type { ControlClient } from '../node/control/client.js'
import { findRunningRoom } from '../node/control/find-running-room.js'
import type { GlobalOptions } from './global-options.js'
import { safeJson } from './output/safe-text.js'
import { openState } from './settings.js'

/**
 * @param action is given the room that `--room` means, or the only one
 * @throws GonetError what `findRunningRoom` throws, and what the action throws
 */
export async function withRunningRoom<Result>(
  options: GlobalOptions,
  action: (client: ControlClient) => Promise<Result>,
): Promise<Result> {
  const { client } = await findRunningRoom(openState(options).directory, options.room)
  try {
    return await action(client)
  } finally {
    client.close()
  }
}

/** Prints what a room has answered: as JSON, or as the text that people read. */
export function print(options: GlobalOptions, answer: unknown, format: () => string): void {
  process.stdout.write(options.json === true ? `${safeJson(answer)}\n` : format())
}

/** Whether people look at what is printed. */
export function isForTerminal({ plain }: GlobalOptions): boolean {
  return plain !== true && process.stdout.isTTY && process.env['TERM'] !== 'dumb'
}
