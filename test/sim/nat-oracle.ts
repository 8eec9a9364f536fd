/**
 * What kind of path there can be between two clients, from what RFC 4787 calls mapping and filtering: no packet is
 * simulated. Measured outcomes are held against it.
 *
 * Each side knows the other's reflexive endpoint, sends to it again and again, and to every source that it sees. A
 * path is a pair of endpoints over which packets pass both ways.
 */
import type { Dependence, NatPath } from './simulated-nat.js'

export type Outcome =
  | 'direct'
  /** Direct, if one side tries the other's ports, or both predict each other's. */
  | 'direct by search'
  | 'relay'
  /** No UDP leaves one of the two. */
  | 'relay over tcp'

export interface OracleOptions {
  /** Whether they search and predict; they do by default. */
  readonly search?: boolean
  /**
   * Whether both open their own NAT, by packets that die before the other's, ere any packet reaches the other's; they
   * do by default. Else it is the worst order that counts, and nobody searches.
   */
  readonly openers?: boolean
  /** Whether both are behind one and the same NAT, which turns packets round or not. Two NATs by default. */
  readonly behind?: 'two NATs' | 'one NAT with hairpin' | 'one NAT without hairpin'
}

export function predictOutcome(a: NatPath, b: NatPath, options: OracleOptions = {}): Outcome {
  const { search = true, openers = true, behind = 'two NATs' } = options
  if (a === 'no UDP' || b === 'no UDP') return 'relay over tcp'
  if (behind === 'one NAT without hairpin') return 'relay'
  const [first, second] = [sideOf(a), sideOf(b)]
  if (!openers && (first.occupies || second.occupies)) {
    const always = isDirectAfter(first, second) && isDirectAfter(second, first)
    return always ? 'direct' : 'relay'
  }
  if (isDirect(first, second)) return 'direct'
  return search && isFound(first, second) ? 'direct by search' : 'relay'
}

interface Side {
  readonly mapping: Dependence
  readonly filtering: Dependence
  /** Whether the port of its next mapping can be told from the one before. */
  readonly isPredictable: boolean
  /** Whether a packet that it turns away keeps its answer from leaving by the known port. */
  readonly occupies: boolean
}

/** Of boxes in a row, the strictest counts. */
function sideOf(boxes: Exclude<NatPath, 'no UDP'>): Side {
  const mappings = boxes.map(({ mapping }) => (mapping === 'none' ? 'endpoint-independent' : mapping))
  return {
    mapping: strictest(mappings),
    filtering: strictest(boxes.map(({ filtering }) => filtering)),
    isPredictable: boxes.every((box, index) => isIndependent(mappings[index]!) || box.ports !== 'random'),
    occupies: boxes.some(
      ({ mapping, filtering, early }) =>
        early === 'occupy' && mapping !== 'none' && filtering !== 'endpoint-independent',
    ),
  }
}

function isDirect(a: Side, b: Side): boolean {
  return isReachedBy(a, b) || isReachedBy(b, a) || meetsMidway(a, b) || meetsMidway(b, a)
}

/**
 * Whether the other's packets come in at the reflexive endpoint, and answers leave from there. It has sent from there
 * to the other's reflexive endpoint, so the filter passes the other's address, and that very endpoint only if the
 * other keeps it for all destinations.
 */
function isReachedBy(side: Side, other: Side): boolean {
  if (!isIndependent(side.mapping)) return false
  return !isStrict(side) || isIndependent(other.mapping)
}

/**
 * Whether two that both change ports meet all the same, since this one has one port for all that it sends to the
 * other's address: once the other has heard it from there, neither port changes any more. The other hears it where it
 * lets in anybody; or where this one does, and so knows an endpoint of the other's that lets in its address.
 */
function meetsMidway(side: Side, other: Side): boolean {
  if (side.mapping !== 'address-dependent' || isStrict(side)) return false
  return isWide(other) || (isWide(side) && !isStrict(other))
}

/** Both send to each other's next ports, or one sends to all the other's, of whose sockets many wait for it. */
function isFound(a: Side, b: Side): boolean {
  return (a.isPredictable && b.isPredictable) || findsAmong(a, b) || findsAmong(b, a)
}

/**
 * Those that wait have sent to the other's reflexive endpoint: another of its ports is let in by a filter that looks
 * at addresses at most. Then one of the two has to stay where it is, which the other's filter is open for: it has
 * sent to all ports.
 */
function findsAmong(side: Side, waiting: Side): boolean {
  if (isIndependent(side.mapping)) return true
  return !isStrict(waiting) && [side, waiting].some(({ mapping }) => mapping === 'address-dependent')
}

/** Without openers: whether there is a path where the packets of `early` come before `late` has sent any. */
function isDirectAfter(early: Side, late: Side): boolean {
  if (!late.occupies) return isDirect(early, late)
  // Nothing from that endpoint comes in where it came first, and `late` leaves by another port than it would have: it
  // has to be let in at the other.
  if (isIndependent(early.mapping)) return !isStrict(early)
  if (isIndependent(late.mapping) || !isWide(early) || isStrict(late)) return false
  return [early, late].some(({ mapping }) => mapping === 'address-dependent')
}

function isStrict({ filtering }: Side): boolean {
  return filtering === 'address-and-port-dependent'
}

function isWide({ filtering }: Side): boolean {
  return filtering === 'endpoint-independent'
}

function isIndependent(mapping: Dependence): boolean {
  return mapping === 'endpoint-independent'
}

function strictest(all: readonly Dependence[]): Dependence {
  const order = ['address-and-port-dependent', 'address-dependent'] as const
  return order.find((each) => all.includes(each)) ?? 'endpoint-independent'
}
