/** Where a session shows what happens. */
import type { RoomEvent } from '../../room/events.js'

export interface Output {
  /** Shows an event. */
  event(event: RoomEvent): void
  /** A sentence for the user that is no event: diagnostics, refused input. */
  notice(text: string): void
  /** Resolves when more can be written: a slow reader slows the session down, and memory stays bounded. */
  drained(): Promise<void>
  /** Leaves the terminal as it was. Idempotent. */
  close(): void
}

/** The part of a stream that outputs write to. */
export interface Sink {
  readonly writableNeedDrain: boolean
  readonly destroyed: boolean
  write(text: string): boolean
  once(event: 'drain' | 'close' | 'error', listener: () => void): unknown
}

export function drained(sink: Sink): Promise<void> {
  if (!sink.writableNeedDrain || sink.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    for (const event of ['drain', 'close', 'error'] as const) sink.once(event, resolve)
  })
}
