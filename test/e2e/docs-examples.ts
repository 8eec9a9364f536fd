/** What stands in a document for its readers to type: commands, programs, configurations. */

export interface Block {
  readonly code: string
  /** The document up to it. */
  readonly before: string
}

/** A chapter, from its heading to the next. */
export function chapter(text: string, title: string): string {
  const start = text.indexOf(`\n## ${title}\n`)
  if (start < 0) throw new Error(`there is no chapter ${title}`)
  const end = text.indexOf('\n## ', start + 1)
  return text.slice(start, end < 0 ? undefined : end)
}

export function fencedBlocks(text: string, language: string): readonly Block[] {
  const blocks = text.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))
  return Array.from(blocks, ({ 1: code = '', index }) => ({ code, before: text.slice(0, index) }))
}

/** Blocks that are indented by four spaces, without these. */
export function indentedBlocks(text: string): readonly Block[] {
  const blocks = text.matchAll(/(?<=\n)(?: {4}.*\n|\n(?= {4}))+/g)
  return Array.from(blocks, ({ 0: code, index }) => ({
    code: code.replace(/^ {4}/gm, ''),
    before: text.slice(0, index),
  }))
}

/** Calls of gonet on lines of their own. */
export function commandLines(text: string): readonly string[] {
  const lines = indentedBlocks(text)
    .map(({ code }) => code.trim().split('\n'))
    // Else it is a zone that is called so.
    .filter((block) => block.every((line) => line.startsWith('gonet ')))
  return [...new Set(lines.flat())]
}

/** Calls in sentences, where a command may be named without what it needs; with a word for what is left open. */
export function commandsInSentences(text: string): readonly string[] {
  const prose = text.replace(/^(?: {4}.*|\|.*)\n/gm, '').replace(/```.*?```/gs, '')
  const calls = Array.from(prose.matchAll(/`(gonet [^`]+)`/g), ([, call]) => call!)
  return [...new Set(calls.map((call) => call.replaceAll('\n', ' ').replace('…', 'ROOM')))]
}
