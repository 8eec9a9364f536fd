import ipaddr from 'ipaddr.js'

/** The text that sockets have for an address: a lookup gives literals back as they were written. */
export function canonicalAddress(address: string): string {
  const parsed = address.includes('%') ? undefined : ipaddr.parse(address)
  return parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : address
}
