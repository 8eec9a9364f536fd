/** A TUN as the interface of a room: its addresses, and what they must not collide with. */
import { BlockList } from 'node:net'
import ipaddr from 'ipaddr.js'
import { GonetError } from '../../core/errors.js'
import { overlaps, parseSubnet } from '../../core/overlay.js'
import type { InterfaceAddress, IpInterface } from '../../core/ports.js'
import { InterfaceAlias } from '../interfaces.js'
import type { IpCommand } from './ip-command.js'
import type { Namespace } from './namespace.js'
import type { TunDevice } from './tun-device.js'

export interface TunInterfaceOptions {
  readonly name: string
  readonly device: TunDevice
  readonly ip: IpCommand
  /** Bytes. */
  readonly mtu: number
  /** Where it is, if not among this machine's other interfaces, which it must not disturb. */
  readonly namespace?: Namespace
}

export class TunInterface implements IpInterface {
  readonly #options: TunInterfaceOptions
  readonly #networks = new BlockList()
  #addresses = ''
  #turn: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(options: TunInterfaceOptions) {
    this.#options = options
  }

  get namespace(): number | undefined {
    const { namespace } = this.#options
    return namespace?.isHeld === true ? namespace.pid : undefined
  }

  start(onPackets: (packets: readonly Uint8Array[]) => void, onLost: (failure: GonetError) => void): void {
    const { device, name } = this.#options
    device.start(onPackets, () => {
      onLost(new GonetError('interface-failed', `Somebody has removed the network interface ${name}`))
    })
  }

  write(packet: Uint8Array): void {
    this.#options.device.write(packet)
  }

  configure(addresses: readonly InterfaceAddress[]): Promise<readonly GonetError[]> {
    const configured = this.#turn.then(() => this.#configure(addresses))
    this.#turn = configured.catch(() => undefined)
    return configured
  }

  leadsTo(address: string): boolean {
    return this.#networks.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      await this.#turn
      this.#options.device.close()
      await this.#options.namespace?.close()
    })()
    return this.#closed
  }

  async #configure(addresses: readonly InterfaceAddress[]): Promise<readonly GonetError[]> {
    const { ip, mtu, name, namespace } = this.#options
    const wanted = addresses.map(formatAddress).join(' ')
    if (wanted === this.#addresses || this.#closed !== undefined) return []
    const isFirst = this.#addresses === ''
    this.#addresses = wanted
    if (isFirst) {
      await ip('link', 'set', 'dev', name, 'alias', InterfaceAlias, 'mtu', String(mtu))
      // Nobody is to be found on this link by what it says of itself. A kernel without IPv6 says nothing.
      await ip('link', 'set', 'dev', name, 'addrgenmode', 'none').catch(() => undefined)
      if (namespace !== undefined) await ip('link', 'set', 'dev', 'lo', 'up')
    } else await ip('address', 'flush', 'dev', name)
    const problems: GonetError[] = []
    for (const each of addresses) {
      const problem = namespace === undefined ? await this.#obstacle(each) : undefined
      if (problem === undefined)
        await this.#add(each).catch((error: unknown) => problems.push(asGonet(error)))
      else problems.push(problem)
    }
    const [first] = problems
    if (first !== undefined && problems.length === addresses.length) throw first
    await ip('link', 'set', 'dev', name, 'up')
    return problems
  }

  async #add(each: InterfaceAddress): Promise<void> {
    const { ip, name, namespace } = this.#options
    const isV6 = each.address.includes(':')
    // Nobody else can have a member's address: it comes from its key.
    await ip('address', 'add', formatAddress(each), 'dev', name, ...(isV6 ? ['nodad'] : []))
    if (namespace === undefined)
      this.#networks.addSubnet(each.address, each.prefixLength, isV6 ? 'ipv6' : 'ipv4')
  }

  /** A room's network comes from its host, who must not draw what goes elsewhere into the tunnel. */
  async #obstacle({ address, prefixLength }: InterfaceAddress): Promise<GonetError | undefined> {
    if (address.includes(':')) return undefined
    const network = `${ipaddr.IPv4.networkAddressFromCIDR(`${address}/${prefixLength}`).toString()}/${prefixLength}`
    const advice = "The room's IPv6 addresses work; its host can choose another network with network.subnet"
    const subnet = parseSubnet(network)
    if (!PrivateNetworks.some((each) => each.prefixLength <= prefixLength && overlaps(each, subnet))) {
      const said = `The room's network ${network} is not one for private use, and is left out here`
      return new GonetError('subnet-public', said, { advice })
    }
    const { ip, name } = this.#options
    const routes = readRoutes(await ip('-json', '-4', 'route', 'show', 'table', 'all'))
    const other = routes.find(
      ({ dev, destination }) => dev !== name && destination !== undefined && overlaps(destination, subnet),
    )
    if (other === undefined) return undefined
    const said = `The room's network ${network} is in use here, by ${other.dev}, and is left out`
    return new GonetError('subnet-collision', said, { advice })
  }
}

/** RFC 1918, and RFC 6598's for carriers. */
const PrivateNetworks = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10'].map(parseSubnet)

interface Route {
  readonly dev: string
  readonly destination: ReturnType<typeof parseSubnet> | undefined
}

/** @param json what `ip -json route` prints */
function readRoutes(json: string): readonly Route[] {
  const routes = JSON.parse(json) as readonly { readonly dst: string; readonly dev?: string }[]
  return routes.map(({ dst, dev = 'another route' }) => ({ dev, destination: readDestination(dst) }))
}

/** Undefined for the default route, which a network may lie in. Those smaller than a /30 count as that. */
function readDestination(text: string): ReturnType<typeof parseSubnet> | undefined {
  const [address = '', length = '32'] = text.split('/')
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) || Number(length) < 8) return undefined
  const bits = Math.min(30, Number(length))
  return parseSubnet(`${ipaddr.IPv4.networkAddressFromCIDR(`${address}/${bits}`).toString()}/${bits}`)
}

function formatAddress({ address, prefixLength }: InterfaceAddress): string {
  return `${address}/${prefixLength}`
}

function asGonet(error: unknown): GonetError {
  if (error instanceof GonetError) return error
  throw error
}
