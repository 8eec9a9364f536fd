/** `192.0.2.1:53` or `[2001:db8::1]:53`; without a port it is 53. */
import { isIP } from 'node:net'
import { UsageError } from '../../core/errors.js'
import type { SocketAddress } from '../../core/machine.js'

const DnsPort = 53

/** @throws UsageError `dns-address-wrong` */
export function parseServerAddress(text: string): SocketAddress {
  if (isIP(text) !== 0) return { address: text, port: DnsPort }
  const [, v6, v4, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const address = v6 ?? v4 ?? ''
  const port = digits === undefined ? DnsPort : Number(digits)
  if (isIP(address) === (v6 === undefined ? 4 : 6) && port <= 65_535) return { address, port }
  throw new UsageError('dns-address-wrong', 'this is no address of a DNS server', {
    advice: 'Write an IP address, and a port where it is not 53: 192.0.2.1:5353 or [2001:db8::1]:5353',
  })
}
