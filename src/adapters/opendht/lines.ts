/** Splits a stream into lines, and keeps no line that is too long: whoever writes it may be hostile. */
export class LineReader {
  readonly #maxBytes: number
  readonly #onLine: (line: string) => void
  #parts: Uint8Array[] = []
  #size = 0

  /** @param maxBytes of a line; longer ones are left out */
  constructor(maxBytes: number, onLine: (line: string) => void) {
    this.#maxBytes = maxBytes
    this.#onLine = onLine
  }

  read(chunk: Uint8Array): void {
    let at = 0
    for (let end = chunk.indexOf(0x0a, at); end >= 0; end = chunk.indexOf(0x0a, at)) {
      this.#keep(chunk.subarray(at, end))
      this.#finish()
      at = end + 1
    }
    this.#keep(chunk.subarray(at))
  }

  /** The stream has ended, perhaps without a last line feed. */
  end(): void {
    this.#finish()
  }

  #keep(part: Uint8Array): void {
    this.#size += part.length
    if (this.#size > this.#maxBytes) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  #finish(): void {
    const line = Buffer.concat(this.#parts).toString('utf8')
    const isWhole = this.#size > 0 && this.#size <= this.#maxBytes
    this.#parts = []
    this.#size = 0
    if (isWhole) this.#onLine(line)
  }
}
