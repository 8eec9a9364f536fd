/**
 * The server of a zone for a group: hosts and guests alike reach it through their resolvers. Whoever knows a
 * room's topic may put records there, and nobody can replace or remove those of others.
 */

import { parseZone } from '../adapters/dns/names.js'
import { ZoneAnswers } from '../adapters/dns/zone-answers.js'
import { ZoneRecords } from '../adapters/dns/zone-records.js'
import { ZoneServer } from '../adapters/dns/zone-server.js'
import { UsageError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import { systemClock, systemRandom } from './clock.js'

export interface DnsServer {
  /** Where it listens, over UDP and TCP, with the port that the system chose. */
  readonly address: SocketAddress
  readonly zone: string
  /** Idempotent. */
  close(): Promise<void>
}

export interface DnsServerOptions {
  /** port 0 lets the system choose. */
  readonly listen: SocketAddress
  readonly zone: string
  /** The IP address at which the zone says that its server is. */
  readonly advertised: string
}

/** @throws UsageError `dns-zone-wrong`, `listen-failed` */
export async function serveDns({ listen, zone: name, advertised }: DnsServerOptions): Promise<DnsServer> {
  const zone = parseZone(name)
  const clock = systemClock
  const records = new ZoneRecords({ clock, random: systemRandom })
  const yes = (): boolean => true
  const answers = new ZoneAnswers({ zone, advertised, records, clock, takes: yes, shows: yes })
  const server = new ZoneServer({ answers, clock })
  try {
    const address = await server.listen(listen)
    return { address, zone, close: () => server.close() }
  } catch (error) {
    await server.close()
    throw new UsageError('listen-failed', `Cannot listen on ${formatSocketAddress(listen)}`, {
      advice: 'Choose another address or port with --listen; ports below 1024 need root',
      cause: error,
    })
  }
}
