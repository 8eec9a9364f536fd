/** Which network interfaces of this machine lead to a local link. */
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'

export type Family = 4 | 6

/** One interface for one family of addresses. */
export interface LinkInterface {
  readonly name: string
  readonly family: Family
  /** Its first address of that family. */
  readonly address: string
  /** The networks on that link, by the addresses of this machine: `192.168.1.4/24`. */
  readonly networks: readonly string[]
}

/** A machine with more has virtual ones; a query goes out on each. */
const MaxInterfaces = 16
/** Tunnels and loopback have no address below IP: nobody is on a link with us there. */
const NoLinkAddress = '00:00:00:00:00:00'

/**
 * The interfaces to use now.
 * @param chosen an IP address of the only one to use; undefined for every local network
 */
export function linkInterfaces(
  chosen: string | undefined,
  all: typeof networkInterfaces = networkInterfaces,
): readonly LinkInterface[] {
  const families: readonly Family[] = chosen === undefined ? [4, 6] : isIPv6(chosen) ? [6] : [4]
  return Object.entries(all())
    .flatMap(([name, addresses = []]) =>
      families.flatMap((family): LinkInterface[] => {
        const own = addresses.filter((each) => each.family === `IPv${family}`)
        const [first] = own
        const isChosen =
          chosen === undefined
            ? first?.internal === false && first.mac !== NoLinkAddress
            : own.some(({ address }) => isSameAddress(address, chosen))
        if (first === undefined || !isChosen) return []
        const networks = own.flatMap(({ cidr }) => (cidr === null ? [] : [cidr]))
        return [
          { name, family, address: family === 4 && chosen !== undefined ? chosen : first.address, networks },
        ]
      }),
    )
    .slice(0, MaxInterfaces)
}

function isSameAddress(own: string, chosen: string): boolean {
  return own.toLowerCase() === chosen.toLowerCase().replace(/%.*/, '')
}
