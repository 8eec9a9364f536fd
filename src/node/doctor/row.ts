/** What a check has found, and how checks are kept from taking for ever. */
import { explain, GonetError, UsageError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'

export interface Row {
  /** What was looked at, such as `backend mqtt`. */
  readonly what: string
  /** `warn`: a room works without it, or worse. `fail`: it does not. `skipped`: not asked for, or not here. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skipped'
  /** Without a final stop. Never a secret. */
  readonly detail: string
  /** What to do, as a sentence without a final stop. */
  readonly advice?: string | undefined
  /** How long it took. */
  readonly ms?: number | undefined
  /** The same for programs. */
  readonly facts?: Readonly<Record<string, string | number | boolean | null>> | undefined
  /** With `fail`: what a room would end with. */
  readonly failure?: GonetError | undefined
}

/** What `bounded` ends a check with that takes too long. */
export class Late extends Error {
  override readonly name = 'Late'

  constructor(readonly limitMs: number) {
    super(`it takes more than ${limitMs / 1000} s`)
  }
}

/**
 * Runs a check, which is aborted with a `Late` when its time is over, and waits until it has put everything away.
 * @throws what `signal` is aborted with, or what the check throws
 */
export async function bounded<Result>(
  limitMs: number,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  check: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  signal.throwIfAborted()
  const limit = new AbortController()
  const onAbort = (): void => limit.abort(signal.reason)
  const cancel = clock.after(limitMs, () => limit.abort(new Late(limitMs)))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await check(limit.signal)
  } finally {
    cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

/** A row for something that a room does not get over. */
export function failed(what: string, error: GonetError): Row {
  return { what, state: 'fail', detail: explain(error), advice: error.advice, failure: error }
}

/**
 * A row for something that was thrown. A wrong configuration ends a room; other errors of gonet's are the
 * network's, and are for whoever has the whole picture to judge. All else is a bug.
 */
export function thrown(what: string, error: unknown): Row {
  if (error instanceof UsageError) return failed(what, error)
  if (error instanceof GonetError) {
    return { what, state: 'warn', detail: explain(error), advice: error.advice }
  }
  if (error instanceof Late) return { what, state: 'warn', detail: error.message }
  return failed(
    what,
    new GonetError('unexpected', explain(error), { cause: error, advice: 'Please report it' }),
  )
}

/** `34 ms`, `2.3 s`. */
export function sayDuration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`
}
