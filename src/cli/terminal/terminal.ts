/** A chat on a terminal: messages scroll above the line that is being typed. */
import { emitKeypressEvents, type Key } from 'node:readline'
import type { ReadStream, WriteStream } from 'node:tty'
import type { RoomEvent } from '../../room/events.js'
import type { InputLine } from '../input-lines.js'
import { drained, type Output } from '../output/output.js'
import { safeLine, safeLines } from '../output/safe-text.js'
import { lateSentence, sentences, type Verbosity } from '../output/sentences.js'
import { LineEditor } from './line-editor.js'
import { Screen } from './screen.js'

const MessageBytesMax = 4096
const BracketedPasteOn = '\u001b[?2004h'
const BracketedPasteOff = '\u001b[?2004l'
/** Colours that can be read on black and on white. */
const NameColours: readonly number[] = [31, 32, 33, 34, 35, 36, 91, 92, 94, 95, 96]
const Bold = 1
const Dim = 2
const Red = 31

export interface TerminalOptions {
  readonly stdin: Pick<ReadStream, 'isTTY' | 'setRawMode' | 'on' | 'off' | 'pause' | 'resume'>
  readonly stdout: Pick<
    WriteStream,
    'columns' | 'rows' | 'write' | 'on' | 'off' | 'writableNeedDrain' | 'destroyed'
  >
  readonly verbosity: Verbosity
  readonly colours: boolean
  /** What is going on until the room is up. */
  readonly status: string
  /** Called when the user wants to leave at once. */
  readonly onInterrupt: () => void
}

interface SecretQuestion {
  readonly editor: LineEditor
  readonly done: (text: string | undefined) => void
}

export class Terminal implements Output {
  readonly #options: TerminalOptions
  readonly #editor = new LineEditor()
  readonly #screen: Screen
  readonly #submitted: string[] = []
  #wake: (() => void) | undefined
  #status: string
  #isEnded = false
  #isClosed = false
  #redraw: NodeJS.Immediate | undefined
  /** A question whose answer is typed unseen. */
  #secret: SecretQuestion | undefined

  /** Takes the terminal over until `close`. */
  constructor(options: TerminalOptions) {
    this.#options = options
    const { stdin, stdout, colours } = options
    this.#status = safeLine(options.status)
    this.#screen = new Screen({
      write: (text) => stdout.write(text),
      size: () => ({ columns: stdout.columns, rows: stdout.rows }),
      colours,
    })
    emitKeypressEvents(stdin as ReadStream)
    stdin.setRawMode(true)
    stdin.on('keypress', this.#onKey)
    stdin.on('end', this.#onEnd)
    stdin.on('error', this.#onEnd)
    stdin.resume()
    stdout.on('resize', this.#onResize)
    stdout.write(BracketedPasteOn)
    this.#draw()
  }

  /** What is typed; ends at Ctrl-D on an empty line, or with the terminal. */
  get lines(): AsyncIterable<InputLine> {
    return this.#lines()
  }

  event(event: RoomEvent): void {
    if (event.event === 'room' || event.event === 'joined' || event.event === 'left') this.#status = ''
    if (event.event === 'message') {
      const late = event.late === true ? [this.#paint(`* ${lateSentence(event.from)}`, Dim)] : []
      const colour = NameColours[hash(event.from + event.address) % NameColours.length] ?? Bold
      this.#print([...late, ...this.#message(safeLine(event.from), colour, event.text)])
    } else {
      const colour = event.event === 'error' || event.event === 'refused' ? Red : Dim
      const said = sentences(event, this.#options.verbosity)
      this.#print(said.map((sentence) => this.#paint(`* ${sentence}`, colour)))
    }
  }

  /**
   * Asks for something that nobody is to see.
   * @returns undefined where the user left instead
   */
  askSecret(question: string): Promise<string | undefined> {
    const before = this.#status
    this.#status = safeLine(question)
    return new Promise((resolve) => {
      const done = (text: string | undefined): void => {
        this.#secret = undefined
        this.#status = before
        this.#draw()
        resolve(text)
      }
      this.#secret = { editor: new LineEditor(), done }
      this.#draw()
    })
  }

  notice(text: string): void {
    this.#print([this.#paint(safeLine(text), Red)])
  }

  drained(signal: AbortSignal): Promise<void> {
    return drained(this.#options.stdout, signal)
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { stdin, stdout } = this.#options
    clearImmediate(this.#redraw)
    stdin.off('keypress', this.#onKey)
    stdin.off('end', this.#onEnd)
    stdout.off('resize', this.#onResize)
    stdin.pause()
    // It emits an error where the terminal is gone.
    stdin.setRawMode(false)
    stdin.off('error', this.#onEnd)
    this.#screen.close()
    stdout.write(BracketedPasteOff)
    this.#onEnd()
  }

  async *#lines(): AsyncGenerator<InputLine, void, undefined> {
    while (true) {
      for (let text = this.#submitted.shift(); text !== undefined; text = this.#submitted.shift())
        yield { text }
      if (this.#isEnded) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  readonly #onKey = (typed: string | undefined, key: Key): void => {
    if (this.#secret === undefined) this.#onChatKey(typed, key)
    else this.#onSecretKey(this.#secret, typed, key)
  }

  #onSecretKey({ editor, done }: SecretQuestion, typed: string | undefined, key: Key): void {
    const action = editor.press(typed, key)
    if (action === 'submit') done(editor.text)
    else if (action === 'interrupt' || action === 'end') {
      done(undefined)
      if (action === 'interrupt') this.#options.onInterrupt()
    }
  }

  #onChatKey(typed: string | undefined, key: Key): void {
    switch (this.#editor.press(typed, key)) {
      case 'interrupt':
        this.#options.onInterrupt()
        break
      case 'end':
        this.#onEnd()
        break
      case 'submit':
        this.#submit()
        break
      case 'redraw':
        this.#screen.clear(this.#region())
        break
      case 'nothing':
        // One drawing for all the keys of a paste.
        this.#redraw ??= setImmediate(() => this.#draw())
    }
  }

  readonly #onEnd = (): void => {
    this.#isEnded = true
    this.#secret?.done(undefined)
    this.#wake?.()
  }

  readonly #onResize = (): void => this.#draw()

  #submit(): void {
    if (this.#editor.text.trim() === '') {
      this.#draw()
      return
    }
    const bytes = Buffer.byteLength(this.#editor.text)
    if (bytes > MessageBytesMax) {
      this.notice(`gonet: a message has ${MessageBytesMax} bytes at most; this one has ${bytes}`)
      return
    }
    const text = this.#editor.take()
    this.#submitted.push(text)
    this.#wake?.()
    this.#print(this.#message('you', Bold, text))
  }

  #message(from: string, colour: number, text: string): string[] {
    const [first = '', ...further] = safeLines(text)
    return [`${this.#paint(`${from}:`, colour)} ${first}`, ...further.map((line) => `  ${line}`)]
  }

  #paint(text: string, colour: number): string {
    return this.#options.colours ? `\u001b[${colour}m${text}\u001b[0m` : text
  }

  #print(lines: readonly string[]): void {
    if (this.#isClosed) {
      for (const line of lines) this.#options.stdout.write(`${line}\n`)
    } else {
      this.#screen.print(lines, this.#region())
    }
  }

  #draw(): void {
    this.#redraw = undefined
    if (!this.#isClosed) this.#screen.draw(this.#region())
  }

  #region(): { status: string; characters: readonly string[]; cursor: number } {
    const status = this.#status
    if (this.#secret !== undefined) return { status, characters: [], cursor: 0 }
    return { status, characters: this.#editor.characters, cursor: this.#editor.cursor }
  }
}

/** The same for the same name, so that it keeps its colour. */
function hash(text: string): number {
  let sum = 7
  for (const character of text) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 65_521
  return sum
}
