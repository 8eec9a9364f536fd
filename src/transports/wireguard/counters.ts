/** What a device dropped, by reason. Numbers only grow. */
export interface DeviceCounters {
  /** No WireGuard message, or one of the wrong length. */
  malformed: number
  /** An initiation or response whose mac1 is wrong. */
  invalidMac1: number
  /** An initiation or response that does not authenticate; the preshared keys may differ. */
  forgedHandshake: number
  /** An initiation from a public key that is no peer's. */
  unknownPeer: number
  /** An initiation whose timestamp is not later than the last one. */
  replayedInitiation: number
  /** An initiation too soon after the last one of that peer. */
  floodedInitiation: number
  /** A response, cookie reply or transport message for an index that is not ours, or no longer. */
  unknownReceiver: number
  /** An initiation or response under load without a valid mac2. It was answered with a cookie. */
  underLoad: number
  /** An initiation or response under load, with a valid mac2, from an IP address that sends too many. */
  rateLimited: number
  /** A cookie reply that does not authenticate, or a second one to the same message. */
  forgedCookieReply: number
  /** A transport message older than RejectAfterTime. */
  expiredSession: number
  /** A transport message that does not authenticate. */
  forged: number
  /** A transport message seen before, or too old for the replay window. */
  replayed: number
  /** An inner packet, either way, that is no whole IPv4 or IPv6 packet. */
  malformedPacket: number
  /** An inner packet whose source address is not the peer's. */
  spoofedSource: number
  /** A packet to send whose destination is no peer's. */
  unroutable: number
  /** A packet that waited for a session in vain, or was pushed out by newer ones. */
  stagedDropped: number
}

export function createCounters(): DeviceCounters {
  return {
    malformed: 0,
    invalidMac1: 0,
    forgedHandshake: 0,
    unknownPeer: 0,
    replayedInitiation: 0,
    floodedInitiation: 0,
    unknownReceiver: 0,
    underLoad: 0,
    rateLimited: 0,
    forgedCookieReply: 0,
    expiredSession: 0,
    forged: 0,
    replayed: 0,
    malformedPacket: 0,
    spoofedSource: 0,
    unroutable: 0,
    stagedDropped: 0,
  }
}
