import type { SocketAddress } from '../core/machine.js'
import { localAddresses } from './interfaces.js'

/** Where peers reach a server: one that listens on all addresses is named by those that the machine has. */
export function reachableAddresses({
  address,
  port,
}: SocketAddress): readonly [SocketAddress, ...SocketAddress[]] {
  if (address !== '0.0.0.0' && address !== '::') return [{ address, port }]
  const isV6 = address === '::'
  // An IPv6 socket on all addresses takes IPv4 too.
  const own = localAddresses(false).filter((each) => isV6 || !each.includes(':'))
  const [first = isV6 ? '::1' : '127.0.0.1', ...rest] = own
  return [{ address: first, port }, ...rest.map((each) => ({ address: each, port }))]
}
