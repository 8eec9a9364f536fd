/** Numbers of the DNS, by the names of their specifications. */

/** RFC 1035 section 3.2.2; OPT: RFC 6891; TSIG: RFC 8945; ANY: RFC 8482. */
export const Type = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  TXT: 16,
  AAAA: 28,
  OPT: 41,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const

/** RFC 1035 section 3.2.4; NONE: RFC 2136 section 2.4. */
export const Class = { IN: 1, NONE: 254, ANY: 255 } as const

/** RFC 1035 section 4.1.1; UPDATE: RFC 2136 section 1.3. */
export const Opcode = { QUERY: 0, UPDATE: 5 } as const

/** RFC 1035 section 4.1.1, RFC 2136 section 2.2; from 16 on RFC 6891 and RFC 8945 section 3. */
export const Rcode = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  NOTAUTH: 9,
  NOTZONE: 10,
  BADVERS: 16,
  BADSIG: 16,
  BADKEY: 17,
  BADTIME: 18,
} as const

/** Bits of the second word of a header: RFC 1035 section 4.1.1. */
export const Flag = { QR: 0x80_00, AA: 0x04_00, TC: 0x02_00, RD: 0x01_00, CD: 0x00_10 } as const

/** What we say that we take over UDP: it passes every network unfragmented (RFC 9715 section 3). */
export const UdpPayloadBytes = 1232
/** What a reader without EDNS takes (RFC 1035 section 4.2.1). */
export const PlainUdpBytes = 512
export const HeaderBytes = 12
export const MaxLabelBytes = 63
/** Of a name, with its length bytes (RFC 1035 section 2.3.4). */
export const MaxNameBytes = 255
