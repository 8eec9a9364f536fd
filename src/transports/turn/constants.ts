/** The words and numbers of RFC 8656, and of RFC 8489 where only TURN uses them. */
import { AttributeType } from '../stun/constants.js'

/** RFC 8656 section 17. */
export const Allocate = 0x003
export const Refresh = 0x004
export const Send = 0x006
export const Data = 0x007
export const CreatePermission = 0x008
export const ChannelBind = 0x009

/** RFC 8656 section 18; REALM, NONCE and the alternates from RFC 8489 section 18.3. */
export const TurnAttributeType = {
  ChannelNumber: 0x000c,
  Lifetime: 0x000d,
  XorPeerAddress: 0x0012,
  Data: 0x0013,
  Realm: 0x0014,
  Nonce: 0x0015,
  XorRelayedAddress: 0x0016,
  RequestedAddressFamily: 0x0017,
  RequestedTransport: 0x0019,
  AlternateDomain: 0x8003,
  Icmp: 0x8004,
  AlternateServer: 0x8023,
} as const

/** What a client understands of a server's messages (RFC 8489 section 6.3.3). */
export const Understood: ReadonlySet<number> = new Set([
  ...Object.values(AttributeType),
  ...Object.values(TurnAttributeType),
])

/** RFC 8489 section 14.8 and RFC 8656 section 19. */
export const ErrorNumber = {
  TryAlternate: 300,
  Unauthenticated: 401,
  Forbidden: 403,
  UnknownAttribute: 420,
  /** RFC 3489 only: older servers say it for a wrong password. */
  IntegrityCheckFailure: 431,
  AllocationMismatch: 437,
  StaleNonce: 438,
  AddressFamilyNotSupported: 440,
  WrongCredentials: 441,
  UnsupportedTransport: 442,
  AllocationQuotaReached: 486,
  InsufficientCapacity: 508,
} as const

/** RFC 8656 section 18.7: IANA's number for UDP, the one transport of relayed addresses here. */
export const UdpProtocol = 17
/** RFC 8656 section 18.6. */
export const AddressFamily = { 4: 0x01, 6: 0x02 } as const

/** RFC 8656 section 3.2: the lifetime of an allocation where nobody says otherwise, ms. */
export const DefaultLifetime = 600_000
/** RFC 8656 section 9: the lifetime of a permission, ms. */
export const PermissionLifetime = 300_000
/** RFC 8656 section 12: the lifetime of a channel binding, ms. */
export const ChannelLifetime = 600_000
/** RFC 8656 section 12: how long after it a channel number is not bound to another peer, ms. */
export const ChannelRest = 300_000
/** RFC 8656 section 12. */
export const FirstChannelNumber = 0x4000
export const LastChannelNumber = 0x4fff

/** RFC 8489 section 14.9 and 14.10: REALM and NONCE have fewer than 764 bytes. */
export const MaxQuotedBytes = 763
/** What fits into a STUN message of 65,535 bytes with the peer's address, and into a UDP datagram. */
export const MaxDataBytes = 65_000
