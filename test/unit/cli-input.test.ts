import { describe, expect, it } from 'vitest'
import { type InputLine, inputLines } from '../../src/cli/input-lines.js'

async function linesOf(...chunks: (string | Uint8Array)[]): Promise<InputLine[]> {
  const bytes = chunks.map((chunk) => (typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk))
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (const chunk of bytes) yield await Promise.resolve(chunk)
  }
  const lines: InputLine[] = []
  for await (const line of inputLines(stream())) lines.push(line)
  return lines
}

describe('inputLines', () => {
  it('splits at newlines, wherever chunks end', async () => {
    expect(await linesOf('one\ntw', 'o\nthree')).toEqual([
      { text: 'one' },
      { text: 'two' },
      { text: 'three' },
    ])
  })

  it('takes a carriage return before a newline away, and nothing else', async () => {
    expect(await linesOf('one\r\n two\r \n')).toEqual([{ text: 'one' }, { text: ' two\r ' }])
  })

  it('joins a character that two chunks share', async () => {
    const bytes = new TextEncoder().encode('a\u{1f600}b\n')
    expect(await linesOf(bytes.subarray(0, 3), bytes.subarray(3))).toEqual([{ text: 'a\u{1f600}b' }])
  })

  it('leaves empty lines out, and counts them', async () => {
    expect(await linesOf('\n\r\nx\n', Uint8Array.of(0xff, 0x0a))).toEqual([
      { text: 'x' },
      { refused: 'line 4 was not sent: it is not valid UTF-8' },
    ])
  })

  it('refuses lines over 4096 bytes, and loses none beside them', async () => {
    const [most, more] = ['a'.repeat(4096), 'b'.repeat(4097)]
    expect(await linesOf(`${most}\r\n${more}\n`, 'c'.repeat(70_000), 'c\n', 'end\n')).toEqual([
      { text: most },
      { refused: 'line 2 was not sent: it has 4097 bytes, and 4096 is the most' },
      { refused: 'line 3 was not sent: it has 70001 bytes, and 4096 is the most' },
      { text: 'end' },
    ])
  })

  it('keeps a byte order mark, which is text', async () => {
    expect(await linesOf('\ufeffx\n')).toEqual([{ text: '\ufeffx' }])
  })
})
