/** The words and numbers of RFC 6887 (PCP) and RFC 6886 (NAT-PMP), which share their ports. */

/** RFC 6887 section 19.1: where routers listen. */
export const ServerPort = 5351
/** RFC 6887 section 19.1: where clients hear announcements. */
export const ClientPort = 5350
/** RFC 6887 section 14.1: the group that announcements are sent to. */
export const AnnouncementGroup = '224.0.0.1'

/** The first byte of every message. */
export const PcpVersion = 2
export const NatPmpVersion = 0

/** RFC 6887 section 7.2: the bit of the second byte that tells a response. */
export const ResponseBit = 0x80

/** RFC 6887 section 7: no message is longer. */
export const MaxMessageBytes = 1100

/** RFC 6887 section 19.2. */
export const PcpOpcode = { Announce: 0, Map: 1 } as const
/** RFC 6886 section 3. */
export const NatPmpOpcode = { ExternalAddress: 0, MapUdp: 1 } as const

/** IANA's number of UDP, as RFC 6887 section 11.1 wants it. */
export const UdpProtocol = 17

/** RFC 6887 section 11.1. */
export const NonceBytes = 12

/** RFC 6887 section 7.4. */
export const PcpResultNames: readonly string[] = [
  'SUCCESS',
  'UNSUPP_VERSION',
  'NOT_AUTHORIZED',
  'MALFORMED_REQUEST',
  'UNSUPP_OPCODE',
  'UNSUPP_OPTION',
  'MALFORMED_OPTION',
  'NETWORK_FAILURE',
  'NO_RESOURCES',
  'UNSUPP_PROTOCOL',
  'USER_EX_QUOTA',
  'CANNOT_PROVIDE_EXTERNAL',
  'ADDRESS_MISMATCH',
  'EXCESSIVE_REMOTE_PEERS',
]

/** RFC 6886 section 3.5. */
export const NatPmpResultNames: readonly string[] = [
  'Success',
  'Unsupported Version',
  'Not Authorized/Refused',
  'Network Failure',
  'Out of resources',
  'Unsupported opcode',
]

export const Success = 0
/** In both protocols. */
export const UnsupportedVersion = 1

/** RFC 6887 section 11.2.1: no renewal comes sooner after another, ms. */
export const MinRenewalMs = 4000
