import type { GlobalOptions } from '../global-options.js'
import { print, withRunningRoom } from '../running-room.js'

/**
 * @param close whether a host closes the room for all
 * @throws UsageError `not-the-host`; GonetError what finding the running room throws
 */
export async function leave(close: boolean, options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('leave', { close }))
  print(options, answer, () => '')
}
