import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { reachableAddresses } from '../../node/reachable-addresses.js'
import type { RunningServer } from '../../node/running-server.js'
import { serveStun } from '../../node/serve-stun.js'

/** @throws UsageError `listen-failed` */
export async function startStun(listen: SocketAddress): Promise<RunningServer> {
  const server = await serveStun(listen)
  const [first, ...others] = reachableAddresses(server.address)
  const address = formatSocketAddress(first)
  return {
    what: `a STUN server at ${formatSocketAddress(server.address)}`,
    details: { address },
    peerOptions: [address, ...others.map(formatSocketAddress)].map((each) => `--set transport.stun=${each}`),
    close: () => server.close(),
  }
}
