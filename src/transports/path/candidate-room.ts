import type { PairedCandidate, RemoteCandidate } from './remote-candidate.js'
import { ForgottenMs } from './timing.js'

/** How many places a peer may signal, over time: the oldest one of no use makes room. */
export const MaxSignalled = 24
/** How many pairs of those and of relays there may be beside. */
const MaxRelayedPairs = 24
/** How many more places it may send from. */
const MaxPeerReflexive = 8

/**
 * Makes room for a peer's candidate, if need be, by forgetting the oldest one that has never answered, or else one
 * that is long silent: after days of roaming all have answered once. The sorts have a room each, so that replayed
 * checks from many sources do not push out what the peer signalled.
 * @param candidates those that there are, oldest first
 * @param inUse those that stay
 */
export function makeRoom(
  now: number,
  candidate: PairedCandidate,
  candidates: Map<string, RemoteCandidate>,
  inUse: readonly (RemoteCandidate | undefined)[],
): 'there' | 'made' | 'none' {
  const sort = sortOf(candidate)
  const sameSort = [...candidates.values()].filter((each) => sortOf(each) === sort)
  if (sameSort.length < Most[sort]) return 'there'
  const unused = sameSort.filter((each) => !inUse.includes(each))
  const oldest =
    unused.find(({ answers }) => answers === 0) ??
    unused.find(({ heardAt = 0 }) => now - heardAt > ForgottenMs)
  if (oldest === undefined) return 'none'
  oldest.removed = true
  candidates.delete(oldest.key)
  return 'made'
}

type Sort = 'signalled' | 'relayed' | 'seen'

const Most: Readonly<Record<Sort, number>> = {
  signalled: MaxSignalled,
  relayed: MaxRelayedPairs,
  seen: MaxPeerReflexive,
}

function sortOf({ kind, address }: PairedCandidate): Sort {
  if (kind === 'prflx') return 'seen'
  return address.via === undefined ? 'signalled' : 'relayed'
}
