/** What the machine's network interfaces say about it. */
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import { parseSubnet, type Subnet } from '../core/overlay.js'

/** Addresses at which this machine can be reached on its own networks: loopback only if asked for. */
export function localAddresses(loopback: boolean): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((interfaces) => interfaces ?? [])
  const outside = all.filter(({ address }) => {
    const range = ipaddr.parse(address.replace(/%.*/, '')).range()
    return range !== 'loopback' && range !== 'linkLocal' && range !== 'unspecified'
  })
  const addresses = outside.map(({ address }) => address)
  return loopback ? ['127.0.0.1', ...addresses] : addresses
}

/** The IPv4 networks that this machine is in. */
export function localSubnets(): readonly Subnet[] {
  const all = Object.values(networkInterfaces()).flatMap((interfaces) => interfaces ?? [])
  return all.flatMap(({ family, cidr }) => {
    if (family !== 'IPv4' || cidr === null) return []
    const [address, prefixLength] = ipaddr.parseCIDR(cidr)
    // Smaller networks than an overlay can be still collide with it: they count as the /30 that they are in.
    const bits = Math.min(30, Math.max(8, prefixLength))
    const network = ipaddr.IPv4.networkAddressFromCIDR(`${address.toString()}/${bits}`)
    return [parseSubnet(`${network.toString()}/${bits}`)]
  })
}
