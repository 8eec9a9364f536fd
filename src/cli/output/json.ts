/** One JSON object a line on stdout (docs/cli.md, Events); notices on stderr. */
import type { RoomEvent } from '../../room/events.js'
import { drained, type Output, type Sink } from './output.js'
import { safeJson, safeLine } from './safe-text.js'

export class JsonOutput implements Output {
  readonly #stdout: Sink
  readonly #stderr: Sink

  constructor(streams: { readonly stdout: Sink; readonly stderr: Sink }) {
    this.#stdout = streams.stdout
    this.#stderr = streams.stderr
  }

  event(event: RoomEvent): void {
    const { event: name, ...rest } = event
    this.#stdout.write(`${safeJson({ event: name, ...rest })}\n`)
  }

  notice(text: string): void {
    this.#stderr.write(`${safeLine(text)}\n`)
  }

  drained(signal: AbortSignal): Promise<void> {
    return drained(this.#stdout, signal)
  }

  close(): void {
    // Nothing was changed.
  }
}
