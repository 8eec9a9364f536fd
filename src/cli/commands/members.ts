import type { ListedMember } from '../../node/control/requests/members.js'
import type { GlobalOptions } from '../global-options.js'
import { toTabbedLines, toTable } from '../output/table.js'
import { isForTerminal, print, withRunningRoom } from '../running-room.js'

/** @throws GonetError what finding the running room throws */
export async function members(options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request('members'))
  print(options, answer, () => {
    const rows = (answer as { readonly members: readonly ListedMember[] }).members.map(columns)
    if (!isForTerminal(options)) return toTabbedLines(rows)
    return toTable(['name', 'address', 'state', 'role', 'key', 'path'], rows)
  })
}

function columns({ name, address, online, host, self, key, path }: ListedMember): readonly string[] {
  const way = self ? 'this member' : path === undefined ? '' : `${path.kind} ${path.remote}`
  return [name, address, online ? 'online' : 'away', host ? 'host' : 'guest', key, way]
}
