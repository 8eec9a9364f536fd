/** Waits that an AbortSignal ends, without leaving listeners or timers behind. */
import type { Clock } from '../core/ports.js'

/**
 * The promise's outcome, or the signal's reason as a rejection, whichever comes first. What the promise
 * comes to after an abort is ignored.
 */
export async function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  let stopListening = (): void => undefined
  const aborted = new Promise<never>((_, reject) => {
    const abort = (): void => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    stopListening = () => {
      signal.removeEventListener('abort', abort)
    }
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    stopListening()
  }
}

/** Resolves `delayMs` from now; rejects with the signal's reason on abort. */
export async function delay(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  let cancel = (): void => undefined
  try {
    await abortable(
      new Promise<void>((resolve) => {
        cancel = clock.after(delayMs, resolve)
      }),
      signal,
    )
  } finally {
    cancel()
  }
}
