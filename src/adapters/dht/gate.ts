/** What is so now or not, and a way to wait until it is. */
import { abortable } from '../waiting.js'

export class Gate {
  #isOpen = false
  readonly #waiting = new Set<() => void>()

  get isOpen(): boolean {
    return this.#isOpen
  }

  open(): void {
    this.#isOpen = true
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
  }

  shut(): void {
    this.#isOpen = false
  }

  /** Resolves when it is open; rejects with the signal's reason on abort. */
  async passed(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#isOpen) return
    let resume = (): void => undefined
    const opened = new Promise<void>((resolve) => {
      resume = resolve
    })
    this.#waiting.add(resume)
    try {
      await abortable(opened, signal)
    } finally {
      this.#waiting.delete(resume)
    }
  }
}
