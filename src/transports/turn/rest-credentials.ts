/**
 * Credentials that expire, made from a secret shared with the server ("A REST API For Access To TURN
 * Services", draft-uberti-behave-turn-rest-00; coturn's `use-auth-secret`).
 */
import type { Crypto } from '../../core/ports.js'
import type { TurnCredentials } from './authentication.js'

const encoder = new TextEncoder()

/**
 * @param name who uses them, for the server's log; undefined for nobody in particular
 * @param expiresUnixSeconds the wall-clock time after which the server takes them no more, whole seconds
 */
export function restCredentials(
  crypto: Pick<Crypto, 'hmacSha1'>,
  secret: string,
  name: string | undefined,
  expiresUnixSeconds: number,
): TurnCredentials {
  const expiry = String(Math.floor(expiresUnixSeconds))
  const username = name === undefined ? expiry : `${expiry}:${name}`
  const mac = crypto.hmacSha1(encoder.encode(secret), encoder.encode(username))
  return { username, password: btoa(String.fromCharCode(...mac)) }
}
