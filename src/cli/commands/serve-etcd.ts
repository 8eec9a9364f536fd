import { join, resolve } from 'node:path'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { reachableAddresses } from '../../node/reachable-addresses.js'
import type { RunningServer } from '../../node/running-server.js'
import { serveEtcd } from '../../node/serve-etcd.js'
import { stateFolder } from '../../node/state.js'

/**
 * @param state `--state`, as it was given
 * @param data `--data`, likewise; the folder `etcd` in the state folder without it
 * @throws UsageError `etcd-missing`, `listen-failed`, `data-folder-failed`; GonetError `etcd-failed`
 */
export async function startEtcd(
  listen: SocketAddress,
  { state, data }: { readonly state?: string | undefined; readonly data?: string | undefined } = {},
): Promise<RunningServer> {
  const cwd = process.cwd()
  const dataFolder =
    data === undefined ? join(stateFolder(state, process.env, cwd), 'etcd') : resolve(cwd, data)
  const server = await serveEtcd({
    listen,
    advertise: (listening) => reachableAddresses(listening)[0],
    dataFolder,
    environment: process.env,
  })
  const [first, ...others] = reachableAddresses(server.address)
  const url = urlOf(first)
  return {
    what: `etcd at ${formatSocketAddress(server.address)}, its data in ${dataFolder}`,
    details: { url },
    peerOptions: [url, ...others.map(urlOf)].map(
      (each) => `--signal etcd --set adapters.etcd.endpoints=${each}`,
    ),
    failed: server.failed,
    close: () => server.close(),
  }
}

function urlOf(address: SocketAddress): string {
  return `http://${formatSocketAddress(address)}`
}
