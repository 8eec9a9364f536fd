/** What goes wrong between us and a DNS server, in words for a person. */
import { explain, SignallingError } from '../../core/errors.js'
import { Rcode } from './constants.js'

/** `SignallingError` codes of this adapter, besides those of the interface. */
export type FailureCode =
  /** No answer, or none that is of use. */
  | 'dns-unreachable'
  /** The server does not do what we ask: asking again soon would not help. */
  | 'dns-refused'

export function failure(code: FailureCode, server: string, words: string, cause?: unknown): SignallingError {
  return new SignallingError(code, `${server}: ${words}`, cause === undefined ? {} : { cause })
}

/** Whether to try again soon would be no use, and rude. */
export function isRefusal(error: unknown): error is SignallingError {
  return error instanceof SignallingError && error.code === 'dns-refused'
}

/** What an RCODE is called (RFC 1035 section 4.1.1, RFC 2136 section 2.2). */
export function rcodeName(rcode: number): string {
  const [name] = Object.entries(Rcode).find(([, value]) => value === rcode) ?? []
  return name ?? `RCODE ${rcode}`
}

/** Errors of sockets. */
export function socketFailure(server: string, error: unknown): SignallingError {
  const { code = '' } = error as { code?: string }
  return failure('dns-unreachable', server, SocketWords[code] ?? explain(error), error)
}

const SocketWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: no DNS server listens there',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  ETIMEDOUT: 'no answer',
  EPIPE: 'the server closed the connection',
}

/** Why we cannot listen. */
export function listenFailure(address: string, error: unknown): SignallingError {
  const { code = '' } = error as { code?: string }
  const words = ListenWords[code] ?? explain(error)
  return failure('dns-unreachable', address, `cannot listen there: ${words} (adapters.dns.listen)`, error)
}

const ListenWords: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there, such as a resolver of this machine',
  EACCES: 'ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'this machine does not have this address',
}
