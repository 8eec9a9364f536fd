/** How the command ends (docs/cli.md, Exit codes). */
import { DecodeError, GonetError, RefusedError, SignallingError, UsageError } from '../core/errors.js'

export const ExitCode = {
  Done: 0,
  Unexpected: 1,
  Usage: 2,
  NoBackend: 3,
  RoomNotFound: 4,
  Refused: 5,
  NoPath: 6,
  RoomClosed: 7,
  Undelivered: 8,
  Interrupted: 130,
} as const

const ByCode: ReadonlyMap<string, number> = new Map([
  // A full disk, or a folder that is not ours to write.
  ['store-failed', ExitCode.Usage],
  // A system that does not let the interface be set up.
  ['interface-failed', ExitCode.Usage],
  ['no-backend', ExitCode.NoBackend],
  ['room-not-found', ExitCode.RoomNotFound],
  ['no-path', ExitCode.NoPath],
  ['no-answer', ExitCode.NoPath],
  ['member-away', ExitCode.NoPath],
  ['room-closed', ExitCode.RoomClosed],
  ['undelivered', ExitCode.Undelivered],
  // The room that was asked has gone meanwhile.
  ['control-gone', ExitCode.Usage],
  ['interrupted', ExitCode.Interrupted],
])

export function exitCodeOf(error: unknown): number {
  if (error instanceof RefusedError) return ExitCode.Refused
  if (error instanceof UsageError || error instanceof DecodeError) return ExitCode.Usage
  const known = error instanceof GonetError ? ByCode.get(error.code) : undefined
  if (known !== undefined) return known
  return error instanceof SignallingError ? ExitCode.NoBackend : ExitCode.Unexpected
}
