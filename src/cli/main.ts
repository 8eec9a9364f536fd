#!/usr/bin/env node
/** The command `gonet`. It imports what the arguments ask for, and nothing for `--version`. */

import { closeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** Put in place by the build: package.json's. */
declare const __GONET_VERSION__: string

const args = process.argv.slice(2)
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${__GONET_VERSION__}\n`)
} else void main()

async function main(): Promise<void> {
  const terminals = [0, 1, 2].filter(isatty)
  process.on('exit', () => {
    // node aborts at its exit where it cannot restore a terminal that is gone.
    for (const descriptor of terminals) if (!isatty(descriptor)) closeSync(descriptor)
  })
  const { run } = await import('./run.js')
  const exitCode = await run(args, __GONET_VERSION__)
  process.exitCode = exitCode
  // Timers and sockets that are left must not keep a finished command alive; what was written must come out.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)))
}
