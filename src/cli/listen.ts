import { isIP } from 'node:net'
import { UsageError } from '../core/errors.js'
import type { SocketAddress } from '../core/machine.js'

/**
 * `127.0.0.1:1883` or `[::1]:1883`, as `--listen` takes it; port 0 is any free one.
 * @throws UsageError `listen-invalid`
 */
export function parseListen(text: string): SocketAddress {
  const [, v6, v4, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const address = v6 ?? v4 ?? ''
  const port = Number(digits)
  const family = v6 === undefined ? 4 : 6
  if (isIP(address) === family && port <= 65_535) return { address, port }
  throw new UsageError('listen-invalid', `'${text}' is not an address to listen on`, {
    advice: 'Write an IP address and a port, such as 127.0.0.1:1883 or [::1]:1883',
  })
}
