import { graphemes, graphemeWidth } from '../terminal/width.js'
import { safeLine } from './safe-text.js'

const Gap = 2

/** Rows with their columns below each other, for a terminal. @param head what the columns are called */
export function toTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(safeLine))
  const widths = head.map((_, column) => Math.max(...cells.map((row) => displayWidth(row[column] ?? ''))))
  const lines = cells.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - displayWidth(cell) + Gap))
      .join('')
      .trimEnd(),
  )
  return lines.map((line) => `${line}\n`).join('')
}

/** A line for each row, with a tab between columns: for pipes. */
export function toTabbedLines(rows: readonly (readonly string[])[]): string {
  return rows.map((row) => `${row.map(safeLine).join('\t')}\n`).join('')
}

function displayWidth(text: string): number {
  return graphemes(text).reduce((width, grapheme) => width + graphemeWidth(grapheme), 0)
}
