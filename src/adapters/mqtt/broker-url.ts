/** The URLs that name MQTT brokers. Their text may hold a password, so no message repeats it. */
import { UsageError } from '../../core/errors.js'

export interface BrokerUrl {
  /** A name or an IP address, without brackets. */
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Path and query for WebSocket; undefined for plain MQTT. */
  readonly webSocketPath: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
}

const DefaultPorts: Readonly<Record<string, number>> = { mqtt: 1883, mqtts: 8883, ws: 80, wss: 443 }

/**
 * @param text `mqtt://host`, `mqtts://host:port`, `mqtts://user:password@host`, `wss://host/path?query`
 * @throws UsageError `mqtt-url-wrong`
 */
export function parseBrokerUrl(text: string): BrokerUrl {
  if (!URL.canParse(text)) throw wrong('expected a URL such as mqtts://broker.example:8883')
  const url = new URL(text)
  const scheme = url.protocol.slice(0, -1)
  const defaultPort = Object.hasOwn(DefaultPorts, scheme) ? DefaultPorts[scheme] : undefined
  if (defaultPort === undefined) {
    throw wrong('expected a URL that begins with mqtt://, mqtts://, ws:// or wss://')
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (host === '') throw wrong(`expected a host after ${scheme}://`)
  const isWebSocket = scheme.startsWith('ws')
  if (url.hash !== '') throw wrong('expected no # in the URL')
  if (!isWebSocket && (!/^\/?$/.test(url.pathname) || url.search !== '')) {
    throw wrong('expected nothing after host and port')
  }
  const port = url.port === '' ? defaultPort : Number(url.port)
  if (port === 0) throw wrong('expected a port from 1 to 65535')
  return {
    host,
    port,
    tls: scheme === 'mqtts' || scheme === 'wss',
    webSocketPath: isWebSocket ? `${url.pathname}${url.search}` : undefined,
    username: decoded(url.username),
    password: decoded(url.password),
  }
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
    advice:
      'Set adapters.mqtt.url to mqtt://host:port, or to mqtts://host:port for TLS (ws:// and wss:// for WebSocket)',
  })
}
