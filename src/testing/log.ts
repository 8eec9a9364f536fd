/** What a test has seen so far. */
import type { SignalRecord } from '../core/signalling-adapter.js'

/** How long the suite waits for anything. */
export const DeadlineMs = 10_000

/** What came in, in order, and a way to wait for it. */
export class Log<Entry> {
  readonly entries: Entry[] = []
  readonly #checks = new Set<() => void>()

  readonly add: (entry: Entry) => void = (entry) => {
    this.entries.push(entry)
    for (const check of this.#checks) check()
  }

  async until(what: string, isReached: (entries: readonly Entry[]) => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#checks.delete(check)
        reject(new Error(`not within ${DeadlineMs} ms: ${what}; came: ${JSON.stringify(this.entries)}`))
      }, DeadlineMs)
      const check = (): void => {
        if (!isReached(this.entries)) return
        clearTimeout(timer)
        this.#checks.delete(check)
        resolve()
      }
      this.#checks.add(check)
      check()
    })
  }
}

export class Records extends Log<SignalRecord> {
  has(sender: string): boolean {
    return this.entries.some((record) => record.sender === sender)
  }

  shows(sender: string): Promise<void> {
    return this.until(`a record of ${sender}`, () => this.has(sender))
  }

  last(sender: string): string | undefined {
    const record = this.entries.findLast((each) => each.sender === sender)
    return record && text(record.bytes)
  }
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}
