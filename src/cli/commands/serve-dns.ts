import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { reachableAddresses } from '../../node/reachable-addresses.js'
import type { RunningServer } from '../../node/running-server.js'
import { serveDns } from '../../node/serve-dns.js'

/**
 * @param zone such as `gonet.example.org`
 * @throws UsageError `dns-zone-wrong`, `listen-failed`
 */
export async function startDns(listen: SocketAddress, zone: string): Promise<RunningServer> {
  const [{ address: advertised }] = reachableAddresses(listen)
  const server = await serveDns({ listen, zone, advertised })
  const common = `--signal dns --set adapters.dns.zone=${server.zone}`
  const direct = reachableAddresses(server.address).map(
    (address) => `${common} --set adapters.dns.resolver=${formatSocketAddress(address)}`,
  )
  return {
    what: `the DNS server of ${server.zone} at ${formatSocketAddress(server.address)} (UDP and TCP)`,
    details: { zone: server.zone, address: formatSocketAddress(server.address) },
    // The last one works where the zone is delegated to this server.
    peerOptions: [...direct, common],
    close: () => server.close(),
  }
}
