/** What goes wrong between us and etcd, in words for a person. */
import { SignallingError } from '../../core/errors.js'

/** `SignallingError` codes of this adapter, besides those of the interface. */
export type FailureCode =
  /** No connection, or not any more; or the cluster cannot do anything now. */
  | 'etcd-unreachable'
  /** A call was not answered in time. */
  | 'etcd-silent'
  /** etcd does not let us in: asking again soon would not help. */
  | 'etcd-refused'
  /** etcd has no room. */
  | 'etcd-full'
  /** The user that we are may not do that. */
  | 'etcd-forbidden'
  /** It asks nobody for a password. */
  | 'etcd-without-login'
  /** Our lease is gone, and what we had laid out with it. */
  | 'etcd-lease-lost'
  /** Somebody has compacted the history that we wanted to read on from. */
  | 'etcd-compacted'
  /** An answer is larger than we take. */
  | 'etcd-reply-too-large'
  /** We may not write. */
  | 'publish-refused'
  /** We may not read. */
  | 'watch-refused'

export function failure(
  code: FailureCode,
  endpoint: string,
  words: string,
  cause?: unknown,
): SignallingError {
  return new SignallingError(code, `${endpoint}: ${words}`, cause === undefined ? {} : { cause })
}

/** Whether to try again soon would be no use. */
export function isRefusal(error: unknown): error is SignallingError {
  return (
    error instanceof SignallingError &&
    ['etcd-refused', 'etcd-forbidden', 'etcd-full', 'publish-refused', 'watch-refused'].includes(error.code)
  )
}

export function hasCode(error: unknown, code: FailureCode): error is SignallingError {
  return error instanceof SignallingError && error.code === code
}

/** What etcd says, by a part of it (etcd's api/v3rpc/rpctypes). */
const Sayings: readonly (readonly [part: string, code: FailureCode, words: string])[] = [
  ['invalid user ID or password', 'etcd-refused', 'wrong username or password'],
  ['user name is empty', 'etcd-refused', 'etcd wants a username and a password (adapters.etcd.username)'],
  ['user name not found', 'etcd-refused', 'wrong username or password'],
  ['authentication is not enabled', 'etcd-without-login', 'etcd asks for no password'],
  ['permission denied', 'etcd-forbidden', 'this user may not do that'],
  [
    'database space exceeded',
    'etcd-full',
    'etcd is full (alarm NOSPACE): compact it, defragment it, then run etcdctl alarm disarm',
  ],
  ['requested lease not found', 'etcd-lease-lost', 'our lease is gone'],
  ['required revision has been compacted', 'etcd-compacted', 'the history was compacted'],
  ['request is too large', 'publish-refused', 'etcd takes no record of this size (--max-request-bytes)'],
  ['invalid auth token', 'etcd-unreachable', 'etcd has forgotten our login'],
  ['revision of auth store is old', 'etcd-unreachable', 'the users of etcd were changed'],
  ['no leader', 'etcd-unreachable', 'the cluster has no leader (are most of its members up?)'],
  ['leader changed', 'etcd-unreachable', 'the cluster is choosing another leader'],
  ['request timed out', 'etcd-unreachable', 'the cluster does not get it done (are most of its members up?)'],
  ['server stopped', 'etcd-unreachable', 'etcd is shutting down'],
  ['too many requests', 'etcd-unreachable', 'etcd is overloaded'],
  ['larger than max', 'etcd-reply-too-large', 'etcd sent an answer that is too large'],
]

/** What sockets and TLS say, by a part of it: the library passes on their words only. */
const SocketSayings: readonly (readonly [part: RegExp, words: string])[] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/ENOTFOUND|Name resolution failed/, 'no such host'],
  [/EAI_AGAIN/, 'the name cannot be looked up now'],
  [/ETIMEDOUT/, 'no answer'],
  [/EHOSTUNREACH/, 'the host is unreachable'],
  [/ENETUNREACH/, 'the network is unreachable'],
  [/certificate has expired|CERT_HAS_EXPIRED/, "etcd's certificate has expired"],
  [/altnames|ALTNAME/, "etcd's certificate is for another name"],
  [/not yet valid/, "etcd's certificate is not valid yet (or our clock is wrong)"],
  [
    /self.signed certificate|unable to (get|verify)|UNABLE_TO|certificate signature failure/,
    "etcd's certificate is not signed by an authority that we trust (adapters.etcd.ca)",
  ],
  [
    /alert (bad|unknown|unsupported)? ?(certificate|ca)|alert certificate|certificate required|ALERT_(BAD|UNKNOWN|CERT)/i,
    'etcd wants a client certificate that it trusts (adapters.etcd.cert and .key)',
  ],
  [
    /alert|SSL routines|EPROTO|secure TLS|wrong version number/i,
    'etcd does not agree on TLS, or speaks none on this port (http://)',
  ],
]

/** gRPC's status (RESOURCE_EXHAUSTED). */
const ResourceExhausted = 8

/** Errors of calls: what etcd, gRPC, the socket or TLS has said. */
export function rpcFailure(
  { label, tls }: { readonly label: string; readonly tls: boolean },
  error: Error,
): SignallingError {
  const { code, details } = error as { code?: number; details?: string }
  const text = details ?? error.message
  const saying = Sayings.find(([part]) => text.includes(part))
  if (saying !== undefined) return failure(saying[1], label, saying[2], error)
  if (code === ResourceExhausted) {
    return failure('etcd-unreachable', label, 'etcd is overloaded, or has no memory left', error)
  }
  if (text.startsWith('etcdserver: ')) {
    return failure('etcd-unreachable', label, `etcd says: ${plain(text.slice('etcdserver: '.length))}`, error)
  }
  const socket = SocketSayings.find(([part]) => part.test(text))
  if (socket !== undefined) return failure('etcd-unreachable', label, socket[1], error)
  const other = tls ? 'speaks no TLS: http://' : 'expects TLS: https://'
  const words = `the connection was closed (perhaps it is no etcd, or ${other})`
  return failure('etcd-unreachable', label, words, error)
}

/** A stranger's words, which end in a terminal. */
function plain(text: string): string {
  return text.replace(/[^ -~]/g, '?').slice(0, 120)
}
