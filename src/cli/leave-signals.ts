/** How the user, or what runs this process, says that it is time to go. */
import { ExitCode } from './exit-codes.js'

/** How long what was written may take to come out, once the user has left. */
const FlushMs = 1000

export const LeaveSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Aborts at SIGINT, SIGTERM, a terminal that is gone, or at a write to stdout when nobody reads it any more.
 * @returns stops listening, and sees that the process ends soon where the user has left
 */
export function leaveOnSignals(leave: AbortController): () => void {
  const onSignal = (): void => interrupt(leave)
  for (const signal of LeaveSignals) process.on(signal, onSignal)
  process.stdout.on('error', () => leave.abort())
  return () => {
    // Whoever leaves does not wait for a reader that has stopped to read.
    if (leave.signal.aborted) setTimeout(() => process.exit(), FlushMs)
    for (const signal of LeaveSignals) process.off(signal, onSignal)
  }
}

const interrupted = new WeakSet<AbortController>()

/**
 * The first time leaves cleanly, the second at once. A terminal that goes is no second time: it ends stdout, and
 * then hangs up.
 */
export function interrupt(leave: AbortController): void {
  if (interrupted.has(leave)) process.exit(ExitCode.Interrupted)
  interrupted.add(leave)
  leave.abort()
}
