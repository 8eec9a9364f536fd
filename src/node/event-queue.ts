/** Events that wait to be read; the oldest are dropped when a reader falls this far behind. */
const MaxWaiting = 10_000

/** Pushed from one side, iterated from the other, once. Ends with `end`, or throws what `end` was given. */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #waiting: Event[] = []
  #wake: (() => void) | undefined
  #end: { readonly failure: Error | undefined } | undefined

  push(event: Event): void {
    if (this.#end !== undefined) return
    this.#waiting.push(event)
    if (this.#waiting.length > MaxWaiting) this.#waiting.shift()
    this.#wake?.()
  }

  /** Safe to call twice: the first call counts. */
  end(failure?: Error): void {
    this.#end ??= { failure }
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, undefined> {
    while (true) {
      for (let event = this.#waiting.shift(); event !== undefined; event = this.#waiting.shift()) yield event
      if (this.#end !== undefined) {
        if (this.#end.failure !== undefined) throw this.#end.failure
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
