const LineFeed = 0x0a

/** Splits a stream into lines, of which at most one waits. */
export class LineSplitter {
  readonly #maxBytes: number
  #parts: Uint8Array[] = []
  #size = 0

  /** @param maxBytes of a line, without its line feed */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * @returns the lines that have ended, each as text where it is UTF-8; undefined for one that is longer than it may
   * be, after which there are no more
   */
  split(chunk: Uint8Array): readonly (string | undefined)[] {
    const lines: (string | undefined)[] = []
    let from = 0
    while (this.#size <= this.#maxBytes) {
      const end = chunk.indexOf(LineFeed, from)
      const part = chunk.subarray(from, end < 0 ? undefined : end)
      this.#size += part.length
      if (this.#size > this.#maxBytes) {
        this.#parts = []
        lines.push(undefined)
        break
      }
      if (part.length > 0) this.#parts.push(part)
      if (end < 0) break
      lines.push(Buffer.concat(this.#parts).toString('utf8'))
      this.#parts = []
      this.#size = 0
      from = end + 1
    }
    return lines
  }
}
