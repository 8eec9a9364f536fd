/** What IPv4 and IPv6 have in common, and all that the layers above them see. */
export interface IpPacket {
  /** 4 or 16 bytes. */
  readonly source: Uint8Array
  /** As long as the source. */
  readonly destination: Uint8Array
  /** Of the payload: IPv4's protocol, IPv6's last next header (IANA protocol numbers). */
  readonly protocol: number
  readonly payload: Uint8Array
}

/** The hop limit (IPv4: time to live) of everything that is sent: the recommended default (RFC 1700). */
export const HopLimit = 64

export const IpProtocol = { icmp: 1, udp: 17, icmpv6: 58 } as const
