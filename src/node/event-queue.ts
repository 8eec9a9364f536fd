/** Events that wait to be read; the oldest are dropped when a reader falls this far behind. */
const MaxWaiting = 10_000

/**
 * Pushed from one side, iterated from the other. Every iterator has its own place: the first begins at the
 * beginning, a later one with what the others have not read yet. Iterators end with `end`, or throw what `end`
 * was given.
 */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #waiting: Event[] = []
  /** The number of the first event that waits: they are counted from 0. */
  #first = 0
  /** The number of the event that each iterator reads next. */
  readonly #readers = new Set<{ next: number }>()
  #wake: (() => void)[] = []
  #end: { readonly failure: Error | undefined } | undefined

  push(event: Event): void {
    if (this.#end !== undefined) return
    this.#waiting.push(event)
    if (this.#waiting.length > MaxWaiting) this.#dropBefore(this.#first + 1)
    this.#changed()
  }

  /** Safe to call twice: the first call counts. */
  end(failure?: Error): void {
    this.#end ??= { failure }
    this.#changed()
  }

  [Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    const reader = { next: this.#first }
    this.#readers.add(reader)
    return this.#read(reader)
  }

  async *#read(reader: { next: number }): AsyncGenerator<Event, void, undefined> {
    try {
      while (true) {
        reader.next = Math.max(reader.next, this.#first)
        const event = this.#waiting[reader.next - this.#first]
        if (event !== undefined) {
          reader.next += 1
          this.#dropBefore(Math.min(...Array.from(this.#readers, ({ next }) => next)))
          yield event
        } else if (this.#end === undefined) {
          await new Promise<void>((resolve) => this.#wake.push(resolve))
        } else if (this.#end.failure === undefined) {
          return
        } else {
          throw this.#end.failure
        }
      }
    } finally {
      this.#readers.delete(reader)
    }
  }

  #dropBefore(number: number): void {
    const count = number - this.#first
    if (count <= 0) return
    this.#waiting.splice(0, count)
    this.#first = number
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
