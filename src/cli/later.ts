/** What the documentation promises for a later version: not mistyped, only early. */
import { UsageError } from '../core/errors.js'

export const LaterCommands: readonly string[] = ['expose', 'forward']

/** @param what as the user typed it, such as `gonet up` */
export function notYet(what: string): UsageError {
  return new UsageError('not-yet', `This version of gonet does not have ${what} yet`)
}
