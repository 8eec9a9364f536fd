/** The words and numbers of RFC 8489, and of RFC 8445 where ICE adds to it. */

/** RFC 8489 section 5. */
export const MagicCookie = 0x2112a442
export const HeaderBytes = 20
export const TransactionIdBytes = 12

/** RFC 8489 section 18.2: the one method that is used. */
export const Binding = 0x001

/** RFC 8489 section 18.3; PRIORITY from RFC 8445 section 16.1. */
export const AttributeType = {
  MappedAddress: 0x0001,
  Username: 0x0006,
  MessageIntegrity: 0x0008,
  ErrorCode: 0x0009,
  UnknownAttributes: 0x000a,
  XorMappedAddress: 0x0020,
  Priority: 0x0024,
  Software: 0x8022,
  Fingerprint: 0x8028,
} as const

/**
 * RFC 5780 section 7, of which only a client of ours makes use: a request that has one of the first two is one that
 * our servers do not understand, and they have to say so. OTHER-ADDRESS need not be understood.
 */
export const BehaviourAttributeType = {
  ChangeRequest: 0x0003,
  ResponsePort: 0x0027,
  OtherAddress: 0x802c,
} as const

/** RFC 8489 section 14: types below this one must be understood, or the request is refused. */
export const FirstComprehensionOptional = 0x8000

/** RFC 8489 section 14.8. */
export const UnknownAttributeError = 420

/** RFC 8489 section 6.2.1: the initial retransmission timeout, ms. */
export const RTO = 500
/** RFC 8489 section 6.2.1: how often a request is sent in all. */
export const Rc = 7
/** RFC 8489 section 6.2.1: how many RTO the last one is waited for. */
export const Rm = 16
