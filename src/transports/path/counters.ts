/** What was dropped or refused, by reason. Numbers only grow. */
export interface PathCounters {
  /** No whole STUN message, or one with a wrong FINGERPRINT. */
  malformed: number
  /** A STUN message of a class or method that checks do not use. */
  unexpected: number
  /** A request whose USERNAME names no pair of ours. */
  unknownUsername: number
  /** A request without the right MESSAGE-INTEGRITY, or without FINGERPRINT. */
  forgedRequest: number
  /** An authentic request without an answer: its source asks much, and has answered nothing yet. */
  unansweredRequest: number
  /** An authentic request, or tunnel packet, from a source that no check may be sent to. */
  unusableSource: number
  /** A response to no check under way: late, doubled, or guessed. */
  unmatchedResponse: number
  /** A response that came from elsewhere than its check went to. */
  wrongSource: number
  /** A response without the right MESSAGE-INTEGRITY, or without FINGERPRINT. */
  forgedResponse: number
  /** An authentic error response, or a success response without XOR-MAPPED-ADDRESS. */
  refusedCheck: number
  /** A signalled candidate that no check may be sent to. */
  unusableCandidate: number
  /** A candidate beyond what one peer may have. */
  surplusCandidate: number
}

export function createCounters(): PathCounters {
  return {
    malformed: 0,
    unexpected: 0,
    unknownUsername: 0,
    forgedRequest: 0,
    unansweredRequest: 0,
    unusableSource: 0,
    unmatchedResponse: 0,
    wrongSource: 0,
    forgedResponse: 0,
    refusedCheck: 0,
    unusableCandidate: 0,
    surplusCandidate: 0,
  }
}
