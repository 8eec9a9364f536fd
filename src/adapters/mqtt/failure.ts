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
    case 159:
      return failure('broker-refused', broker, 'over the quota or the rate of connections')
    // What we ask for when connecting, the will with QoS 1 that erases a retained record, is not to be had.
    case 154:
    case 155:
      return failure('broker-refused', broker, refusalWords(code))
    default:
      return failure('broker-refused', broker, `the broker refused the connection (MQTT code ${code})`)
  }
}

/** The code of a PUBACK or a SUBACK: MQTT 5 sections 3.4.2.1 and 3.9.3, where 3.1.1 has only 128. */
export function refusalWords(code: number): string {
  switch (code) {
    case 135:
      return 'not authorized'
    case 144:
      return 'the topic is not allowed'
    case 151:
      return 'over the quota'
    case 153:
      return 'the payload is not allowed'
    case 154:
      return 'the broker does not keep retained messages'
    case 155:
      return 'the broker does not acknowledge messages (QoS 1)'
    default:
      return code === 128 ? 'not allowed' : `MQTT code ${code}`
  }
}

/** DISCONNECT from the broker: MQTT 5 section 3.14.2.1. */
export function disconnected(broker: string, code: number | undefined): SignallingError {
  switch (code) {
    case 139:
      return failure('broker-unreachable', broker, 'the broker is shutting down')
    case 142:
      return failure('broker-unreachable', broker, 'another connection has taken our client id')
    case 149:
      return failure('publish-refused', broker, 'the broker takes no packet of this size')
    case 135:
    case 144:
    case 151:
    case 153:
    case 154:
    case 155:
      return failure('publish-refused', broker, `the broker ended the connection: ${refusalWords(code)}`)
    default:
      return failure(
        'broker-unreachable',
        broker,
        code === undefined || code === 0
          ? 'the broker ended the connection'
          : `the broker ended the connection (MQTT code ${code})`,
      )
  }
}

/** Errors of sockets, name resolution and TLS. */
export function socketFailure(broker: string, error: Error, usesTls: boolean): SignallingError {
  // The library's errors have numbers.
  const { code: given } = error as { code?: string | number }
  const code = String(given ?? '')
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
  'mqtt-packet-too-large': 'the broker sent a packet that is too large',
  'mqtt-length-wrong': 'the broker does not speak MQTT',
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
  if (/ALERT.*(CERTIFICATE|UNKNOWN_CA)/.test(code)) {
    return 'the broker wants a client certificate that it trusts (adapters.mqtt.cert and .key)'
  }
  if (error.message === 'Keepalive timeout') return 'the broker does not answer any more'
  if (usesTls && (code === 'EPROTO' || code.startsWith('ERR_SSL'))) {
    return 'the broker does not agree on TLS, or speaks none on this port'
  }
  return explain(error)
}
