/** What a router of the lab does with packets, as rules for nft. */

/** The way one box translates and filters; RFC 4787's words stand beside the old names. */
export type RouterKind =
  /** Stateful, and translates nothing. */
  | 'firewall'
  /** Endpoint-independent mapping and filtering. */
  | 'full-cone'
  /** Endpoint-independent mapping, address-dependent filtering. */
  | 'restricted'
  /** Endpoint-independent mapping, address- and port-dependent filtering. */
  | 'port-restricted'
  /** Address- and port-dependent mapping and filtering, random ports. */
  | 'symmetric'
  /** The same, each mapping by the next port. */
  | 'symmetric-sequential'

/** Of a router that hands them out in order. */
const SequentialPorts = 1024

export interface RouterRules {
  readonly kind: RouterKind
  /** Begins of device names, away from and towards the clients. */
  readonly outside: string
  readonly inside: string
  /** The address that mappings are of. */
  readonly publicAddress: string
  /** Whether a client reaches another's mapping, or its own, by the public address. */
  readonly hairpin: boolean
  /**
   * What an unsolicited packet leaves behind: nothing, or an entry because of which the answer to it gets another
   * port. The kernel does the latter wherever its own input takes the packet.
   */
  readonly early: 'drop' | 'occupy'
  /** What else passes: everything, everything but UDP, or only TCP to port 443 and its answers. */
  readonly passes: 'all' | 'no-udp' | 'tcp-443'
  readonly udpTimeoutSeconds: number
  /** Connections are known by it: with another number nothing that was known is known any more. */
  readonly zone: number
}

/** A whole ruleset, which replaces the one before at once. */
export function nftRules(rules: RouterRules): string {
  const nat = rules.kind === 'firewall' ? '' : natTable(rules)
  return `flush ruleset\n${filterTable(rules)}\n${nat}`
}

function filterTable({ kind, outside, inside, early, passes, zone }: RouterRules): string {
  const stateful = `ct state established,related accept; iifname "${inside}*" accept; drop;`
  const forward = {
    all: kind === 'firewall' ? stateful : `meta nfproto ipv4 accept; ${stateful}`,
    'no-udp': `meta l4proto udp drop; ${stateful}`,
    'tcp-443': `iifname "${inside}*" tcp dport 443 accept; meta l4proto tcp ct state established accept; drop;`,
  }[passes]
  // An entry stays only where its first packet is taken. That nobody listens there is not to be told.
  const unsolicited =
    early === 'occupy' ? `iifname "${outside}*" meta l4proto udp accept; meta l4proto udp drop;` : ''
  return `
table inet filter {
  chain before { type filter hook prerouting priority raw; ct zone set ${zone}; }
  chain own { type filter hook output priority raw; ct zone set ${zone}; }
  chain forward { type filter hook forward priority filter; ${forward} }
  chain input {
    type filter hook input priority filter; ${unsolicited}
    meta l4proto { tcp, udp } drop;
  }
  chain output { type filter hook output priority filter; icmp type destination-unreachable drop; }
}`
}

/**
 * The kernel's source NAT keeps the port where it can, whatever the destination, and lets in what it has an entry
 * for. Wider filters are the two tables: which inside endpoint has which port, and whom that port has sent to.
 */
function natTable(rules: RouterRules): string {
  const { kind, outside, inside, publicAddress, hairpin, udpTimeoutSeconds } = rules
  const from = { outside: `iifname "${outside}*"`, inside: `iifname "${inside}*"` }
  const to = { outside: `oifname "${outside}*"`, inside: `oifname "${inside}*"` }
  const own = 'fib daddr type local meta l4proto udp'
  const toMapping = 'dnat ip to udp dport map @mappings'
  const prerouting = [
    ...(kind === 'full-cone' ? [`${from.outside} ${own} ${toMapping}`] : []),
    ...(kind === 'restricted'
      ? [`${from.outside} ${own} udp dport . ip saddr @destinations ${toMapping}`]
      : []),
    ...(hairpin ? [`${from.inside} ${own} ${toMapping}`] : []),
  ]
  const table = (elements: string): string =>
    `{ type ${elements}; flags dynamic,timeout; timeout ${udpTimeoutSeconds}s; size 65535; }`
  const sent = `${to.outside} meta l4proto udp`
  return `
table ip nat {
  map mappings ${table('inet_service : ipv4_addr . inet_service')}
  set destinations ${table('inet_service . ipv4_addr')}
  chain prerouting {
    type nat hook prerouting priority dstnat;
    ${prerouting.join('\n    ')}
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ${kind === 'symmetric-sequential' ? `${to.outside} meta l4proto udp masquerade to :${nextPort}` : ''}
    ${to.outside} masquerade${kind === 'symmetric' ? ' random,fully-random' : ''}
    ${hairpin ? `${from.inside} ${to.inside} ct status dnat snat to ${publicAddress}` : ''}
  }
  chain translated {
    type filter hook postrouting priority srcnat + 10;
    ${sent} ct direction original update @mappings { udp sport : ct original ip saddr . ct original proto-src }
    ${sent} ct direction reply update @mappings { udp sport : ct reply ip saddr . ct reply proto-src }
    ${sent} update @destinations { udp sport . ip daddr }
  }
}`
}

/** One after the other, and after the last one the first again. */
const portsInOrder = Array.from({ length: SequentialPorts }, (_, index) => `${index} : ${20_000 + index}`)
const nextPort = `numgen inc mod ${SequentialPorts} map { ${portsInOrder.join(', ')} }`
