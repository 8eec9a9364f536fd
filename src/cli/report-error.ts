/** How the command says that it failed: one clear line, and with `--json` an event too. */
import { CommanderError } from 'commander'
import { explain, GonetError, RefusedError, UsageError } from '../core/errors.js'
import { ExitCode, exitCodeOf } from './exit-codes.js'
import type { Sink } from './output/output.js'
import { safeJson, safeLine, safeLines } from './output/safe-text.js'

export interface ErrorReport {
  readonly json: boolean
  /** Whether to show where in the program it happened. */
  readonly verbose: boolean
  readonly stdout: Pick<Sink, 'write'>
  readonly stderr: Pick<Sink, 'write'>
}

/** @returns the exit code */
export function reportError(error: unknown, { json, verbose, stdout, stderr }: ErrorReport): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return ExitCode.Done
    // A command that lacks its second word has printed its help already.
    if (error.code === 'commander.help') return ExitCode.Usage
    return reportError(usageOf(error), { json, verbose, stdout, stderr })
  }
  if (json) {
    const event = error instanceof RefusedError ? 'refused' : 'error'
    const code = error instanceof GonetError ? error.code : 'unexpected'
    stdout.write(`${safeJson({ event, code, message: explain(error) })}\n`)
  }
  for (const line of sentences(error)) stderr.write(`gonet: ${line}\n`)
  if (verbose && error instanceof Error && error.stack !== undefined) {
    for (const line of safeLines(error.stack)) stderr.write(`  ${line}\n`)
  }
  return exitCodeOf(error)
}

/** One line, but for errors that list several problems, each on its own. */
function sentences(error: unknown): string[] {
  if (!(error instanceof GonetError)) {
    const bug = 'This is a bug: please report it with what the same command prints under --verbose'
    return [`unexpected error: ${safeLine(explain(error))}. ${bug}.`]
  }
  const lines = safeLines(error.message)
  if (lines.length > 1) return lines
  const cause = error.cause === undefined ? '' : `: ${explain(error.cause)}`
  const advice = error.advice === undefined ? '' : ` ${error.advice.replace(/([^.?!])$/, '$1.')}`
  return [safeLine(`${error.message}${cause}.${advice}`)]
}

function usageOf(error: CommanderError): UsageError {
  const [first = '', ...hints] = error.message.replace(/^error: /, '').split('\n')
  const hint = hints.length === 0 ? '' : ` ${hints.join(' ').trim()}`
  return new UsageError('usage', `${first.replace(/\.$/, '')}${hint}`, { advice: 'See gonet --help' })
}
