/** The URLs of backends that speak HTTP. */
import { UsageError } from '../../core/errors.js'

export interface HttpUrl {
  /** Scheme, host, port and path, without a slash at the end. */
  readonly base: string
  /** A name or an IP address, without brackets. */
  readonly host: string
  /** `host:port`: how messages call the server. */
  readonly label: string
  readonly tls: boolean
}

/**
 * @param text `http://host`, `https://host:port/path`
 * @param option the option that it stands in, such as `adapters.opendht.proxy`, for the advice
 * @param code of the UsageError
 * @throws UsageError
 */
export function parseHttpUrl(text: string, option: string, code: string): HttpUrl {
  const wrong = (message: string): UsageError =>
    new UsageError(code, message, { advice: `Set ${option} to http://host:port, or to https:// for TLS` })
  if (!URL.canParse(text)) throw wrong('expected a URL such as http://server.example:8080')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw wrong('expected a URL that begins with http:// or https://')
  }
  // Messages and logs name the server, so nothing secret may stand in its address.
  if (url.username !== '' || url.password !== '') throw wrong('expected no user and no password in the URL')
  if (url.search !== '' || url.hash !== '') throw wrong('expected no ? and no # in the URL')
  if (url.port === '0') throw wrong('expected a port from 1 to 65535')
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? '443' : '80') : url.port
  return {
    base: `${url.origin}${url.pathname}`.replace(/\/+$/, ''),
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    label: `${url.hostname}:${port}`,
    tls,
  }
}
