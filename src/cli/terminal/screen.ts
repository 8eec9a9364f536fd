/** Lines that scroll, above a region that is redrawn: what is being typed, and what is going on. */
import { clip, type Layout, layOut } from './layout.js'
import { graphemes } from './width.js'

export interface ScreenSize {
  readonly columns: number
  readonly rows: number
}

/** What is below the scrolling lines. */
export interface Region {
  /** A harmless line; empty for none. */
  readonly status: string
  readonly characters: readonly string[]
  readonly cursor: number
}

const Prompt = '> '
const Dim = '\u001b[2m'
const Reset = '\u001b[0m'

export class Screen {
  readonly #write: (text: string) => void
  readonly #size: () => ScreenSize
  readonly #colours: boolean
  #drawn: Layout | undefined

  constructor(options: {
    readonly write: (text: string) => void
    readonly size: () => ScreenSize
    readonly colours: boolean
  }) {
    this.#write = options.write
    this.#size = options.size
    this.#colours = options.colours
  }

  /** Adds lines above the region. */
  print(lines: readonly string[], region: Region): void {
    this.#write(this.#erase() + lines.map((line) => `${line}\r\n`).join('') + this.#draw(region))
  }

  draw(region: Region): void {
    this.#write(this.#erase() + this.#draw(region))
  }

  clear(region: Region): void {
    this.#drawn = undefined
    this.#write(`\u001b[H\u001b[2J${this.#draw(region)}`)
  }

  /** Takes the region away. */
  close(): void {
    this.#write(this.#erase())
  }

  /** From wherever the cursor was left: also after a resize, which wraps rows that have become too long. */
  #erase(): string {
    if (this.#drawn === undefined) return ''
    const { rows, row, column } = this.#drawn
    const { columns } = this.#bounds()
    const above = rows
      .slice(0, row)
      .reduce((sum, { width }) => sum + Math.max(1, Math.ceil(width / columns)), 0)
    const up = above + Math.floor(column / columns)
    this.#drawn = undefined
    return `${up > 0 ? `\u001b[${up}A` : ''}\r\u001b[J`
  }

  #draw({ status, characters, cursor }: Region): string {
    const { columns, rows: height } = this.#bounds()
    const statusRows = status === '' ? [] : layOut('', graphemes(status), 0, columns - 1).rows.slice(0, 1)
    const input = clip(
      layOut(Prompt, characters, cursor, columns),
      Math.max(1, height - 1 - statusRows.length),
    )
    const layout = {
      rows: [...statusRows, ...input.rows],
      row: input.row + statusRows.length,
      column: input.column,
    }
    this.#drawn = layout
    const texts = layout.rows.map(({ text }, index) =>
      this.#colours && index < statusRows.length ? `${Dim}${text}${Reset}` : text,
    )
    const up = layout.rows.length - 1 - layout.row
    const back = `\r${layout.column > 0 ? `\u001b[${layout.column}C` : ''}`
    return `${texts.join('\r\n')}${up > 0 ? `\u001b[${up}A` : ''}${back}`
  }

  #bounds(): ScreenSize {
    const { columns, rows } = this.#size()
    return { columns: Math.max(columns, 4), rows: Math.max(rows, 2) }
  }
}
