/**
 * Every failure that gonet expects has a class that says who can do something about it, and a stable code
 * that scripts can match. docs/protocol.md and docs/cli.md list the codes.
 */
export class GonetError extends Error {
  override readonly name: string = 'GonetError'
  /** Stable, kebab-case. */
  readonly code: string
  /** What the reader can do next, as a sentence; undefined where there is nothing to do. */
  readonly advice: string | undefined

  /**
   * @param code stable code, kebab-case
   * @param message what happened, one sentence without a final stop
   * @param options `advice`: what to do next; `cause`: the error below this one
   */
  constructor(code: string, message: string, options: ErrorDetails = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.advice = options.advice
  }
}

export interface ErrorDetails {
  readonly advice?: string
  readonly cause?: unknown
}

/** Wrong input from the user: an argument, a config file, a state file. The CLI exits 2. */
export class UsageError extends GonetError {
  override readonly name = 'UsageError'
}

/** Bytes from the network (or a file) that are not what they should be. Dropped and counted by machines. */
export class DecodeError extends GonetError {
  override readonly name = 'DecodeError'
}

/** A signalling backend that cannot be used now: down, hung, or refusing. Retried by its adapter. */
export class SignallingError extends GonetError {
  override readonly name = 'SignallingError'
}

/** The other side, or a rule on this side, said no. The CLI exits 5. */
export class RefusedError extends GonetError {
  override readonly name = 'RefusedError'
}

/** Any error's message for a person, with its chain of causes, on one line. */
export function explain(error: unknown): string {
  const seen: string[] = []
  for (let at: unknown = error; at !== undefined && at !== null && seen.length < 5; ) {
    const text = (
      at instanceof Error ? at.message || at.name : typeof at === 'string' ? at : JSON.stringify(at)
    ).replace(/\s*\n\s*/g, ' ')
    if (!seen.includes(text)) seen.push(text)
    at = at instanceof Error ? at.cause : undefined
  }
  return seen.join(': ')
}
