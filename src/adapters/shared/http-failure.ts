/** What goes wrong between us and a server that speaks HTTP, in words for a person. */
import { explain, SignallingError } from '../../core/errors.js'

/** `SignallingError` codes of the backends that speak HTTP, besides those of the interface. */
export type HttpFailureCode =
  /** No connection, no answer in time, or none that makes sense: retried. */
  | 'server-unreachable'
  /** The server's certificate is not to be trusted: retried, since somebody may mend it. */
  | 'server-untrusted'
  /** The server says no (credentials, permissions, quota): asking again soon would not help. */
  | 'server-refused'

/** @param server `host:port` */
export function httpFailure(
  code: HttpFailureCode,
  server: string,
  words: string,
  cause?: unknown,
): SignallingError {
  return new SignallingError(code, `${server}: ${words}`, cause === undefined ? {} : { cause })
}

/** Whether the same request may well succeed a little later. */
export function isPassing(error: unknown): error is SignallingError {
  return (
    error instanceof SignallingError &&
    (error.code === 'server-unreachable' || error.code === 'server-untrusted')
  )
}

/** Whether to ask again soon would be no use, and rude. */
export function isRefused(error: unknown): error is SignallingError {
  return error instanceof SignallingError && error.code === 'server-refused'
}

const SocketWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  ECONNABORTED: 'the connection was reset',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  EPIPE: 'the server closed the connection',
}

const CertificateWords: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet (or our clock is wrong)",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another name",
}

const UntrustedCodes: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

/**
 * Errors of sockets, name resolution, TLS and the HTTP parser.
 * @param caOption the option that names the authorities to trust
 */
export function socketFailure(server: string, error: unknown, caOption: string): SignallingError {
  const code = codeOf(error)
  const certificate = UntrustedCodes.has(code)
    ? `the server's certificate is not signed by an authority that we trust (${caOption})`
    : CertificateWords[code]
  // The library's error holds the request, and so what is secret in it.
  if (certificate !== undefined) return httpFailure('server-untrusted', server, certificate)
  return httpFailure('server-unreachable', server, SocketWords[code] ?? otherWords(error, code))
}

function codeOf(error: unknown): string {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  const inner = cause?.code
  return typeof inner === 'string' ? inner : typeof code === 'string' ? code : ''
}

function otherWords(error: unknown, code: string): string {
  if (code.startsWith('HPE_')) return 'the server does not speak HTTP on this port (perhaps https://)'
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) {
    return 'the server does not agree on TLS, or speaks none on this port (perhaps http://)'
  }
  return error instanceof Error ? error.message : explain(error)
}

/** What a status means that is not a success (RFC 9110 section 15). */
export function statusWords(status: number): string {
  return StatusWords[status] ?? (status >= 500 ? `an error of the server (HTTP ${status})` : `HTTP ${status}`)
}

const StatusWords: Readonly<Record<number, string>> = {
  401: 'not logged in (HTTP 401)',
  403: 'not allowed (HTTP 403)',
  404: 'nothing at this path of the URL (HTTP 404)',
  413: 'too large (HTTP 413)',
  429: 'too many requests (HTTP 429)',
  502: 'an error of what stands behind it (HTTP 502)',
  503: 'unavailable now (HTTP 503)',
  507: 'its storage is full (HTTP 507)',
}
