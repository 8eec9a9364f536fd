/** Where a session shows what happens. */
import type { RoomEvent } from '../../room/events.js'

export interface Output {
  /** Shows an event. */
  event(event: RoomEvent): void
  /** A sentence for the user that is no event: diagnostics, refused input. */
  notice(text: string): void
  /**
   * Resolves when more can be written: a slow reader slows the session down, and memory stays bounded. At an
   * abort it resolves at once.
   */
  drained(signal: AbortSignal): Promise<void>
  /** Leaves the terminal as it was. Idempotent. */
  close(): void
}

/** The part of a stream that outputs write to. */
export interface Sink {
  readonly writableNeedDrain: boolean
  readonly destroyed: boolean
  write(text: string): boolean
  on(event: 'drain' | 'close' | 'error', listener: () => void): unknown
  off(event: 'drain' | 'close' | 'error', listener: () => void): unknown
}

export function drained(
  sink: Pick<Sink, 'writableNeedDrain' | 'destroyed' | 'on' | 'off'>,
  signal: AbortSignal,
): Promise<void> {
  if (!sink.writableNeedDrain || sink.destroyed || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const events = ['drain', 'close', 'error'] as const
    const done = (): void => {
      for (const event of events) sink.off(event, done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    for (const event of events) sink.on(event, done)
    signal.addEventListener('abort', done)
  })
}
