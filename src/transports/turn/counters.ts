/** What was dropped, by reason. Numbers only grow. */
export interface TurnCounters {
  /** Not a whole message, or one that lacks what it must have. */
  malformed: number
  /** A message that nothing asked for, or for a channel that is not bound. */
  unexpected: number
  /** A response with a wrong MESSAGE-INTEGRITY, or without one where it must have it. */
  unauthentic: number
  /** Data from an address without a permission. */
  unpermitted: number
  /** ICMP errors that the server passes on (RFC 8656 section 11.6). */
  icmp: number
  /** Data that was not sent: there is no permission, or too much waits to be sent. */
  unsent: number
}

export function zeroCounters(): TurnCounters {
  return { malformed: 0, unexpected: 0, unauthentic: 0, unpermitted: 0, icmp: 0, unsent: 0 }
}
