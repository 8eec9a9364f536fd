import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import type { RunningServer } from '../../node/running-server.js'
import { serveDht } from '../../node/serve-dht.js'

/** @throws UsageError `listen-failed` */
export async function startDht(listen: SocketAddress): Promise<RunningServer> {
  const server = await serveDht(listen)
  const bootstrap = formatSocketAddress(server.address)
  return {
    what: `a DHT node at ${bootstrap}`,
    details: { bootstrap },
    peerOptions: [`--signal dht --set adapters.dht.bootstrap=${bootstrap}`],
    close: () => server.close(),
  }
}
