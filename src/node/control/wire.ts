/** What both ends of the control socket say (docs/control.md): JSON, one object a line. */
import { GonetError, RefusedError, UsageError } from '../../core/errors.js'

export const ControlVersion = 1
/** A request, in bytes of its line: a message of 4096 bytes fits, however it is escaped. */
export const RequestBytesMax: number = 32 * 1024
/** An answer or event, in bytes of its line: a roster of 2048 members fits. */
export const AnswerBytesMax: number = 2 * 1024 * 1024

/** One line of the server. Each request gets any number of events, and then a result or an error. */
export type AnswerLine =
  /** The answer to the hello. */
  | { readonly gonet: number; readonly room: string; readonly role: 'host' | 'guest' }
  | { readonly id: number; readonly event: unknown }
  | { readonly id: number; readonly result: unknown }
  /** `id` is null where it is not known what the error answers. */
  | { readonly id: number | null; readonly error: WireError }

export interface WireError {
  /** Who can do something about it: whoever asked (`usage`), the host (`refused`), or nobody in particular. */
  readonly kind: 'usage' | 'refused' | 'failed'
  readonly code: string
  readonly message: string
  readonly advice?: string
}

export function toWireError(error: unknown): WireError {
  if (!(error instanceof GonetError)) {
    const message = 'The room has met with an unexpected error, which its log tells'
    return { kind: 'failed', code: 'unexpected', message }
  }
  const { code, message, advice } = error
  const kind = error instanceof UsageError ? 'usage' : error instanceof RefusedError ? 'refused' : 'failed'
  return { kind, code, message, ...(advice !== undefined && { advice }) }
}

export function fromWireError({ kind, code, message, advice }: WireError): GonetError {
  const details = advice === undefined ? {} : { advice }
  if (kind === 'usage') return new UsageError(code, message, details)
  if (kind === 'refused') return new RefusedError(code, message, details)
  return new GonetError(code, message, details)
}
