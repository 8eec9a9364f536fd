/**
 * The first node of a DHT, for a private group: others find each other through it, and it keeps what they
 * store. Alone it is a whole DHT. What strangers can fill is bounded, and nothing is on disk.
 */
import { createSocket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import DHT from '@hyperswarm/dht'
import { UsageError } from '../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../core/machine.js'
import { reachableAddresses } from './reachable-addresses.js'

export interface DhtServer {
  /** Where others reach it. A node has one address: its id in the DHT is a hash of it. */
  readonly address: SocketAddress
  /** Ends it. Idempotent. */
  close(): Promise<void>
}

/** Records of each kind: who is where, values, and large values' pieces. Each has 1,000 bytes at most. */
const MaxRecords = 8192

/**
 * @param listen IPv4; port 0 lets the system choose. For 0.0.0.0 it is known by this machine's first address
 * @throws UsageError `listen-failed` where the address cannot be listened on
 */
export async function serveDht(listen: SocketAddress): Promise<DhtServer> {
  const [reached] = reachableAddresses(listen)
  if (!isIPv4(reached.address)) throw failed(listen, undefined, 'The DHT speaks IPv4: choose such an address')
  const port = await bindable(listen)
  const node = DHT.bootstrapper(port, reached.address, {
    host: listen.address,
    anyPort: false,
    ephemeral: false,
    maxSize: MaxRecords,
  })
  try {
    await node.bind()
    await node.fullyBootstrapped()
  } catch (error) {
    await node.destroy({ force: true }).catch(() => undefined)
    throw failed(listen, error)
  }
  let closing: Promise<void> | undefined
  return {
    address: { address: reached.address, port },
    close: () => {
      closing ??= node.destroy({ force: true })
      return closing
    },
  }
}

/** The port that can be listened on. The library would fail without a clean end. */
async function bindable(listen: SocketAddress): Promise<number> {
  const socket = createSocket('udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: listen.address, port: listen.port, exclusive: true }, resolve)
    })
    return socket.address().port
  } catch (error) {
    throw failed(listen, error)
  } finally {
    await new Promise<void>((resolve) => {
      socket.close(resolve)
    })
  }
}

function failed(
  listen: SocketAddress,
  cause: unknown,
  advice = 'Choose another address or port with --listen',
): UsageError {
  return new UsageError('listen-failed', `Cannot listen on ${formatSocketAddress(listen)}`, {
    advice,
    ...(cause !== undefined && { cause }),
  })
}
