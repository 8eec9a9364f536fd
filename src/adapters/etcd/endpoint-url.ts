/** The URLs that name members of an etcd cluster. */
import { UsageError } from '../../core/errors.js'

export interface EndpointUrl {
  /** A name or an IP address, without brackets. */
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

const DefaultPort = 2379

/**
 * @param text `http://host:port`, `https://host:port` or `host:port`, which is the first of them
 * @throws UsageError `etcd-url-invalid`. Its message does not repeat the text, which may hold a password
 */
export function parseEndpointUrl(text: string): EndpointUrl {
  const withScheme = text.includes('://') ? text : `http://${text}`
  if (!/^https?:\/\//i.test(withScheme)) throw invalid('it has neither http:// nor https://')
  if (!URL.canParse(withScheme)) throw invalid('it is not a URL')
  const url = new URL(withScheme)
  if (url.username !== '' || url.password !== '') {
    throw invalid('it holds a user or a password', 'Use adapters.etcd.username and .passwordFile')
  }
  if ((url.pathname !== '/' && url.pathname !== '') || url.search !== '' || url.hash !== '') {
    throw invalid('it has something behind the port')
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!/^[0-9a-z._:-]{1,253}$/i.test(host)) throw invalid('its host is not a name or an address')
  const tls = url.protocol === 'https:'
  // A URL drops the port that its scheme has by default, which here is not the default.
  const written = /:(\d+)\/?$/.exec(withScheme)?.[1]
  const port = Number(url.port !== '' ? url.port : (written ?? DefaultPort))
  if (port === 0) throw invalid('port 0 is none')
  return { host, port, tls }
}

function invalid(why: string, advice = 'Write it as http://host:2379 or https://host:2379'): UsageError {
  return new UsageError('etcd-url-invalid', `an etcd endpoint cannot be used: ${why}`, { advice })
}
