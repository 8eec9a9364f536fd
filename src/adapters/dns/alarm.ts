/** A wait that time ends, or whoever rings. A ring that nobody waits for ends the next wait at once. */
import type { Clock } from '../../core/ports.js'
import { delay } from '../waiting.js'

export class Alarm {
  readonly #clock: Clock
  #ended: AbortController | undefined
  #hasRung = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  ring(): void {
    this.#hasRung = true
    this.#ended?.abort()
  }

  /** @throws the signal's reason on abort */
  async wait(delayMs: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.#hasRung) {
      const ended = new AbortController()
      this.#ended = ended
      const end = (): void => {
        ended.abort()
      }
      signal.addEventListener('abort', end, { once: true })
      try {
        await delay(this.#clock, delayMs, ended.signal)
      } catch {
        // Rung, or aborted.
      } finally {
        signal.removeEventListener('abort', end)
        this.#ended = undefined
      }
      signal.throwIfAborted()
    }
    this.#hasRung = false
  }
}
