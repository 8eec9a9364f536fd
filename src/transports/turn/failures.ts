/** What has gone wrong, in words and codes. */
import type { ErrorCode } from '../stun/attributes.js'
import { ErrorNumber } from './constants.js'
import type { TurnFailure, TurnFailureCode } from './events.js'
import type { Outcome } from './transactions.js'

const MaxReasonLength = 100

const Codes: Readonly<Record<number, TurnFailureCode>> = {
  [ErrorNumber.TryAlternate]: 'turn-redirect',
  [ErrorNumber.Unauthenticated]: 'turn-unauthorized',
  [ErrorNumber.IntegrityCheckFailure]: 'turn-unauthorized',
  [ErrorNumber.WrongCredentials]: 'turn-unauthorized',
  [ErrorNumber.AllocationMismatch]: 'turn-mismatch',
  [ErrorNumber.AllocationQuotaReached]: 'turn-quota',
  [ErrorNumber.InsufficientCapacity]: 'turn-capacity',
}

/** Errors to an Allocate request that asking again would get again. */
const Final: ReadonlySet<number> = new Set([
  ErrorNumber.Unauthenticated,
  ErrorNumber.Forbidden,
  ErrorNumber.UnknownAttribute,
  ErrorNumber.IntegrityCheckFailure,
  ErrorNumber.AddressFamilyNotSupported,
  ErrorNumber.UnsupportedTransport,
])

/** Errors that say that there is no allocation of ours. */
const Gone: ReadonlySet<number> = new Set([
  ErrorNumber.Unauthenticated,
  ErrorNumber.IntegrityCheckFailure,
  ErrorNumber.AllocationMismatch,
  ErrorNumber.WrongCredentials,
])

export type Failed = Exclude<Outcome<unknown>, { readonly result: 'success' }>

/** @param outcome one that is no success */
export function failureOf(outcome: Failed): TurnFailure {
  if (outcome.result === 'unusable') return unusable()
  if (outcome.result === 'error') return describe(outcome.error)
  if (outcome.result === 'timeout') {
    return { code: 'turn-unreachable', status: undefined, reason: 'The TURN server does not answer' }
  }
  const { error } = outcome
  const said = error === undefined ? '' : `; one says ${error.code} ${printable(error.reason)}`
  const reason = `The TURN server's answers are not signed with our password${said}`
  return { code: 'turn-unauthentic', status: error?.code, reason }
}

export function unusable(): TurnFailure {
  return { code: 'turn-unusable', status: undefined, reason: 'The TURN server gives an answer without sense' }
}

export function ranOut(): TurnFailure {
  return { code: 'turn-unreachable', status: undefined, reason: 'The allocation has run out' }
}

export function isFinal(outcome: Failed): boolean {
  return outcome.result === 'error' && Final.has(outcome.error.code)
}

/** Whether nobody has answered who can be believed. */
export function isUnanswered({ result }: Failed): boolean {
  return result === 'timeout' || result === 'unauthentic'
}

export function saysGone(outcome: Failed): boolean {
  return outcome.result === 'error' && Gone.has(outcome.error.code)
}

/** A server's text, without what could steer a terminal. */
export function printable(text: string): string {
  return text
    .slice(0, MaxReasonLength)
    .replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, ' ')
    .trim()
}

function describe({ code, reason }: ErrorCode): TurnFailure {
  const said = printable(reason)
  return {
    code: Codes[code] ?? 'turn-refused',
    status: code,
    reason: `The TURN server says ${code}${said === '' ? '' : ` ${said}`}`,
  }
}
