/** What a session shows itself on, and takes its lines from: a terminal, lines in a pipe, or JSON. */
import type { Readable } from 'node:stream'
import { type GlobalOptions, verbosityOf } from './global-options.js'
import { type InputLine, inputLines } from './input-lines.js'
import { JsonOutput } from './output/json.js'
import type { Output } from './output/output.js'
import { PlainOutput } from './output/plain.js'

export interface Front {
  readonly output: Output
  readonly lines: AsyncIterable<InputLine>
  readonly interactive: boolean
  readonly askPassword?: () => Promise<string | undefined>
}

/**
 * @param status what is going on until a room is up, for a terminal
 * @param onInterrupt called at Ctrl-C, which a terminal gives as a key
 */
export async function makeFront(
  options: GlobalOptions,
  status: string,
  onInterrupt: () => void,
): Promise<Front> {
  const { stdin, stdout, stderr, env } = process
  const verbosity = verbosityOf(options)
  const lines = inputLines(stdin as Readable)
  if (options.json === true) return { output: new JsonOutput({ stdout, stderr }), lines, interactive: false }
  const isTerminal = stdin.isTTY && stdout.isTTY && env['TERM'] !== 'dumb'
  if (options.plain === true || !isTerminal) {
    return { output: new PlainOutput({ stdout, stderr }, verbosity), lines, interactive: false }
  }
  const { Terminal } = await import('./terminal/terminal.js')
  const colours = (env['NO_COLOR'] ?? '') === ''
  const terminal = new Terminal({ stdin, stdout, verbosity, colours, status, onInterrupt })
  const askPassword = (): Promise<string | undefined> => terminal.askSecret('the password of the room:')
  return { output: terminal, lines: terminal.lines, interactive: true, askPassword }
}
