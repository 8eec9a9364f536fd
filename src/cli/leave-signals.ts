/** How the user, or what runs this process, says that it is time to go. */
import { ExitCode } from './exit-codes.js'

const Signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Aborts at SIGINT, SIGTERM, a terminal that is gone, or when nobody reads stdout any more.
 * @returns stops listening to signals
 */
export function leaveOnSignals(leave: AbortController): () => void {
  const onSignal = (): void => interrupt(leave)
  for (const signal of Signals) process.on(signal, onSignal)
  process.stdout.on('error', () => leave.abort())
  return () => {
    for (const signal of Signals) process.off(signal, onSignal)
  }
}

/** The first time leaves cleanly, the second at once. */
export function interrupt(leave: AbortController): void {
  if (leave.signal.aborted) process.exit(ExitCode.Interrupted)
  leave.abort()
}
