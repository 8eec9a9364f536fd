/** `turn:` and `turns:` URIs (RFC 7065). */
import { UsageError } from '../../core/errors.js'

export type TurnTransport = 'udp' | 'tcp' | 'tls'

export interface TurnUrl {
  /** A name, or an IP address without brackets. */
  readonly host: string
  readonly port: number
  /** How the client speaks with the server; what the server relays is UDP in any case. */
  readonly transport: TurnTransport
}

/** RFC 8656 section 3.1. */
const DefaultPort = 3478
const DefaultTlsPort = 5349

/** RFC 3986: a name of unreserved characters, or an IPv6 address in brackets. */
const Form = /^(turns?):(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::(\d{1,5}))?(?:\?transport=([a-z]+))?$/i
const Advice = 'Write turn:host:3478, turn:host:3478?transport=tcp or turns:host:5349'

/**
 * Reads `turn:host[:port][?transport=udp|tcp]` or `turns:host[:port][?transport=tcp]`.
 * @throws UsageError `turn-url`
 */
export function parseTurnUrl(text: string): TurnUrl {
  const [, scheme, host, port, transport] = Form.exec(text) ?? []
  if (scheme === undefined || host === undefined) throw wrong(text, 'is no turn: or turns: URL')
  const isSecure = scheme.toLowerCase() === 'turns'
  const number = port === undefined ? (isSecure ? DefaultTlsPort : DefaultPort) : Number(port)
  if (number < 1 || number > 65_535) throw wrong(text, 'has no port from 1 to 65535')
  return {
    host: host.replace(/^\[|\]$/g, ''),
    port: number,
    transport: transportOf(text, isSecure, transport?.toLowerCase()),
  }
}

function transportOf(text: string, isSecure: boolean, given: string | undefined): TurnTransport {
  if (isSecure) {
    if (given === undefined || given === 'tcp') return 'tls'
    throw wrong(
      text,
      given === 'udp' ? 'asks for DTLS, which gonet does not speak' : 'has no known transport',
    )
  }
  if (given === undefined || given === 'udp' || given === 'tcp') return given ?? 'udp'
  throw wrong(text, 'has no known transport')
}

function wrong(text: string, problem: string): UsageError {
  return new UsageError('turn-url', `${JSON.stringify(text)} ${problem}`, { advice: Advice })
}
