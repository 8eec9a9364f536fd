/** The long-term credential mechanism (RFC 8489 section 9.2), from the client's side. */
import { AttributeType } from '../stun/constants.js'
import {
  type Attribute,
  type DecodedMessage,
  encodeMessage,
  findAttribute,
  type Message,
  type StunCrypto,
  verifyIntegrity,
} from '../stun/message.js'
import { readQuotedText } from './attributes.js'
import { MaxQuotedBytes, TurnAttributeType } from './constants.js'

export interface TurnCredentials {
  readonly username: string
  readonly password: string
}

/**
 * The key of RFC 8489 section 9.2.2: MD5 of `username ":" realm ":" password`, 16 bytes. The Crypto port has
 * no MD5, which nothing else may use.
 */
export type LongTermKey = (username: string, realm: string, password: string) => Uint8Array

interface Answer {
  readonly realm: Uint8Array
  readonly nonce: Uint8Array
  readonly username: Uint8Array
  readonly key: Uint8Array
}

const encoder = new TextEncoder()

/** What an allocation's requests are signed with: one user for as long as the allocation lives. */
export class Authentication {
  readonly #crypto: StunCrypto
  readonly #longTermKey: LongTermKey
  readonly #source: (() => TurnCredentials) | undefined
  #credentials: TurnCredentials | undefined
  #answer: Answer | undefined
  #version = 0

  /** @param source gives the credentials for a new allocation; undefined for a server that wants none */
  constructor(crypto: StunCrypto, longTermKey: LongTermKey, source: (() => TurnCredentials) | undefined) {
    this.#crypto = crypto
    this.#longTermKey = longTermKey
    this.#source = source
  }

  /** Whether there are credentials: nothing is believed then that is not signed. */
  get isWanted(): boolean {
    return this.#source !== undefined
  }

  /** Changes whenever requests begin to be signed in another way. 0: they are not signed. */
  get version(): number {
    return this.#answer === undefined ? 0 : this.#version
  }

  /** Whether there are others by now than those in use. */
  get isOutdated(): boolean {
    const latest = this.#source?.()
    return (
      latest?.username !== this.#credentials?.username || latest?.password !== this.#credentials?.password
    )
  }

  /** Begins anew, with the credentials of now. */
  reset(): void {
    this.#answer = undefined
    this.#credentials = this.#source?.()
  }

  /**
   * Takes the REALM and NONCE of a 401 or 438 response; requests are signed with them from now on.
   * @returns false where it cannot be answered
   */
  challenge(response: Message): boolean {
    const realm = findAttribute(response, TurnAttributeType.Realm)
    const nonce = findAttribute(response, TurnAttributeType.Nonce)
    const realmText = realm && readQuotedText(realm)
    if (realm === undefined || realmText === undefined || this.#credentials === undefined) return false
    if (nonce === undefined || nonce.length === 0 || nonce.length > MaxQuotedBytes) return false
    const before = this.#answer
    const isSameRealm = before !== undefined && isSame(before.realm, realm)
    if (isSameRealm && isSame(before.nonce, nonce)) return true
    const username = this.#credentials.username.normalize('NFC')
    const password = this.#credentials.password.normalize('NFC')
    this.#answer = {
      // Copies: the message that they stand in may be reused.
      realm: new Uint8Array(realm),
      nonce: new Uint8Array(nonce),
      username: encoder.encode(username),
      key: isSameRealm ? before.key : this.#longTermKey(username, realmText, password),
    }
    this.#version += 1
    return true
  }

  /** Writes a request, signed where there has been a challenge. */
  encode(request: Message): Uint8Array {
    if (this.#answer === undefined) return encodeMessage(request)
    const { realm, nonce, username, key } = this.#answer
    const attributes: readonly Attribute[] = [
      ...request.attributes,
      { type: AttributeType.Username, value: username },
      { type: TurnAttributeType.Realm, value: realm },
      { type: TurnAttributeType.Nonce, value: nonce },
    ]
    return encodeMessage({ ...request, attributes }, { integrity: { crypto: this.#crypto, key } })
  }

  isAuthentic(response: DecodedMessage): boolean {
    return this.#answer !== undefined && verifyIntegrity(response, this.#crypto, this.#answer.key)
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
