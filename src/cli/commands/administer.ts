import { UsageError } from '../../core/errors.js'
import type { Named } from '../../room/find-member.js'
import type { AdministrativeAct } from '../../room/room-machine.js'
import type { GlobalOptions } from '../global-options.js'
import { safeLine } from '../output/safe-text.js'
import { toTabbedLines, toTable } from '../output/table.js'
import { NobodyAsks, NobodyBanned, told } from '../room-commands.js'
import { isForTerminal, print, withRunningRoom } from '../running-room.js'

/**
 * Lets a member of a running room in, or keeps it out. Without a member `approve` and `deny` list who asks to be let in,
 * and `unban` who is kept out.
 * @param who a name, an overlay address, a key or the beginning of one
 * @throws UsageError `member-unknown`, `member-ambiguous`, `not-the-host`; GonetError what finding the room throws
 */
export async function administer(
  act: AdministrativeAct,
  who: string | undefined,
  options: GlobalOptions,
): Promise<void> {
  if (who !== undefined) {
    const answer = await withRunningRoom(options, (client) => client.request(act, { who }))
    print(options, answer, () => `${safeLine(told(act, answer as Named))}\n`)
  } else if (act === 'approve' || act === 'deny') await list('asking', NobodyAsks, options)
  else if (act === 'unban') await list('bans', NobodyBanned, options)
  else throw new UsageError('usage', `gonet ${act} needs a name, an address or a key`)
}

async function list(request: 'asking' | 'bans', none: string, options: GlobalOptions): Promise<void> {
  const answer = await withRunningRoom(options, (client) => client.request(request))
  print(options, answer, () => {
    const rows = (answer as Readonly<Record<string, readonly Named[]>>)[request]?.map(({ name, key }) => [
      name,
      key,
    ])
    if (!isForTerminal(options)) return toTabbedLines(rows ?? [])
    return rows === undefined || rows.length === 0 ? `${none}\n` : toTable(['name', 'key'], rows)
  })
}
