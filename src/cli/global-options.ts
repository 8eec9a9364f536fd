/** The options that every command takes, before or after its name (docs/cli.md, Options). */
import { InvalidArgumentError } from 'commander'
import type { Verbosity } from './output/sentences.js'

export interface GlobalOptions {
  readonly signal?: readonly string[]
  readonly config?: string
  readonly set?: readonly string[]
  readonly name?: string
  readonly state?: string
  /** Seconds. */
  readonly timeout: number
  readonly json?: true
  readonly plain?: true
  readonly quiet?: true
  readonly verbose?: true
  readonly stay?: true
  readonly passwordFile?: string
  /** Of a running room: the beginning of its id. */
  readonly room?: string
}

export const TimeoutDefault = 30

const TimeoutMax = 1_000_000

export function verbosityOf({ quiet, verbose }: GlobalOptions): Verbosity {
  if (verbose === true) return 'verbose'
  return quiet === true ? 'quiet' : 'normal'
}

/** `--timeout` as seconds, fractions included. */
export function parseTimeout(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (seconds > 0 && seconds <= TimeoutMax) return seconds
  throw new InvalidArgumentError(`It takes a number of seconds, from above 0 to ${TimeoutMax}.`)
}

/** `--signal a,b`, which may be repeated. */
export function parseNames(text: string, previous: readonly string[] | undefined): readonly string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('It takes names with commas between them.')
  return [...(previous ?? []), ...names]
}

export function collect(text: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), text]
}
