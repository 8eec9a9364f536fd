/** What a message says of where its sender can be reached. */
import { type Candidate, parseCandidates } from '../transports/path/candidate.js'
import { type IceCredentials, parseCredentials } from '../transports/path/credentials.js'

/**
 * Reads what a message says of its sender's reachability.
 * @returns undefined where it is not of its form
 */
export function readReachability(
  ice: string,
  candidates: string,
): { readonly ice: IceCredentials; readonly candidates: readonly Candidate[] } | undefined {
  const [credentials, list] = [parseCredentials(ice), parseCandidates(candidates)]
  return credentials && list && { ice: credentials, candidates: list }
}
