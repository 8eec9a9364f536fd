/** The line that is being typed: its text, its cursor, its history. It draws nothing. */
import type { Key } from 'node:readline'
import { graphemes } from './width.js'

const HistoryMax = 500

/** What a key asks of the terminal. */
export type EditorAction = 'submit' | 'interrupt' | 'end' | 'redraw' | 'nothing'

export class LineEditor {
  #characters: string[] = []
  #cursor = 0
  readonly #history: string[] = []
  /** The place in history; history's length is the line itself. */
  #at = 0
  /** The line itself, while history is looked at. */
  #draft = ''
  #isPasting = false

  get text(): string {
    return this.#characters.join('')
  }

  /** The graphemes of the text. */
  get characters(): readonly string[] {
    return this.#characters
  }

  /** The index of the grapheme that the cursor stands on; their number where it is at the end. */
  get cursor(): number {
    return this.#cursor
  }

  /** Takes the line and begins an empty one. */
  take(): string {
    const { text } = this
    if (text !== '' && this.#history.at(-1) !== text) this.#history.push(text)
    if (this.#history.length > HistoryMax) this.#history.shift()
    this.#at = this.#history.length
    this.#replace('')
    return text
  }

  /**
   * @param typed the characters of a key that types some
   * @param key as node:readline reports it
   */
  press(typed: string | undefined, key: Key): EditorAction {
    if (key.name === 'paste-start' || key.name === 'paste-end') {
      this.#isPasting = key.name === 'paste-start'
      return 'nothing'
    }
    if (this.#isPasting) {
      const isReturn = key.name === 'return' || key.name === 'enter'
      this.#insert(isReturn ? '\n' : (typed ?? key.sequence ?? ''))
      return 'nothing'
    }
    if (key.ctrl === true) return this.#pressControl(key)
    if (key.meta === true) return this.#pressMeta(key)
    return this.#pressPlain(typed, key)
  }

  #pressControl({ name }: Key): EditorAction {
    switch (name) {
      case 'c':
        return 'interrupt'
      case 'd':
        if (this.#characters.length === 0) return 'end'
        this.#remove(this.#cursor, this.#cursor + 1)
        break
      case 'l':
        return 'redraw'
      case 'a':
        this.#cursor = 0
        break
      case 'e':
        this.#cursor = this.#characters.length
        break
      case 'b':
        this.#move(-1)
        break
      case 'f':
        this.#move(1)
        break
      case 'h':
        this.#remove(this.#cursor - 1, this.#cursor)
        break
      case 'u':
        this.#remove(0, this.#cursor)
        break
      case 'k':
        this.#remove(this.#cursor, this.#characters.length)
        break
      case 'w':
        this.#remove(this.#wordStart(), this.#cursor)
        break
      case 'p':
        this.#recall(-1)
        break
      case 'n':
        this.#recall(1)
        break
      case 'left':
        this.#cursor = this.#wordStart()
        break
      case 'right':
        this.#cursor = this.#wordEnd()
    }
    return 'nothing'
  }

  #pressMeta({ name }: Key): EditorAction {
    if (name === 'b') this.#cursor = this.#wordStart()
    else if (name === 'f') this.#cursor = this.#wordEnd()
    else if (name === 'd') this.#remove(this.#cursor, this.#wordEnd())
    else if (name === 'backspace') this.#remove(this.#wordStart(), this.#cursor)
    else if (name === 'return' || name === 'enter') this.#insert('\n')
    return 'nothing'
  }

  #pressPlain(typed: string | undefined, { name }: Key): EditorAction {
    switch (name) {
      case 'return':
      case 'enter':
        return 'submit'
      case 'backspace':
        this.#remove(this.#cursor - 1, this.#cursor)
        break
      case 'delete':
        this.#remove(this.#cursor, this.#cursor + 1)
        break
      case 'left':
        this.#move(-1)
        break
      case 'right':
        this.#move(1)
        break
      case 'home':
        this.#cursor = 0
        break
      case 'end':
        this.#cursor = this.#characters.length
        break
      case 'up':
        this.#recall(-1)
        break
      case 'down':
        this.#recall(1)
        break
      default:
        this.#insert(typed ?? '')
    }
    return 'nothing'
  }

  /** Without control characters, but for the newlines of a paste. */
  #insert(text: string): void {
    const clean = text.replaceAll('\t', ' ').replace(/(?!\n)\p{Cc}/gu, '')
    if (clean === '') return
    // What is typed may join its neighbours: an accent, a part of an emoji.
    const start = Math.max(0, this.#cursor - 1)
    const before = this.#characters.slice(start, this.#cursor).join('') + clean
    const joined = graphemes(before + (this.#characters[this.#cursor] ?? ''))
    this.#characters = [
      ...this.#characters.slice(0, start),
      ...joined,
      ...this.#characters.slice(this.#cursor + 1),
    ]
    this.#cursor = start + Math.min(graphemes(before).length, joined.length)
  }

  #remove(from: number, to: number): void {
    const start = Math.max(0, from)
    this.#characters.splice(start, Math.max(0, to - start))
    this.#cursor = start
  }

  #move(by: number): void {
    this.#cursor = Math.min(Math.max(0, this.#cursor + by), this.#characters.length)
  }

  #wordStart(): number {
    let at = this.#cursor
    while (at > 0 && isSpace(this.#characters[at - 1])) at -= 1
    while (at > 0 && !isSpace(this.#characters[at - 1])) at -= 1
    return at
  }

  #wordEnd(): number {
    let at = this.#cursor
    const end = this.#characters.length
    while (at < end && isSpace(this.#characters[at])) at += 1
    while (at < end && !isSpace(this.#characters[at])) at += 1
    return at
  }

  #recall(by: number): void {
    const to = this.#at + by
    if (to < 0 || to > this.#history.length) return
    if (this.#at === this.#history.length) this.#draft = this.text
    this.#at = to
    this.#replace(this.#history[to] ?? this.#draft)
  }

  #replace(text: string): void {
    this.#characters = graphemes(text)
    this.#cursor = this.#characters.length
  }
}

function isSpace(character: string | undefined): boolean {
  return character !== undefined && /^\s+$/u.test(character)
}
