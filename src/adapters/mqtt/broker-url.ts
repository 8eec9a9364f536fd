/** The URLs that name MQTT brokers. Their text may hold a password, so no message repeats it. */
import { UsageError } from '../../core/errors.js'

export interface BrokerUrl {
  /** A name or an IP address, without brackets. */
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
}

const DefaultPort = 1883
const DefaultTlsPort = 8883

/**
 * @param text `mqtt://host`, `mqtts://host:port`, `mqtts://user:password@host`
 * @throws UsageError `mqtt-url-wrong`
 */
export function parseBrokerUrl(text: string): BrokerUrl {
  if (!URL.canParse(text)) throw wrong('expected a URL such as mqtts://broker.example:8883')
  const url = new URL(text)
  if (url.protocol === 'ws:' || url.protocol === 'wss:') {
    throw wrong(`MQTT over WebSocket (${url.protocol}//) is not there yet: use mqtt:// or mqtts://`)
  }
  if (url.protocol !== 'mqtt:' && url.protocol !== 'mqtts:') {
    throw wrong('expected a URL that begins with mqtt:// or mqtts://')
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw wrong('expected a host after mqtt:// or mqtts://')
  if (!/^\/?$/.test(url.pathname) || url.search !== '' || url.hash !== '') {
    throw wrong('expected nothing after host and port')
  }
  const tls = url.protocol === 'mqtts:'
  const port = url.port === '' ? (tls ? DefaultTlsPort : DefaultPort) : Number(url.port)
  if (port === 0) throw wrong('expected a port from 1 to 65535')
  return { host, port, tls, username: decoded(url.username), password: decoded(url.password) }
}

/** Whether a host is this machine, as far as its name says. */
export function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})$/i.test(host)
}

function decoded(part: string): string | undefined {
  if (part === '') return undefined
  try {
    return decodeURIComponent(part)
  } catch {
    throw wrong('expected percent-encoding in user and password to be valid')
  }
}

function wrong(message: string): UsageError {
  return new UsageError('mqtt-url-wrong', message, {
    advice: 'Set adapters.mqtt.url to mqtt://host:port, or to mqtts://host:port for TLS',
  })
}
