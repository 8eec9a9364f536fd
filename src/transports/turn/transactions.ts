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
import type { TurnCounters } from './counters.js'

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
  /** The response has what is not understood. */
  | { readonly result: 'unusable' }
  | { readonly result: 'timeout' }
  /** Whoever has answered has not signed, or wrongly, where a server must. `error`: what one of them says. */
  | { readonly result: 'unauthentic'; readonly error: ErrorCode | undefined }
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
  /** When it ends, whatever has been sent. */
  endsAt: number
  /** How it ends where nothing better comes: the best of the answers that nobody has signed. */
  claim: Outcome<Purpose> | undefined
}

/**
 * `signed`: it is the server's. `unsigned`: an error that a server cannot sign, so that anybody may have made
 * it. `forged`: no server would send it.
 */
type Standing = 'signed' | 'unsigned' | 'forged'

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
/**
 * How long an error that nobody has signed waits for a better answer, ms.
 *
 * RFC 8489 section 9.2.5 has such errors discarded, and the request sent again to its end: some 20 s, in which
 * nobody learns that the server is full, or the password wrong. To believe them at once would be worse: who
 * sees the request could end it with one datagram, and for good where the error is a final one. So the request
 * goes on, is sent again on its schedule, and a signed answer, or a challenge that can be answered, still wins;
 * but only for so long. Who cannot see the request does not know its transaction id, 96 random bits, and
 * changes nothing. Who sees it and adds datagrams loses to the server, whose answer comes in this time, unless
 * three of them in a row are lost. Who can hold back the server's answers as well needs no forgery.
 *
 * A success that is not signed shortens nothing: no server has a reason to send one.
 */
export const UnsignedWait = 2000
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
    const error = response.class === 'error' ? errorOf(response) : undefined
    if (response.class === 'error' && error === undefined) {
      counters.malformed += 1
      return undefined
    }
    const standing = this.#standingOf(transaction, response, error)
    if (standing === 'forged') counters.unauthentic += 1
    if (standing !== 'forged' && this.#isAnsweredAgain(now, transaction, response, error)) {
      this.#byId.delete(keyOf(transaction.id))
      return undefined
    }
    const outcome = outcomeOf(transaction, response, error, standing)
    if (standing === 'signed' || this.#endsAtOnce(transaction, error, standing)) {
      this.#byId.delete(keyOf(transaction.id))
      return outcome
    }
    if (worthOf(outcome) > worthOf(transaction.claim)) transaction.claim = outcome
    if (error !== undefined) {
      transaction.endsAt = Math.min(transaction.endsAt, now + UnsignedWait)
      transaction.wakeAt = Math.min(transaction.wakeAt, transaction.endsAt)
    }
    return undefined
  }

  /**
   * Sends again what is due, and gives up what has had its time: one at a time, since what becomes of one may
   * make the others void. Call it until there is none.
   */
  takeEnded(now: number): Outcome<Purpose> | undefined {
    for (const transaction of this.#byId.values()) {
      const { request, sent, wakeAt, endsAt, claim } = transaction
      if (wakeAt > now) continue
      if (this.#options.isStream || sent >= (request.attempts ?? Rc) || endsAt <= now) {
        this.#byId.delete(keyOf(transaction.id))
        return claim ?? { purpose: request.purpose, result: 'timeout' }
      }
      this.#transmit(now, transaction)
    }
    return undefined
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
      endsAt: Infinity,
      claim: undefined,
    }
    this.#byId.set(keyOf(id), transaction)
    this.#transmit(now, transaction)
  }

  #transmit(now: number, transaction: Transaction<Purpose>): void {
    const { rto = RTO, attempts = Rc } = transaction.request
    this.#options.transmit(transaction.bytes)
    transaction.sent += 1
    const waitMs = transaction.sent >= attempts ? Rm * rto : rto * 2 ** (transaction.sent - 1)
    transaction.wakeAt = Math.min(now + (this.#options.isStream ? Ti : waitMs), transaction.endsAt)
  }

  #standingOf(
    { version }: Transaction<Purpose>,
    response: DecodedMessage,
    error: ErrorCode | undefined,
  ): Standing {
    const { authentication } = this.#options
    if (!authentication.isWanted) return 'signed'
    // The first request asks to be challenged, or sent elsewhere: a success that nobody has signed is a lie.
    if (version === 0) return error === undefined ? 'forged' : 'unsigned'
    if (response.integrity !== undefined) return authentication.isAuthentic(response) ? 'signed' : 'forged'
    return error !== undefined && Unsignable.has(error.code) ? 'unsigned' : 'forged'
  }

  /** Whether an answer that nobody has signed ends its request without more waiting. */
  #endsAtOnce({ version }: Transaction<Purpose>, error: ErrorCode | undefined, standing: Standing): boolean {
    // RFC 8489 section 9.2.5. Who speaks on the stream can end it as well, and no other answer will come.
    if (this.#options.isStream) return true
    // A server sends on whom it does not know; the next one has to prove itself, and there are few of them.
    return standing === 'unsigned' && version === 0 && error?.code === ErrorNumber.TryAlternate
  }

  /** Whether the request has been made again, in answer to a challenge. */
  #isAnsweredAgain(
    now: number,
    { request, version, challenges }: Transaction<Purpose>,
    response: DecodedMessage,
    error: ErrorCode | undefined,
  ): boolean {
    const { authentication } = this.#options
    const code = error?.code
    if (code !== ErrorNumber.Unauthenticated && code !== ErrorNumber.StaleNonce) return false
    if (!isUnderstood(response) || challenges >= MaxChallenges) return false
    // A new nonce with 401, not 438: once, since a server may say so after a restart.
    if (code === ErrorNumber.Unauthenticated && version > 0 && challenges > 1) return false
    // The same realm and nonce once more: it is the credentials that are wrong.
    if (!authentication.challenge(response) || authentication.version === version) return false
    this.#begin(now, request, challenges + 1)
    return true
  }
}

function outcomeOf<Purpose>(
  { request: { purpose } }: Transaction<Purpose>,
  response: DecodedMessage,
  error: ErrorCode | undefined,
  standing: Standing,
): Outcome<Purpose> {
  if (standing === 'forged') return { purpose, result: 'unauthentic', error }
  if (!isUnderstood(response)) return { purpose, result: 'unusable' }
  if (error === undefined) return { purpose, result: 'success', response }
  return { purpose, result: 'error', error, response }
}

/** Of two claims the better one is kept: that which a server can have made, else that which says more. */
function worthOf(claim: Outcome<unknown> | undefined): number {
  if (claim === undefined) return 0
  if (claim.result !== 'unauthentic') return 3
  return claim.error === undefined ? 1 : 2
}

function errorOf(response: DecodedMessage): ErrorCode | undefined {
  const value = findAttribute(response, AttributeType.ErrorCode)
  return value && readErrorCode(value)
}

function keyOf(id: Uint8Array): string {
  return String.fromCharCode(...id)
}
