/**
 * Requests that wait for their responses (RFC 8489 section 6): retransmission, challenges, and what of the
 * answers may be believed.
 */
import { earliest } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { type ErrorCode, readErrorCode } from '../stun/attributes.js'
import { AttributeType, Rc, Rm, RTO, TransactionIdBytes } from '../stun/constants.js'
import { type Attribute, type DecodedMessage, findAttribute } from '../stun/message.js'
import { isUnderstood } from './attributes.js'
import type { Authentication } from './authentication.js'
import { ErrorNumber } from './constants.js'
import type { TurnCounters } from './events.js'

export interface Request<Purpose> {
  readonly method: number
  readonly purpose: Purpose
  /** Made anew with every transaction id, which addresses are XORed with. Without the credentials. */
  readonly attributes: (transactionId: Uint8Array) => readonly Attribute[]
  /** The first time until a retransmission, ms. Default RTO. */
  readonly rto?: number
  /** How often it is sent in all. Default Rc. */
  readonly attempts?: number
}

/** How a request has ended. */
export type Outcome<Purpose> = { readonly purpose: Purpose } & (
  | { readonly result: 'success'; readonly response: DecodedMessage }
  | { readonly result: 'error'; readonly error: ErrorCode; readonly response: DecodedMessage }
  /** The server's challenge cannot be answered, or its response has what is not understood. */
  | { readonly result: 'unusable' }
  /** `error`: what somebody has answered without signing it. `isForged`: with a wrong signature, or none. */
  | { readonly result: 'timeout'; readonly error: ErrorCode | undefined; readonly isForged: boolean }
)

interface Transaction<Purpose> {
  readonly request: Request<Purpose>
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  /** `Authentication.version` when it was made. */
  readonly version: number
  /** How many challenges the request has met, this transaction's own not counted. */
  readonly challenges: number
  sent: number
  wakeAt: number
  unsignedError: ErrorCode | undefined
  isForged: boolean
}

export interface TransactionsOptions {
  readonly random: Random
  readonly authentication: Authentication
  /** On a stream nothing is sent again (RFC 8489 section 6.2.2). */
  readonly isStream: boolean
  readonly counters: TurnCounters
  readonly transmit: (bytes: Uint8Array) => void
}

/** The first challenge, and then a nonce that goes stale twice. */
const MaxChallenges = 3
/** RFC 8489 section 6.2.2: how long a response is waited for on a stream, ms. */
const Ti = 39_500
/** Errors that a server cannot sign: it does not know, or does not yet believe, who asks. */
const Unsignable: ReadonlySet<number> = new Set([
  ErrorNumber.Unauthenticated,
  ErrorNumber.StaleNonce,
  ErrorNumber.IntegrityCheckFailure,
])

export class Transactions<Purpose> {
  readonly #options: TransactionsOptions
  readonly #byId = new Map<string, Transaction<Purpose>>()

  constructor(options: TransactionsOptions) {
    this.#options = options
  }

  begin(now: number, request: Request<Purpose>): void {
    this.#begin(now, request, 0)
  }

  /** Forgets all of them. */
  clear(): void {
    this.#byId.clear()
  }

  /** Takes a response. Undefined where it ends nothing: no request has its id, or it is not to be believed. */
  handleResponse(now: number, response: DecodedMessage): Outcome<Purpose> | undefined {
    const transaction = this.#byId.get(keyOf(response.transactionId))
    const { counters } = this.#options
    if (transaction === undefined || transaction.request.method !== response.method) {
      counters.unexpected += 1
      return undefined
    }
    const { purpose } = transaction.request
    const error = response.class === 'error' ? errorOf(response) : undefined
    if (response.class === 'error' && error === undefined) {
      counters.malformed += 1
      return undefined
    }
    if (!this.#isBelievable(transaction, response, error)) {
      counters.unauthentic += 1
      transaction.isForged = true
      transaction.unsignedError ??= error
      return undefined
    }
    this.#byId.delete(keyOf(transaction.id))
    if (!isUnderstood(response)) return { purpose, result: 'unusable' }
    if (error === undefined) return { purpose, result: 'success', response }
    return this.#isAnsweredAgain(now, transaction, response, error)
      ? undefined
      : { purpose, result: 'error', error, response }
  }

  /** Sends again what is due, and gives up what has had its time. */
  handleTimeout(now: number): readonly Outcome<Purpose>[] {
    const ended: Outcome<Purpose>[] = []
    for (const transaction of this.#byId.values()) {
      if (transaction.wakeAt > now) continue
      const { request, sent, unsignedError: error, isForged } = transaction
      if (this.#options.isStream || sent >= (request.attempts ?? Rc)) {
        this.#byId.delete(keyOf(transaction.id))
        ended.push({ purpose: request.purpose, result: 'timeout', error, isForged })
      } else {
        this.#transmit(now, transaction)
      }
    }
    return ended
  }

  pollTimeout(): number | undefined {
    let first: number | undefined
    for (const { wakeAt } of this.#byId.values()) first = earliest(first, wakeAt)
    return first
  }

  #begin(now: number, request: Request<Purpose>, challenges: number): void {
    const { random, authentication } = this.#options
    const id = random.bytes(TransactionIdBytes)
    const attributes = request.attributes(id)
    const transaction: Transaction<Purpose> = {
      request,
      id,
      bytes: authentication.encode({
        class: 'request',
        method: request.method,
        transactionId: id,
        attributes,
      }),
      version: authentication.version,
      challenges,
      sent: 0,
      wakeAt: now,
      unsignedError: undefined,
      isForged: false,
    }
    this.#byId.set(keyOf(id), transaction)
    this.#transmit(now, transaction)
  }

  #transmit(now: number, transaction: Transaction<Purpose>): void {
    const { rto = RTO, attempts = Rc } = transaction.request
    this.#options.transmit(transaction.bytes)
    transaction.sent += 1
    const waitMs = transaction.sent >= attempts ? Rm * rto : rto * 2 ** (transaction.sent - 1)
    transaction.wakeAt = now + (this.#options.isStream ? Ti : waitMs)
  }

  /** RFC 8489 section 9.2.5. */
  #isBelievable(
    { version }: Transaction<Purpose>,
    response: DecodedMessage,
    error: ErrorCode | undefined,
  ): boolean {
    const { authentication } = this.#options
    if (!authentication.isWanted) return true
    // The first request asks to be challenged, or sent elsewhere: a success that nobody has signed is a lie.
    if (version === 0) return error !== undefined
    if (response.integrity !== undefined) return authentication.isAuthentic(response)
    return error !== undefined && Unsignable.has(error.code)
  }

  /** Whether the request has been made again, in answer to a challenge. */
  #isAnsweredAgain(
    now: number,
    { request, version, challenges }: Transaction<Purpose>,
    response: DecodedMessage,
    { code }: ErrorCode,
  ): boolean {
    const { authentication } = this.#options
    if (code !== ErrorNumber.Unauthenticated && code !== ErrorNumber.StaleNonce) return false
    if (challenges >= MaxChallenges || !authentication.challenge(response)) return false
    // The same realm and nonce once more: it is the credentials that are wrong.
    if (authentication.version === version) return false
    // A new nonce with 401, not 438: once, since a server may say so after a restart.
    if (code === ErrorNumber.Unauthenticated && version > 0 && challenges > 1) return false
    this.#begin(now, request, challenges + 1)
    return true
  }
}

function errorOf(response: DecodedMessage): ErrorCode | undefined {
  const value = findAttribute(response, AttributeType.ErrorCode)
  return value && readErrorCode(value)
}

function keyOf(id: Uint8Array): string {
  return String.fromCharCode(...id)
}
