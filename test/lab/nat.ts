/**
 * Clients behind routers around a small internet, all of them network namespaces (Linux, root, nftables). Public
 * addresses are those of documentation (RFC 5737, RFC 3849), so that nothing can be meant that is elsewhere.
 */

import { type Access, AccessNetwork, addNamespace, forwarding, type NatType } from './access-network.js'
import { Lab, type Namespace } from './namespace.js'

export { type Access, type NatType, NatTypes } from './access-network.js'

/** Commands that a lab needs, for `missingForLab`. */
export const NatLabCommands = ['nft', 'sysctl', 'tc'] as const

/** Where servers are: several addresses, since STUN servers must be two. */
export const Servers = {
  ipv4: ['198.51.100.1', '198.51.100.2', '198.51.100.3'],
  ipv6: ['2001:db8::1', '2001:db8::2'],
} as const

export interface InternetOptions {
  /** How much of the UDP is lost on the internet, from 0 to 1. */
  readonly loss?: number
  /** What each client's access carries each way, in kbit/s. */
  readonly kilobitsPerSecond?: number
}

const LostMark = 1
/** The internet counts for so many routers: what has fewer left to pass does not reach the other side. */
const InternetHops = 10

type Sides<Label extends string> = Readonly<Record<Label, NatType | Access>>

export class NatLab<Label extends string> {
  /** Where the servers' addresses are. */
  readonly internet: Namespace
  readonly clients: Readonly<Record<Label, Namespace>>
  readonly #lab: Lab
  readonly #accesses = new Map<Label, AccessNetwork>()
  readonly #kilobitsPerSecond: number | undefined
  #networks = 0

  /**
   * @param sides the clients, by the names that their namespaces get
   * @throws where a command fails, such as without root
   */
  static async open<Label extends string>(
    sides: Sides<Label>,
    options: InternetOptions = {},
  ): Promise<NatLab<Label>> {
    const lab = new Lab()
    try {
      const labels = Object.keys(sides) as Label[]
      const [internet, ...clients] = await Promise.all(
        ['internet', ...labels].map((label) => addNamespace(lab, label)),
      )
      await internet!.shell(...internetLines(options.loss ?? 0))
      const named = Object.fromEntries(labels.map((label, index) => [label, clients[index]!]))
      const opened = new NatLab(lab, internet!, named as Record<Label, Namespace>, options)
      await Promise.all(labels.map((label) => opened.#attach(label, sides[label])))
      return opened
    } catch (error) {
      await lab.close()
      throw error
    }
  }

  private constructor(
    lab: Lab,
    internet: Namespace,
    clients: Readonly<Record<Label, Namespace>>,
    { kilobitsPerSecond }: InternetOptions,
  ) {
    this.#lab = lab
    this.internet = internet
    this.clients = clients
    this.#kilobitsPerSecond = kilobitsPerSecond
  }

  /** The IPv4 address that the internet sees of a client. */
  publicAddress(label: Label): string {
    return this.#access(label).publicAddress
  }

  /** The routers between a client and the internet, from the client on. */
  routers(label: Label): readonly Namespace[] {
    return this.#access(label).routers
  }

  /** Drops all that a client's routers remember, as if they had been switched off and on. */
  async flush(label: Label): Promise<void> {
    await this.#access(label).flush()
  }

  /** Gives a client's network another public address. @returns it */
  async setPublicAddress(label: Label): Promise<string> {
    return this.#access(label).setPublicAddress()
  }

  /** Takes a client to another network: its address there is another, and nothing comes to the old one. */
  async roam(label: Label, to: NatType | Access): Promise<void> {
    await this.clients[label].run('ip', 'link', 'delete', this.#access(label).device)
    await this.#attach(label, to)
  }

  /** @param loss how much of the UDP is lost on the internet from now on, from 0 to 1 */
  async setLoss(loss: number): Promise<void> {
    await this.internet.shell(lossLine(loss))
  }

  /** Whether UDP passes between clients; what servers send and get is not touched. It passes at first. */
  async setUdpBetweenClients(passes: boolean): Promise<void> {
    const block = 'chain forward { type filter hook forward priority filter; meta l4proto udp drop; };'
    await this.internet.shell(passes ? 'nft delete table inet block' : `nft 'table inet block { ${block} }'`)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#lab.close()
  }

  #access(label: Label): AccessNetwork {
    return this.#accesses.get(label)!
  }

  async #attach(label: Label, to: NatType | Access): Promise<void> {
    const access = typeof to === 'string' ? { type: to } : to
    const network = new AccessNetwork(this.#networks++, access, this.internet, this.clients[label])
    this.#accesses.set(label, network)
    await network.build(this.#lab, `${label}${network.number}`)
    await this.internet.shell(lossyDevice(`wan${network.number}`))
    if (this.#kilobitsPerSecond !== undefined) await network.slowDown(this.#kilobitsPerSecond)
  }
}

function internetLines(loss: number): string[] {
  return [
    forwarding,
    `nft 'table inet distance { chain forward { type filter hook forward priority raw; ip ttl < ${InternetHops} drop; ip6 hoplimit < ${InternetHops} drop; }; }'`,
    ...Servers.ipv4.map((address) => `ip address add ${address}/32 dev lo`),
    ...Servers.ipv6.map((address) => `ip address add ${address}/128 dev lo`),
    ...(loss > 0 ? [lossLine(loss)] : []),
  ]
}

/**
 * What servers send is only marked, and dropped on its way out (`lossyDevice`): where it is dropped at once, the
 * kernel tells them so (EPERM), and coturn ends an allocation whose datagrams it cannot send.
 */
function lossLine(loss: number): string {
  const isLost = `meta l4proto udp numgen random mod 1000 < ${Math.round(loss * 1000)}`
  const chain = (hook: string, rule: string): string =>
    `chain ${hook} { type filter hook ${hook} priority raw; ${rule}; };`
  const own = chain('output', `oifname != "lo" ${isLost} meta mark set ${LostMark}`)
  const passing = chain('prerouting', `iifname != "lo" ${isLost} drop`)
  return `nft 'table inet loss; delete table inet loss; table inet loss { ${own} ${passing} }'`
}

function lossyDevice(device: string): string {
  const chain = `chain ${device} { type filter hook egress device ${device} priority 0; meta mark ${LostMark} drop; };`
  return `nft 'table netdev loss { ${chain} }'`
}
