/** From arguments to an exit code. */
import { ExitCode } from './exit-codes.js'
import { makeProgram } from './program.js'
import { reportError } from './report-error.js'

/** Runs the command that the arguments ask for. Never throws: what fails is reported. */
export async function run(args: readonly string[], version: string): Promise<number> {
  const { stdout, stderr } = process
  // A reader that has gone is no crash; commands that run on notice it by themselves.
  for (const stream of [stdout, stderr]) stream.on('error', () => undefined)
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args
  const [json, verbose] = [own.includes('--json'), own.includes('--verbose')]
  const report = (error: unknown): number => reportError(error, { json, verbose, stdout, stderr })
  // A bug in a callback that nobody waits for.
  const onUncaught = (error: unknown): void => process.exit(report(error))
  process.on('uncaughtException', onUncaught)
  let exitCode: number = ExitCode.Done
  try {
    const program = makeProgram(version, (code) => {
      exitCode = code
    })
    if (args.length === 0) {
      stderr.write(program.helpInformation())
      return ExitCode.Usage
    }
    await program.parseAsync(args, { from: 'user' })
    return exitCode
  } catch (error) {
    return report(error)
  } finally {
    process.off('uncaughtException', onUncaught)
  }
}
