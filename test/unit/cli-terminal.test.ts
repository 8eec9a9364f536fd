import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { clip, layOut } from '../../src/cli/terminal/layout.js'
import { LineEditor } from '../../src/cli/terminal/line-editor.js'
import { Terminal, type TerminalOptions } from '../../src/cli/terminal/terminal.js'
import { graphemes, graphemeWidth } from '../../src/cli/terminal/width.js'
import type { RoomEvent } from '../../src/room/events.js'

describe('graphemeWidth', () => {
  it.each([
    ['a', 1],
    ['\u00e9', 1],
    ['e\u0301', 1],
    ['\u200b', 0],
    ['\u6f22', 2],
    ['\uff21', 2],
    ['\u{1f600}', 2],
    ['\u{1f468}\u200d\u{1f469}\u200d\u{1f467}', 2],
    ['\u{1f1e9}\u{1f1ea}', 2],
    ['\u2764\ufe0f', 2],
  ])('of %j is %d', (grapheme, width) => {
    expect(graphemes(grapheme)).toEqual([grapheme])
    expect(graphemeWidth(grapheme)).toBe(width)
  })
})

describe('layOut', () => {
  const at = (text: string, cursor: number, columns: number) => {
    const { rows, row, column } = layOut('> ', graphemes(text), cursor, columns)
    return [rows.map((each) => each.text), row, column]
  }

  it('breaks rows, wide characters whole', () => {
    expect(at('abcdef', 6, 5)).toEqual([['> abc', 'def'], 1, 3])
    expect(at('ab\u6f22', 2, 5)).toEqual([['> ab', '\u6f22'], 1, 0])
  })

  it('gives the cursor a place behind a full row', () => {
    expect(at('abc', 3, 5)).toEqual([['> abc', ''], 1, 0])
  })

  it('breaks at newlines', () => {
    expect(at('a\nb', 1, 10)).toEqual([['> a', 'b'], 0, 3])
    expect(at('a\n', 2, 10)).toEqual([['> a', ''], 1, 0])
  })

  it('is clipped to the rows that end with the cursor', () => {
    const layout = layOut('> ', graphemes('a\nb\nc\nd'), 5, 10)
    const { rows, row } = clip(layout, 2)
    expect([rows.map(({ text }) => text), row]).toEqual([['b', 'c'], 1])
  })
})

describe('LineEditor', () => {
  /** Single characters are typed; words are keys, such as `left`, `ctrl-a`, `meta-b`. */
  function typed(...keys: string[]): string {
    const editor = new LineEditor()
    for (const key of keys) press(editor, key)
    const before = editor.characters.slice(0, editor.cursor).join('')
    return `${before}|${editor.characters.slice(editor.cursor).join('')}`
  }

  function press(editor: LineEditor, key: string): string {
    if (graphemes(key).length === 1) return editor.press(key, { sequence: key })
    const [, modifier, name] = /^(?:(ctrl|meta)-)?(.*)$/.exec(key)!
    return editor.press(undefined, { name: name!, ctrl: modifier === 'ctrl', meta: modifier === 'meta' })
  }

  it.each([
    [['a', 'b'], 'ab|'],
    [['a', 'b', 'left', 'x'], 'ax|b'],
    [['a', 'b', 'left', 'left', 'left', 'delete'], '|b'],
    [['a', 'b', 'backspace', 'backspace', 'backspace'], '|'],
    [['a', 'b', 'ctrl-a', 'right', 'ctrl-k'], 'a|'],
    [['a', 'b', 'left', 'ctrl-u'], '|b'],
    [['a', 'b', 'home', 'x', 'end', 'y'], 'xaby|'],
    [['a', ' ', 'b', 'c', ' ', 'ctrl-w'], 'a |'],
    [['a', ' ', 'b', 'ctrl-left', 'x'], 'a x|b'],
    [['a', 'b', ' ', 'c', 'ctrl-a', 'meta-f', 'x'], 'abx| c'],
    [['a', ' ', 'b', 'ctrl-a', 'meta-d'], '| b'],
    [['a', 'left', 'ctrl-d'], '|'],
    [['\u6f22', '\u{1f600}', 'backspace'], '\u6f22|'],
    [['e', '\u0301', 'x', 'left', 'backspace'], '|x'],
    [['a', 'meta-return', 'b'], 'a\nb|'],
    [['a', '\u0007', '\u009b'], 'a|'],
    [['a', 'f5', 'tab'], 'a|'],
  ])('%j gives %j', (keys, expected) => {
    expect(typed(...keys)).toBe(expected)
  })

  it('keeps newlines of a paste, and submits nothing meanwhile', () => {
    const editor = new LineEditor()
    const actions = ['paste-start', 'a', 'return', 'b', 'paste-end'].map((key) => press(editor, key))
    expect([new Set(actions), editor.text]).toEqual([new Set(['nothing']), 'a\nb'])
    expect([press(editor, 'return'), editor.take(), editor.text]).toEqual(['submit', 'a\nb', ''])
  })

  it('recalls what was typed before, and the line that was begun', () => {
    const editor = new LineEditor()
    for (const line of ['one', 'two']) {
      for (const character of line) press(editor, character)
      editor.take()
    }
    press(editor, 'x')
    const seen = ['up', 'up', 'up', 'down', 'down', 'down'].map((key) => (press(editor, key), editor.text))
    expect(seen).toEqual(['two', 'one', 'one', 'two', 'x', 'x'])
  })

  it('asks to interrupt, to end where it is empty, and to redraw', () => {
    const editor = new LineEditor()
    expect(['ctrl-c', 'ctrl-d', 'ctrl-l'].map((key) => press(editor, key))).toEqual([
      'interrupt',
      'end',
      'redraw',
    ])
  })
})

class FakeInput extends PassThrough {
  readonly isTTY = true
  isRaw = false

  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw
    return this
  }
}

/** As much of a terminal as the program uses: rows of text, a cursor, and the sequences that move it. */
class FakeScreen extends EventEmitter {
  columns = 20
  rows = 6
  readonly writableNeedDrain = false
  readonly destroyed = false
  raw = ''
  readonly #lines: string[][] = [[]]
  #row = 0
  #column = 0

  write(text: string): boolean {
    this.raw += text
    for (const [whole, count, command] of text.matchAll(/\u001b\[\??([0-9;]*)([A-Za-z])|\r|\n|[^\u001b]/gu)) {
      if (command === 'A') this.#row -= Number(count)
      else if (command === 'C') this.#column += Number(count)
      else if (command === 'J') this.#clear(count === '2')
      else if (command === 'H') this.#row = this.#column = 0
      else if (whole === '\r') this.#column = 0
      else if (whole === '\n') this.#newline()
      else if (command === undefined) this.#put(whole)
    }
    return true
  }

  get lines(): string[] {
    return this.#lines.map((line) => line.join('').trimEnd())
  }

  get cursor(): [row: number, column: number] {
    return [this.#row, this.#column]
  }

  #put(character: string): void {
    if (this.#column >= this.columns) {
      this.#column = 0
      this.#newline()
    }
    const line = this.#lines[this.#row]!
    while (line.length < this.#column) line.push(' ')
    line[this.#column] = character
    this.#column += 1
  }

  /** As terminals do that wrap what they show anew. */
  resize(columns: number): void {
    const before = this.#lines.splice(0)
    const [row, column] = this.cursor
    for (const [index, line] of before.entries()) {
      if (index === row) {
        this.#row = this.#lines.length + Math.floor(column / columns)
        this.#column = column % columns
      }
      do this.#lines.push(line.splice(0, columns))
      while (line.length > 0)
    }
    this.columns = columns
    this.emit('resize')
  }

  #newline(): void {
    this.#row += 1
    while (this.#lines.length <= this.#row) this.#lines.push([])
  }

  #clear(isAll: boolean): void {
    this.#lines.splice(isAll ? 0 : this.#row + 1)
    if (isAll) this.#lines.push([])
    else this.#lines[this.#row]!.splice(this.#column)
  }
}

function open(options: Partial<TerminalOptions> = {}) {
  const stdin = new FakeInput()
  const stdout = new FakeScreen()
  let interrupts = 0
  const terminal = new Terminal({
    stdin: stdin as unknown as TerminalOptions['stdin'],
    stdout: stdout as unknown as TerminalOptions['stdout'],
    verbosity: 'normal',
    colours: false,
    status: '',
    onInterrupt: () => {
      interrupts += 1
    },
    ...options,
  })
  const press = async (text: string): Promise<void> => {
    stdin.write(text)
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return { stdin, stdout, terminal, press, interrupts: () => interrupts }
}

const message: RoomEvent = { event: 'message', from: 'alice', address: '10.0.0.2', text: 'hi', id: '1' }

describe('Terminal', () => {
  it('shows messages above the line that is being typed', async () => {
    const { stdout, terminal, press } = open()
    await press('hello')
    terminal.event(message)
    terminal.event({ ...message, text: 'two\nlines' })
    expect(stdout.lines).toEqual(['alice: hi', 'alice: two', '  lines', '> hello'])
    expect(stdout.cursor).toEqual([3, 7])
    terminal.close()
  })

  it('keeps its place where the line wraps, and where the cursor is inside it', async () => {
    const { stdout, terminal, press } = open()
    await press(`${'x'.repeat(30)}\u0001`)
    expect(stdout.lines).toEqual([`> ${'x'.repeat(18)}`, 'x'.repeat(12)])
    expect(stdout.cursor).toEqual([0, 2])
    terminal.event(message)
    expect(stdout.lines).toEqual(['alice: hi', `> ${'x'.repeat(18)}`, 'x'.repeat(12)])
    expect(stdout.cursor).toEqual([1, 2])
    terminal.close()
    expect(stdout.lines).toEqual(['alice: hi', ''])
  })

  it('hands over what is typed, and echoes it', async () => {
    const { stdout, terminal, press } = open()
    const lines = terminal.lines[Symbol.asyncIterator]()
    await press('one\r\u001b[200~two\rthree\u001b[201~\r\r')
    expect((await lines.next()).value).toEqual({ text: 'one' })
    expect((await lines.next()).value).toEqual({ text: 'two\nthree' })
    expect(stdout.lines).toEqual(['you: one', 'you: two', '  three', '>'])
    const next = lines.next()
    await press('\u0004')
    expect((await next).done).toBe(true)
    terminal.close()
  })

  it('shows what is going on until the room is up', () => {
    const { stdout, terminal } = open({ status: 'looking for the room, wherever it is' })
    expect(stdout.lines).toEqual(['looking for the roo', '>'])
    terminal.event({ event: 'joined', room: 'cf83e1', address: '10.0.0.2', host: 'bob' })
    expect(stdout.lines.at(-1)).toBe('>')
    expect(stdout.lines.join('')).not.toContain('looking')
    terminal.close()
  })

  it('keeps a message that is too long, and says so', async () => {
    const { stdout, terminal, press } = open()
    stdout.columns = 200
    await press(`${'\u00e9'.repeat(2049)}\r`)
    expect(stdout.lines[0]).toBe('gonet: a message has 4096 bytes at most; this one has 4098')
    await press('\u007f\r')
    expect((await terminal.lines[Symbol.asyncIterator]().next()).value).toEqual({
      text: '\u00e9'.repeat(2048),
    })
    terminal.close()
  })

  it('lets no escape sequence of a stranger through', () => {
    const { stdout, terminal } = open()
    const before = stdout.raw.length
    const evil = '\u001b]0;title\u0007\u001b[2J\u009b31m\u202e'
    terminal.event({ ...message, from: evil, text: evil })
    terminal.event({ event: 'refused', code: 'x', message: evil })
    terminal.notice(evil)
    const written = stdout.raw.slice(before)
    expect(written).not.toMatch(/\u001b\]|\u001b\[2J|[\u0007\u009b\u202e]/)
    terminal.close()
  })

  it('colours names where colours are wanted only', () => {
    const coloured = open({ colours: true })
    coloured.terminal.event(message)
    expect(coloured.stdout.raw).toMatch(/\u001b\[\d+malice:\u001b\[0m hi/)
    coloured.terminal.close()
    const bare = open()
    bare.terminal.event(message)
    expect(bare.stdout.raw).not.toMatch(/\u001b\[\d+m/)
    bare.terminal.close()
  })

  it('survives a resize', async () => {
    const { stdout, terminal, press } = open()
    await press('x'.repeat(10))
    terminal.event(message)
    stdout.resize(8)
    expect(stdout.lines).toEqual(['alice: h', 'i', '> xxxxxx', 'xxxx'])
    expect(stdout.cursor).toEqual([3, 4])
    stdout.resize(20)
    expect(stdout.lines.at(-1)).toEqual('> xxxxxxxxxx')
    terminal.close()
  })

  it('reports Ctrl-C, and leaves the terminal as it was', async () => {
    const { stdin, stdout, terminal, press, interrupts } = open()
    expect(stdin.isRaw).toBe(true)
    await press('\u0003')
    expect(interrupts()).toBe(1)
    terminal.close()
    terminal.close()
    expect([stdin.isRaw, stdin.listenerCount('end'), stdout.listenerCount('resize')]).toEqual([false, 0, 0])
    expect(stdout.raw.endsWith('\u001b[?2004l')).toBe(true)
    terminal.event(message)
    expect(stdout.lines.join('\n')).toContain('alice: hi')
  })
})
