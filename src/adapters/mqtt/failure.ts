/** What goes wrong between us and a broker, in words for a person. */
import { explain, SignallingError } from '../../core/errors.js'

/** `SignallingError` codes of this adapter, besides those of the interface. */
export type FailureCode =
  /** No connection, or not any more. */
  | 'broker-unreachable'
  /** The broker does not let us in: asking again soon would not help. */
  | 'broker-refused'
  /** The broker does not take this version of MQTT. */
  | 'broker-version'
  /** The broker ended the connection without an answer, as old ones do that do not know our version. */
  | 'broker-silent'
  /** The broker does not take a record. */
  | 'publish-refused'
  /** The broker does not let us read. */
  | 'watch-refused'

export function failure(code: FailureCode, broker: string, words: string, cause?: unknown): SignallingError {
  return new SignallingError(code, `${broker}: ${words}`, cause === undefined ? {} : { cause })
}

/** Whether to try again soon would be no use, and rude. */
export function isRefusal(error: unknown): error is SignallingError {
  return (
    error instanceof SignallingError &&
    ['broker-refused', 'publish-refused', 'watch-refused'].includes(error.code)
  )
}

/** CONNACK's code: MQTT 3.1.1 section 3.2.2.3 (1 to 5), MQTT 5 section 3.2.2.2 (from 128). */
export function connectRefusal(broker: string, code: number): SignallingError {
  switch (code) {
    case 1:
    case 132:
      return failure('broker-version', broker, 'the broker does not speak this version of MQTT')
    case 2:
    case 133:
      return failure('broker-refused', broker, 'the broker does not take our client id')
    case 4:
    case 134:
      return failure('broker-refused', broker, 'wrong username or password')
    case 5:
    case 135:
      return failure(
        'broker-refused',
        broker,
        'not authorized (username and password may be wrong or missing)',
      )
    case 138:
      return failure('broker-refused', broker, 'the broker has banned us')
    case 3:
    case 136:
    case 137:
      return failure('broker-unreachable', broker, 'the broker is unavailable or busy')
    case 151:
      return failure('broker-refused', broker, 'over the quota')
    case 159:
      return failure('broker-refused', broker, 'the broker takes no more connections now (its rate limit)')
    case 140:
      return failure('broker-refused', broker, 'the broker wants another way to log in than a password')
    // What we ask for when connecting, the will with QoS 1 that erases a retained record, is not to be had.
    case 144:
    case 149:
    case 153:
    case 154:
    case 155:
    case 156:
    case 157:
      return failure('broker-refused', broker, refusalWords(code))
    default:
      return failure('broker-refused', broker, `the broker refused the connection (MQTT code ${code})`)
  }
}

/** The code of a PUBACK or a SUBACK: MQTT 5 sections 3.4.2.1 and 3.9.3, where 3.1.1 has only 128. */
export function refusalWords(code: number): string {
  return RefusalWords[code] ?? `MQTT code ${code}`
}

const RefusalWords: Readonly<Record<number, string>> = {
  128: 'not allowed',
  131: 'its own rules forbid it',
  135: 'not authorized',
  143: 'the filter is not allowed',
  144: 'the topic is not allowed',
  147: 'too many messages at a time',
  149: 'the broker takes no packet of this size',
  150: 'too many messages in a short time',
  151: 'over the quota',
  152: 'an administrator ended it',
  153: 'the payload is not allowed',
  154: 'the broker does not keep retained messages',
  155: 'the broker does not acknowledge messages (QoS 1)',
  156: 'the broker names another one to use for now',
  157: 'the broker has moved',
  159: 'too many connections in a short time',
  160: 'connections may last only so long',
  162: 'the broker does not let anybody watch with wildcards',
}

/** DISCONNECT from the broker: MQTT 5 section 3.14.2.1. */
export function disconnected(broker: string, code: number | undefined): SignallingError {
  switch (code) {
    case undefined:
    case 0:
      return failure('broker-unreachable', broker, 'the broker ended the connection')
    case 137:
      return failure('broker-unreachable', broker, 'the broker is unavailable or busy')
    case 139:
      return failure('broker-unreachable', broker, 'the broker is shutting down')
    case 141:
      return failure('broker-unreachable', broker, 'the broker has heard nothing of us for too long')
    case 142:
      return failure('broker-unreachable', broker, 'another connection has taken our client id')
    case 149:
      return failure('publish-refused', broker, refusalWords(code))
    case 160:
      return failure('broker-unreachable', broker, refusalWords(code))
    case 138:
      return failure('broker-refused', broker, 'the broker has banned us')
    case 152:
    case 156:
    case 157:
    case 159:
      return failure('broker-refused', broker, `the broker ended the connection: ${refusalWords(code)}`)
    case 162:
      return failure('watch-refused', broker, refusalWords(code))
    case 135:
    case 144:
    case 147:
    case 150:
    case 151:
    case 153:
    case 154:
    case 155:
      return failure('publish-refused', broker, `the broker ended the connection: ${refusalWords(code)}`)
    default:
      return failure('broker-unreachable', broker, `the broker ended the connection (MQTT code ${code})`)
  }
}

/** Errors of sockets, name resolution and TLS. */
export function socketFailure(broker: string, error: Error, usesTls: boolean): SignallingError {
  // The library's errors have numbers.
  const { code: given } = error as { code?: string | number }
  const code = String(given ?? '')
  // mosquitto's for a record over its limit is none that the library knows (MQTT 5 section 3.4.2.1).
  if (error.message === 'Invalid puback reason code') {
    return failure('publish-refused', broker, 'the broker refused a record, which may be too large', error)
  }
  return failure('broker-unreachable', broker, SocketWords[code] ?? otherWords(error, code, usesTls), error)
}

const SocketWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'the connection was reset',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name cannot be looked up now',
  ETIMEDOUT: 'no answer',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  EPIPE: 'the broker closed the connection',
  CERT_HAS_EXPIRED: "the broker's certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "the broker's certificate is for another name",
  CERT_NOT_YET_VALID: "the broker's certificate is not valid yet (or our clock is wrong)",
  'mqtt-packet-too-large': 'the broker sent a packet that is too large',
  'mqtt-length-wrong': 'the broker does not speak MQTT',
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'the broker sent a message that is too large',
}

/** What the other side of TLS says of our certificate, by a part of OpenSSL's name for it (RFC 8446 section 6.2). */
const CertificateAlerts: readonly (readonly [part: string, words: string])[] = [
  ['CERTIFICATE_EXPIRED', 'the broker says that our certificate has expired (adapters.mqtt.cert)'],
  ['CERTIFICATE_REVOKED', 'the broker says that our certificate was revoked (adapters.mqtt.cert)'],
  ['CERTIFICATE_REQUIRED', 'the broker wants a client certificate (adapters.mqtt.cert and .key)'],
  ['DECRYPT_ERROR', 'the broker does not trust whoever signed our certificate (adapters.mqtt.cert)'],
  ['UNKNOWN_CA', 'the broker does not trust whoever signed our certificate (adapters.mqtt.cert)'],
  ['CERTIFICATE', 'the broker wants a client certificate that it trusts (adapters.mqtt.cert and .key)'],
  [
    'HANDSHAKE_FAILURE',
    'the broker does not agree on TLS, or wants a client certificate (adapters.mqtt.cert)',
  ],
]

/** What the WebSocket library says in words only. */
function webSocketWords(message: string): string | undefined {
  const status = /^Unexpected server response: (\d{3})$/.exec(message)?.[1]
  if (status !== undefined) return `no WebSocket at this path of the URL: the broker answers HTTP ${status}`
  if (/subprotocol/.test(message)) return 'the WebSocket at this path of the URL does not carry MQTT'
  if (/^Invalid (Upgrade|Sec-WebSocket)/.test(message)) return 'the broker does not speak WebSocket'
  return undefined
}

const UntrustedCodes: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
])

function otherWords(error: Error, code: string, usesTls: boolean): string {
  if (UntrustedCodes.has(code)) {
    return "the broker's certificate is not signed by an authority that we trust (adapters.mqtt.ca)"
  }
  const alert = CertificateAlerts.find(([part]) => code.includes('ALERT') && code.includes(part))
  if (alert !== undefined) return alert[1]
  if (code.startsWith('HPE_')) return 'the broker does not speak HTTP, so no WebSocket, on this port'
  if (code.startsWith('WS_ERR_')) return 'the broker does not speak WebSocket'
  if (error.message === 'Keepalive timeout') return 'the broker does not answer any more'
  if (usesTls && (code === 'EPROTO' || code.startsWith('ERR_SSL'))) {
    return 'the broker does not agree on TLS, or speaks none on this port'
  }
  return webSocketWords(error.message) ?? explain(error)
}
