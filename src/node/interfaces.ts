/** What the machine's network interfaces say about it. */
import { readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import ipaddr from 'ipaddr.js'
import { parseSubnet, type Subnet } from '../core/overlay.js'

/** What marks gonet's own network interfaces. */
export const InterfaceAlias = 'gonet'

/** Addresses at which this machine can be reached on its own networks: loopback only if asked for. */
export function localAddresses(loopback: boolean): readonly string[] {
  const all = Object.entries(networkInterfaces()).flatMap(([name, interfaces]) =>
    // A way to a room is no way to carry it: two rooms could each be the other's.
    interfaces === undefined || isOfGonet(name) ? [] : interfaces,
  )
  const outside = all.filter(({ address }) => {
    const range = ipaddr.parse(address.replace(/%.*/, '')).range()
    return range !== 'loopback' && range !== 'linkLocal' && range !== 'unspecified'
  })
  const addresses = outside.map(({ address }) => address)
  return loopback ? ['127.0.0.1', ...addresses] : addresses
}

function isOfGonet(name: string): boolean {
  try {
    return readFileSync(`/sys/class/net/${name}/ifalias`, 'utf8').trim() === InterfaceAlias
  } catch {
    return false
  }
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
