/** What kind of path two sides can have, from how their NATs map and filter. */
import type { Dependence, Filtering, Mapping } from './behaviour.js'

export type Outcome =
  | 'direct'
  /** Direct, if one side tries the other's ports, or both predict each other's. */
  | 'direct by search'
  | 'relay'
  /** No UDP leaves one of the two. */
  | 'relay over tcp'

/** One side of a path. */
export type Side =
  | 'no UDP'
  | {
      readonly mapping: Dependence | 'none'
      readonly filtering: Dependence
      /** Whether the port of its next mapping can be told from those before. */
      readonly isPredictable: boolean
    }

/** The others that people have, by what these are called. */
export const CommonSides: Readonly<Record<string, Side>> = {
  open: { mapping: 'none', filtering: 'endpoint-independent', isPredictable: true },
  firewall: { mapping: 'none', filtering: 'address-and-port-dependent', isPredictable: true },
  'full cone': coneOf('endpoint-independent'),
  'restricted cone': coneOf('address-dependent'),
  'port-restricted cone': coneOf('address-and-port-dependent'),
  'symmetric, ports in order': symmetricOf(true),
  'symmetric, random ports': symmetricOf(false),
  blocked: 'no UDP',
}

type SideClass = 'o' | 'p' | 'aw' | 'aa' | 'as' | 'sw' | 'sa' | 'ss'

/**
 * By classes, of which `o` is what anybody on its own port can reach and `p` what lets in only whom it has sent to;
 * the others have ports by address (`a`) or by address and port (`s`), and a filter that is wide, looks at addresses,
 * or is strict. D is direct, s by search, p by search where both can be predicted, and else by a relay.
 */
const Table: Readonly<Record<SideClass, string>> = {
  o: 'DDDDDDDD',
  p: 'DDssssss',
  aw: 'DsDDsDDs',
  aa: 'DsDssDss',
  as: 'Dssspssp',
  sw: 'DsDDsppp',
  sa: 'DsDssppp',
  ss: 'Dssspppp',
}
const Order = Object.keys(Table) as readonly SideClass[]

/** The best path that these two can have, where both know each other's address and punch at the same time. */
export function predictOutcome(one: Side, other: Side): Outcome {
  if (one === 'no UDP' || other === 'no UDP') return 'relay over tcp'
  const cell = Table[classOf(one)][Order.indexOf(classOf(other))]
  if (cell === 'D') return 'direct'
  return cell === 's' || (one.isPredictable && other.isPredictable) ? 'direct by search' : 'relay'
}

/**
 * A side as far as it is known: what is not known is taken for the worst of what it can be.
 * @returns undefined where too little is known
 */
export function sideOf(known: {
  readonly mapping: Mapping
  readonly filtering: Filtering
  readonly portsPredictable: boolean | undefined
}): Side | undefined {
  const { mapping, filtering, portsPredictable: isPredictable = false } = known
  if (mapping === 'unknown') return undefined
  return {
    mapping: mapping === 'destination-dependent' ? 'address-and-port-dependent' : mapping,
    filtering: filtering === 'unknown' ? 'address-and-port-dependent' : filtering,
    isPredictable,
  }
}

function classOf({ mapping, filtering }: Exclude<Side, 'no UDP'>): SideClass {
  const isStrict = filtering === 'address-and-port-dependent'
  if (mapping === 'none' || mapping === 'endpoint-independent') return isStrict ? 'p' : 'o'
  const filter = isStrict ? 's' : filtering === 'address-dependent' ? 'a' : 'w'
  return `${mapping === 'address-dependent' ? 'a' : 's'}${filter}`
}

function coneOf(filtering: Dependence): Side {
  return { mapping: 'endpoint-independent', filtering, isPredictable: true }
}

function symmetricOf(isPredictable: boolean): Side {
  const both = 'address-and-port-dependent'
  return { mapping: both, filtering: both, isPredictable }
}
