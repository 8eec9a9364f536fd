import type { GlobalOptions } from '../global-options.js'
import { print, withRunningRoom } from '../running-room.js'

/** @throws GonetError what finding the running room throws */
export async function leave(options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('leave'))
  print(options, answer, () => '')
}
