#!/usr/bin/env node
/** The command `gonet`. It imports what the arguments ask for, and nothing for `--version`. */
import { version } from './version.js'

const args = process.argv.slice(2)
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${version}\n`)
} else {
  const { run } = await import('./run.js')
  const exitCode = await run(args)
  // Timers and sockets that are left must not keep a finished command alive; what was written must come out.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)))
}
