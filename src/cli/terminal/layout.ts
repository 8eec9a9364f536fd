/** Where the characters of a text stand on a terminal of some width. */
import { graphemeWidth } from './width.js'

export interface Layout {
  readonly rows: readonly { readonly text: string; readonly width: number }[]
  /** Of the cursor, from 0. */
  readonly row: number
  readonly column: number
}

/**
 * Breaks a text into rows, wide characters whole; further rows begin below the prompt's first column.
 * @param characters graphemes; a newline begins a row
 * @param cursor an index into them; their number for the end
 * @param columns of the terminal, at least 2
 */
export function layOut(
  prompt: string,
  characters: readonly string[],
  cursor: number,
  columns: number,
): Layout {
  const rows: { text: string; width: number }[] = []
  let at = { text: prompt, width: prompt.length }
  rows.push(at)
  const begin = (): void => {
    at = { text: '', width: 0 }
    rows.push(at)
  }
  let position = { row: 0, column: at.width }
  for (const [index, character] of characters.entries()) {
    const width = graphemeWidth(character)
    if (character !== '\n' && at.width + width > columns) begin()
    if (index === cursor) position = { row: rows.length - 1, column: at.width }
    if (character === '\n') begin()
    else {
      at.text += character
      at.width += width
    }
  }
  if (cursor >= characters.length) {
    // The cursor has no place behind a full row.
    if (at.width >= columns) begin()
    position = { row: rows.length - 1, column: at.width }
  }
  return { rows, row: position.row, column: Math.min(position.column, columns - 1) }
}

/**
 * The part of a layout that fits a terminal of few rows: those that end with the cursor's, or the first.
 * @param rowsMax at least 1
 */
export function clip(layout: Layout, rowsMax: number): Layout {
  const from = Math.max(0, layout.row - rowsMax + 1)
  return { rows: layout.rows.slice(from, from + rowsMax), row: layout.row - from, column: layout.column }
}
