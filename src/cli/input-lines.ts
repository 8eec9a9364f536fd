/** The lines of stdin: each is a message. */

const LineBytesMax = 4096
const Newline = 0x0a
const CarriageReturn = 0x0d

/** What the user typed: a message, or why a line cannot be one. */
export type InputLine = { readonly text: string } | { readonly refused: string }

/**
 * Splits bytes into lines. A line that is longer than 4096 bytes or not UTF-8 is refused, and empty ones are
 * left out; a last line without a newline counts. Ends when the stream does; at most one line is buffered.
 */
export async function* inputLines(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<InputLine, void, undefined> {
  const line = new LineBuffer()
  for await (const chunk of stream) {
    let from = 0
    for (let end = chunk.indexOf(Newline); end >= 0; end = chunk.indexOf(Newline, from)) {
      line.add(chunk.subarray(from, end))
      from = end + 1
      const finished = line.finish()
      if (finished !== undefined) yield finished
    }
    line.add(chunk.subarray(from))
  }
  const last = line.finish()
  if (last !== undefined) yield last
}

class LineBuffer {
  #number = 1
  #parts: Uint8Array[] = []
  #length = 0

  add(bytes: Uint8Array): void {
    this.#length += bytes.length
    // A carriage return may still follow the last byte that counts.
    if (this.#length <= LineBytesMax + 1) this.#parts.push(bytes)
  }

  finish(): InputLine | undefined {
    const [number, length, parts] = [this.#number, this.#length, this.#parts]
    this.#number += 1
    this.#parts = []
    this.#length = 0
    const bytes = length <= LineBytesMax + 1 ? withoutReturn(Buffer.concat(parts)) : undefined
    if (bytes === undefined || bytes.length > LineBytesMax) {
      return {
        refused: `line ${number} was not sent: it has ${length} bytes, and ${LineBytesMax} is the most`,
      }
    }
    if (bytes.length === 0) return undefined
    try {
      return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
    } catch {
      return { refused: `line ${number} was not sent: it is not valid UTF-8` }
    }
  }
}

function withoutReturn(bytes: Uint8Array): Uint8Array {
  return bytes.at(-1) === CarriageReturn ? bytes.subarray(0, -1) : bytes
}
