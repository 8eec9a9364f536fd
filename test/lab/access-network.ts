/** A client's way to the internet, and what stands on it. */

import type { Lab, Namespace } from './namespace.js'
import { nftRules, type RouterKind, type RouterRules } from './nat-rules.js'

export const NatTypes = [
  'open',
  'firewall',
  'full-cone',
  'restricted',
  'port-restricted',
  'symmetric',
  /** Symmetric, each mapping by the next port. */
  'symmetric-sequential',
  /** Port-restricted, and an unsolicited packet takes the port that its answer would leave by. */
  'occupying',
  /** A port-restricted router behind a carrier's, which is port-restricted too. */
  'cgnat',
  /** No UDP at all, TCP as it likes. */
  'udp-blocked',
  /** Only TCP to port 443. */
  'tcp-443',
] as const
export type NatType = (typeof NatTypes)[number]

export interface Access {
  readonly type: NatType
  /** No by default. */
  readonly hairpin?: boolean
  /** What an unsolicited packet does to a router that translates. `drop` by default. */
  readonly early?: RouterRules['early']
  /** 30 by default, as the kernel has it. */
  readonly udpTimeoutSeconds?: number
  /** IPv6 passes a stateful firewall, but for the type `open`. `ipv4` by default. */
  readonly family?: 'ipv4' | 'dual' | 'ipv6'
}

export const forwarding = 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1'

/** A client's way to the internet: a link, and the routers on it. */
export class AccessNetwork {
  readonly routers: Namespace[] = []
  /** The client's. */
  device = ''
  publicAddress: string
  /** Outermost first. */
  readonly #boxes: { readonly namespace: Namespace; rules: RouterRules }[] = []
  readonly #access: Access

  constructor(
    readonly number: number,
    access: Access,
    readonly internet: Namespace,
    readonly client: Namespace,
  ) {
    if (number > 30) throw new Error('a lab has room for 31 networks')
    this.#access = access
    this.publicAddress = this.#isRouted ? `192.0.2.${8 * number + 2}` : this.#transit(2)
  }

  async build(lab: Lab, label: string): Promise<void> {
    const { type } = this.#access
    const layers: readonly RouterKind[] = {
      open: [],
      cgnat: ['port-restricted', 'port-restricted'] as const,
      'udp-blocked': ['port-restricted'] as const,
      'tcp-443': ['port-restricted'] as const,
      firewall: ['firewall'] as const,
      'full-cone': ['full-cone'] as const,
      restricted: ['restricted'] as const,
      'port-restricted': ['port-restricted'] as const,
      symmetric: ['symmetric'] as const,
      'symmetric-sequential': ['symmetric-sequential'] as const,
      occupying: ['port-restricted'] as const,
    }[type]
    const names = layers.map((_, index) => `${label}-${index === layers.length - 1 ? 'router' : 'carrier'}`)
    const namespaces = await Promise.all(names.map((name) => addNamespace(lab, name)))
    const chain = [this.internet, ...namespaces, this.client]
    for (const [index, outer] of chain.slice(0, -1).entries()) {
      await this.#join(lab, outer, chain[index + 1]!, index, layers.length)
    }
    for (const [index, namespace] of namespaces.entries()) {
      await this.#becomeRouter(namespace, layers[index]!, index, layers.length)
    }
    this.routers.push(...namespaces.toReversed())
  }

  async flush(): Promise<void> {
    for (const box of this.#boxes) await this.#apply(box, {})
  }

  async setPublicAddress(): Promise<string> {
    const { publicAddress: before, number } = this
    const last = before.endsWith(`.${8 * number + 2}`) ? 3 : 2
    this.publicAddress = before.replace(/\d+$/, String(8 * number + last))
    const isOwn = this.#boxes.length === 0 || this.#isRouted
    const holder = isOwn ? this.client : this.#boxes[0]!.namespace
    const device = isOwn ? this.device : `wan${number}`
    const gateway = before.replace(/\d+$/, String(8 * number + 1))
    await holder.shell(
      `ip address delete ${before}/29 dev ${device}`,
      `ip address add ${this.publicAddress}/29 dev ${device}`,
      `ip route replace default via ${gateway}`,
    )
    for (const box of this.#boxes) await this.#apply(box, { publicAddress: this.#ownAddress(box) })
    return this.publicAddress
  }

  async slowDown(kilobitsPerSecond: number): Promise<void> {
    const line = `tc qdisc add dev wan${this.number} root tbf rate ${kilobitsPerSecond}kbit burst 16kb latency 100ms`
    const near = this.#boxes[0]?.namespace ?? this.client
    await Promise.all([this.internet.shell(line), near.shell(line)])
  }

  /** Whether the client has a public address behind a router. */
  get #isRouted(): boolean {
    return this.#access.type === 'firewall'
  }

  #transit(last: number): string {
    return `203.0.113.${8 * this.number + last}`
  }

  /** Addresses and routes between two neighbours. The outer one is .1, the inner one .2. */
  async #join(lab: Lab, outer: Namespace, inner: Namespace, depth: number, layers: number): Promise<void> {
    const { number } = this
    const { family = 'ipv4' } = this.#access
    const isClient = depth === layers
    const device = `${depth === 0 ? 'wan' : isClient ? 'lan' : 'cgn'}${number}`
    if (isClient) this.device = device
    const [prefix, first, length] = this.#subnet(depth, isClient)
    const ipv6 = `2001:db8:${depth + 1}:${number}::`
    const addresses = (last: number): string[] => [
      ...(family !== 'ipv6' || !isClient ? [`${prefix}${first + last}/${length}`] : []),
      ...(family !== 'ipv4' ? [`${ipv6}${last}/64`] : []),
    ]
    await lab.link(device, [outer, ...addresses(1)], [inner, ...addresses(2)])
    const hasIpv4 = family !== 'ipv6' || !isClient
    await inner.shell(
      ...(hasIpv4 ? [`ip route add default via ${prefix}${first + 1}`] : []),
      ...(family !== 'ipv4' ? [`ip -6 route add default via ${ipv6}1`] : []),
    )
    // Addresses further in: of the next box, and public ones behind a firewall.
    const further = Array.from({ length: layers - depth }, (_, more) => depth + 1 + more)
    const lines = [
      ...(family !== 'ipv4'
        ? further.map((at) => `ip -6 route add 2001:db8:${at + 1}:${number}::/64 via ${ipv6}2`)
        : []),
      ...(this.#isRouted && depth === 0 && family !== 'ipv6'
        ? [`ip route add 192.0.2.${8 * number}/29 via ${this.#transit(2)}`]
        : []),
    ]
    await outer.shell(...lines)
  }

  #subnet(depth: number, isClient: boolean): readonly [prefix: string, first: number, length: number] {
    if (depth === 0) return ['203.0.113.', 8 * this.number, 29]
    if (!isClient) return ['100.64.0.', 8 * this.number, 29]
    return this.#isRouted ? ['192.0.2.', 8 * this.number, 29] : [`10.${this.number + 1}.0.`, 0, 24]
  }

  async #becomeRouter(namespace: Namespace, kind: RouterKind, depth: number, layers: number): Promise<void> {
    const { type, hairpin = false, udpTimeoutSeconds = 30 } = this.#access
    const { early = type === 'occupying' ? 'occupy' : 'drop' } = this.#access
    const box = {
      namespace,
      rules: {
        kind,
        outside: depth === 0 ? 'wan' : 'cgn',
        inside: depth === layers - 1 ? 'lan' : 'cgn',
        publicAddress: depth === 0 ? this.publicAddress : `100.64.0.${8 * this.number + 2}`,
        // Carriers' routers do not turn their customers' packets round.
        hairpin: hairpin && depth === layers - 1,
        early,
        passes: type === 'udp-blocked' ? 'no-udp' : type === 'tcp-443' ? 'tcp-443' : 'all',
        udpTimeoutSeconds,
        zone: 0,
      } satisfies RouterRules,
    }
    this.#boxes.push(box)
    await namespace.shell(
      forwarding,
      // Only bridges ask for these, and where the kernel has no bridges they are not there.
      'sysctl -eqw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0',
    )
    await this.#apply(box, {})
    // They exist from the first rule that looks at connections on.
    const names = ['udp_timeout', 'udp_timeout_stream']
    const timeouts = names.map((name) => `net.netfilter.nf_conntrack_${name}=${udpTimeoutSeconds}`)
    await namespace.run('sysctl', '-qw', ...timeouts)
  }

  #ownAddress(box: { readonly rules: RouterRules }): string {
    return box === this.#boxes[0] ? this.publicAddress : box.rules.publicAddress
  }

  async #apply(
    box: { readonly namespace: Namespace; rules: RouterRules },
    changes: Partial<RouterRules>,
  ): Promise<void> {
    box.rules = { ...box.rules, ...changes, zone: box.rules.zone + 1 }
    await box.namespace.shell(`nft -f - <<'END'\n${nftRules(box.rules)}\nEND`)
  }
}

export async function addNamespace(lab: Lab, label: string): Promise<Namespace> {
  const namespace = await lab.namespace(label)
  // Else each IPv6 address looks for a double for a second (RFC 4862, section 5.4).
  await namespace.run('sysctl', '-qw', 'net.ipv6.conf.default.accept_dad=0')
  return namespace
}
