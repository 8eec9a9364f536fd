/**
 * Connectivity checks (RFC 8445 section 7): binding requests with USERNAME, PRIORITY, MESSAGE-INTEGRITY and
 * FINGERPRINT. Requests and their responses are both keyed with the password of the one who is asked.
 */
import { DecodeError } from '../../core/errors.js'
import type { SocketAddress } from '../../core/machine.js'
import { priorityAttribute, readUsername, usernameAttribute } from '../stun/attributes.js'
import { answerBinding } from '../stun/binding.js'
import { AttributeType, Binding } from '../stun/constants.js'
import {
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type StunCrypto,
  verifyIntegrity,
} from '../stun/message.js'
import { candidatePriority } from './candidate.js'
import type { IceCredentials } from './credentials.js'

const encoder = new TextEncoder()

/** Both sides' credentials for one pair of peers, as checks use them. */
export class CheckCredentials {
  readonly localUfrag: string
  readonly remoteUfrag: string
  readonly #crypto: StunCrypto
  readonly #localKey: Uint8Array
  readonly #remoteKey: Uint8Array

  constructor(crypto: StunCrypto, local: IceCredentials, remote: IceCredentials) {
    this.#crypto = crypto
    this.localUfrag = local.ufrag
    this.remoteUfrag = remote.ufrag
    this.#localKey = encoder.encode(local.password)
    this.#remoteKey = encoder.encode(remote.password)
  }

  /** A check to send. @param transactionId 12 random bytes */
  request(transactionId: Uint8Array): Uint8Array {
    const attributes = [
      usernameAttribute(`${this.remoteUfrag}:${this.localUfrag}`),
      priorityAttribute(candidatePriority('prflx')),
    ]
    return encodeMessage(
      { class: 'request', method: Binding, transactionId, attributes },
      { integrity: { crypto: this.#crypto, key: this.#remoteKey }, fingerprint: true },
    )
  }

  /** The response to a check that is authentic. */
  answer(request: DecodedMessage, source: SocketAddress): Uint8Array {
    return answerBinding(request, source, { crypto: this.#crypto, key: this.#localKey })
  }

  isAuthenticRequest(request: DecodedMessage): boolean {
    return request.fingerprint && verifyIntegrity(request, this.#crypto, this.#localKey)
  }

  isAuthenticResponse(response: DecodedMessage): boolean {
    return response.fingerprint && verifyIntegrity(response, this.#crypto, this.#remoteKey)
  }
}

/** The two halves of a check's USERNAME, by who reads them: `<ours>:<the sender's>`. */
export function readCheckUsername(
  request: DecodedMessage,
): { readonly localUfrag: string; readonly remoteUfrag: string } | undefined {
  const value = findAttribute(request, AttributeType.Username)
  const [localUfrag, remoteUfrag, ...rest] = (value && readUsername(value))?.split(':', 3) ?? []
  if (localUfrag === undefined || remoteUfrag === undefined || rest.length > 0) return undefined
  return { localUfrag, remoteUfrag }
}

/** Undefined for bytes that are no STUN message. */
export function tryDecode(bytes: Uint8Array): DecodedMessage | undefined {
  try {
    return decodeMessage(bytes)
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}
