import { once } from 'node:events'
import type { RunningServer } from '../../node/running-server.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { safeJson } from '../output/safe-text.js'

/**
 * Runs a server until SIGINT or SIGTERM.
 * @param name `mqtt`
 * @throws UsageError where it cannot start; what ended it, where it ends by itself
 */
export async function serve(
  name: string,
  options: GlobalOptions,
  start: () => Promise<RunningServer>,
): Promise<void> {
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  try {
    const server = await start()
    try {
      process.stdout.write(options.json === true ? json(name, server) : plain(server))
      const left = leave.signal.aborted ? undefined : once(leave.signal, 'abort')
      await Promise.race([left, ...(server.failed === undefined ? [] : [server.failed])])
    } finally {
      await server.close()
    }
  } finally {
    stopListening()
  }
}

function json(server: string, { details }: RunningServer): string {
  return `${safeJson({ event: 'serving', server, ...details })}\n`
}

function plain({ what, peerOptions }: RunningServer): string {
  return `ready: ${what}\npeers use it with: ${peerOptions.join('\n               or: ')}\n`
}
