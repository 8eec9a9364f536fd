import { GonetError } from '../../core/errors.js'
import { systemClock } from '../../node/clock.js'
import { diagnose } from '../../node/doctor/diagnose.js'
import type { Row } from '../../node/doctor/row.js'
import { ExitCode, exitCodeOf } from '../exit-codes.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { safeJson, safeLine } from '../output/safe-text.js'
import { loadSettings, makeLogger, openState } from '../settings.js'

const [Bold, Dim, Red, Green, Yellow] = [1, 2, 31, 32, 33]
const Colours: Readonly<Record<Row['state'], number>> = { ok: Green, warn: Yellow, fail: Red, skipped: Dim }
/** What takes longer is told of, and how often. */
const TickMs = 1000

/**
 * Looks at everything that gonet would use, and says what works and what to do.
 * @param room a room to look at from within, as `join` takes it
 * @returns the exit code: that of the first check that has failed
 * @throws ConfigError; GonetError `interrupted`
 */
export async function doctor(room: string | undefined, options: GlobalOptions): Promise<number> {
  const loaded = await loadSettings(options)
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const progress = options.quiet === true ? undefined : new Progress()
  let rows: readonly Row[]
  try {
    rows = await diagnose({
      loaded,
      state: openState(options),
      logger: await makeLogger(loaded, options),
      room,
      timeoutMs: options.timeout * 1000,
      signal: leave.signal,
      onProgress: (waiting) => progress?.update(waiting),
    })
  } catch (error) {
    if (!leave.signal.aborted) throw error
    throw new GonetError('interrupted', 'The diagnosis was interrupted')
  } finally {
    progress?.close()
    stopListening()
  }
  process.stdout.write(
    options.json === true ? `${safeJson(toJson(rows))}\n` : formatOn(process.stdout, rows, options),
  )
  return exitCodeFor(rows)
}

/** That of the first row that has failed; 0 where none has. */
export function exitCodeFor(rows: readonly Row[]): number {
  const first = rows.find(({ state }) => state === 'fail')
  return first === undefined ? ExitCode.Done : exitCodeOf(first.failure)
}

export function toJson(rows: readonly Row[]): Record<string, unknown> {
  const checks = rows.map(({ what, state, detail, advice, ms, facts, failure }) => ({
    what,
    state,
    detail,
    ...(failure !== undefined && { code: failure.code }),
    ...(advice !== undefined && { advice }),
    ...(ms !== undefined && { ms: Math.round(ms) }),
    ...(facts !== undefined && { facts }),
  }))
  return { ok: exitCodeFor(rows) === ExitCode.Done, checks }
}

/** A table for a terminal, with what to do below each row. */
export function toTable(rows: readonly Row[], hasColours: boolean): string {
  const paint = (text: string, colour: number): string =>
    hasColours ? `\u001b[${colour}m${text}\u001b[0m` : text
  const stateWidth = Math.max(...rows.map(({ state }) => state.length)) + 2
  const whatWidth = Math.max(...rows.map(({ what }) => safeLine(what).length)) + 2
  const lines = rows.flatMap(({ what, state, detail, advice }) => {
    const begin = paint(state.padEnd(stateWidth), Colours[state])
    const shown = state === 'skipped' ? paint(safeLine(detail), Dim) : safeLine(detail)
    const line = `${begin}${safeLine(what).padEnd(whatWidth)}${shown}`
    return advice === undefined
      ? [line]
      : [line, `${' '.repeat(stateWidth)}${paint(`→ ${safeLine(advice)}`, Bold)}`]
  })
  return `${lines.join('\n')}\n`
}

/** A line for each row. */
export function toLines(rows: readonly Row[]): string {
  const lines = rows.map(({ what, state, detail, advice }) =>
    safeLine(`${state} ${what}: ${detail}${advice === undefined ? '' : `. ${advice}`}`),
  )
  return `${lines.join('\n')}\n`
}

function formatOn(stdout: NodeJS.WriteStream, rows: readonly Row[], { plain }: GlobalOptions): string {
  const { env } = process
  const isTerminal = plain !== true && stdout.isTTY && env['TERM'] !== 'dumb'
  return isTerminal ? toTable(rows, (env['NO_COLOR'] ?? '') === '') : toLines(rows)
}

/** What is still looked at, on stderr, where that is a terminal and takes more than a second. */
class Progress {
  readonly #isTerminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb'
  readonly #startedAt = systemClock.now()
  readonly #timer: NodeJS.Timeout | undefined
  #waiting: readonly string[] = []

  constructor() {
    if (this.#isTerminal) this.#timer = setInterval(() => this.#draw(), TickMs)
  }

  update(waiting: readonly string[]): void {
    this.#waiting = waiting
  }

  close(): void {
    clearInterval(this.#timer)
    if (this.#isTerminal) process.stderr.write('\r\u001b[K')
  }

  #draw(): void {
    const seconds = Math.floor((systemClock.now() - this.#startedAt) / 1000)
    const text = safeLine(`gonet: looking at ${this.#waiting.join(', ')} (${seconds} s)`)
    // Some terminals say that they have none.
    const columns = process.stderr.columns || 80
    process.stderr.write(`\r\u001b[K${text.slice(0, columns - 1)}`)
  }
}
