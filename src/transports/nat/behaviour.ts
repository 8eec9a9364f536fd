/** What a NAT does with UDP, in the words of RFC 4787, and how it is told from what STUN servers say. */
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'

/** What a mapping, or a filter, looks at besides the inside endpoint (RFC 4787 sections 4.1 and 5). */
export type Dependence = 'endpoint-independent' | 'address-dependent' | 'address-and-port-dependent'

/**
 * `none`: no NAT. `destination-dependent`: one of the two dependent ones, and too little was heard to say which.
 * `unknown`: there is a NAT, and only one destination was heard of.
 */
export type Mapping = Dependence | 'none' | 'destination-dependent' | 'unknown'

/** `unknown` where no server answers from another address. */
export type Filtering = Dependence | 'unknown'

/** What people call it (RFC 3489 section 5). `cone` and `no NAT` where the filter is not known. */
export type NatName =
  | 'open'
  | 'firewall'
  | 'no NAT'
  | 'full cone'
  | 'restricted cone'
  | 'port-restricted cone'
  | 'cone'
  | 'symmetric'
  | 'unknown'

/** Where one destination sees a port of this machine. */
export interface MappingSample {
  readonly destination: SocketAddress
  readonly mapped: SocketAddress
}

/** How many ports apart the mappings of one socket may be for the next to be told from them. */
const PredictableSpan = 32

/**
 * How ports are mapped (RFC 5780 section 4.3), from any number of destinations.
 * @param local the port itself; @param samples where they see it, all within the life of a binding
 */
export function judgeMapping(local: SocketAddress, samples: readonly MappingSample[]): Mapping {
  if (samples.length > 0 && samples.every(({ mapped }) => isSame(mapped, local))) return 'none'
  const pairs = samples.flatMap((one, index) =>
    samples.slice(index + 1).map((other) => [one, other] as const),
  )
  const differs = pairs.filter(([one, other]) => !isSame(one.mapped, other.mapped))
  const ports = pairs.filter(
    ([one, other]) => isSameAddress(one, other) && !isSame(one.destination, other.destination),
  )
  if (differs.some(([one, other]) => isSameAddress(one, other))) return 'address-and-port-dependent'
  if (differs.length > 0) return ports.length > 0 ? 'address-dependent' : 'destination-dependent'
  return pairs.some(([one, other]) => !isSameAddress(one, other)) ? 'endpoint-independent' : 'unknown'
}

/** Whether the port that the next destination will see can be told from these; undefined where there is one only. */
export function isPredictable(mapping: Mapping, samples: readonly MappingSample[]): boolean | undefined {
  if (mapping === 'none' || mapping === 'endpoint-independent') return true
  const ports = new Set(samples.map(({ mapped }) => mapped.port))
  if (ports.size < 2) return undefined
  return Math.max(...ports) - Math.min(...ports) <= PredictableSpan
}

export function natName(mapping: Mapping, filtering: Filtering): NatName {
  if (mapping === 'unknown') return 'unknown'
  if (mapping === 'none') {
    if (filtering === 'unknown') return 'no NAT'
    return filtering === 'endpoint-independent' ? 'open' : 'firewall'
  }
  if (mapping !== 'endpoint-independent') return 'symmetric'
  return (
    {
      'endpoint-independent': 'full cone',
      'address-dependent': 'restricted cone',
      'address-and-port-dependent': 'port-restricted cone',
      unknown: 'cone',
    } as const
  )[filtering]
}

function isSameAddress(one: MappingSample, other: MappingSample): boolean {
  return one.destination.address === other.destination.address
}

function isSame(a: SocketAddress, b: SocketAddress): boolean {
  return formatSocketAddress(a) === formatSocketAddress(b)
}
