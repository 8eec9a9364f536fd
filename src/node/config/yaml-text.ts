/**
 * YAML text as located values. The general YAML parser recurses, and a few kilobytes of nested brackets can
 * make it end the whole process; so the depth is measured first, on its token tree, which it builds without
 * recursion.
 */
import type { CST, Document, LineCounter, Node } from 'yaml'
import { type ConfigProblem, type Origin, problemAt } from './config-error.js'
import type { Located, LocatedEntry } from './located.js'

const TextMax = 1 << 20
const DepthMax = 32
/** Aliases are resolved by copying: this bounds what a few lines can grow to. */
const NodesMax = 10_000

type Yaml = typeof import('yaml')

/**
 * @param origin of the whole text; where it is a file, every part gets its line and column
 * @param path the key that the text is the value of, for problems
 * @returns the value, or undefined where the text is not YAML or is empty; `problems` gets the reasons
 */
export async function readYaml(
  text: string,
  origin: Origin,
  path: string,
  problems: ConfigProblem[],
): Promise<Located | undefined> {
  if (text.length > TextMax) {
    problems.push(problemAt(origin, path, `longer than ${TextMax} characters`))
    return undefined
  }
  if (origin.layer !== 'file' && isPlainString(text)) return { kind: 'scalar', origin, value: text, text }
  const yaml = await import('yaml')
  if (depthExceeds(new yaml.Parser().parse(text), DepthMax)) {
    problems.push(problemAt(origin, path, `nested deeper than ${DepthMax} levels`))
    return undefined
  }
  const lines = new yaml.LineCounter()
  const document = yaml.parseDocument(text, {
    version: '1.2',
    prettyErrors: false,
    lineCounter: lines,
  })
  const locate = (offset: number): Origin => originAt(origin, lines, offset)
  for (const error of [...document.errors, ...document.warnings]) {
    problems.push(problemAt(locate(error.pos[0]), path, describe(error, text)))
  }
  // A key given twice is one problem among others; after any other error the rest is guesswork.
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) return undefined
  if (document.contents === null) return undefined
  try {
    return new Conversion(yaml, document, locate).located(document.contents, DepthMax)
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error
    problems.push(problemAt(locate(error.offset), path, error.message))
    return undefined
  }
}

/**
 * Whether YAML takes a text for the string that it is: a word or a URL, such as most of `--set` is. Loading the
 * library takes longer than all else that is done with such a text.
 */
function isPlainString(text: string): boolean {
  // What begins with a letter is no number; a colon inside a word is no key.
  return /^[A-Za-z](?:[\w./@+-]|:(?=[\w./@+-]))*$/.test(text) && !/^(?:true|false|null)$/i.test(text)
}

class TooMuch extends Error {
  readonly offset: number

  constructor(message: string, offset: number) {
    super(message)
    this.offset = offset
  }
}

class Conversion {
  readonly #yaml: Yaml
  readonly #document: Document
  readonly #locate: (offset: number) => Origin
  #nodes = 0

  constructor(yaml: Yaml, document: Document, locate: (offset: number) => Origin) {
    this.#yaml = yaml
    this.#document = document
    this.#locate = locate
  }

  located(node: unknown, depthLeft: number): Located {
    const { isAlias, isMap, isSeq, isScalar, isNode } = this.#yaml
    const offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
    if (depthLeft === 0 || ++this.#nodes > NodesMax) {
      throw new TooMuch('aliases make this larger than any configuration', offset)
    }
    const origin = this.#locate(offset)
    if (isAlias(node)) {
      const target: Node | undefined = node.resolve(this.#document)
      if (target === undefined) throw new TooMuch('an alias of nothing', offset)
      return this.located(target, depthLeft - 1)
    }
    if (isMap(node)) {
      const entries = node.items.map(({ key, value }): LocatedEntry => {
        const at = isNode(key) ? this.#locate(key.range?.[0] ?? offset) : origin
        const text = isScalar(key) ? (key.source ?? String(key.value)) : String(key)
        if (value !== null) return { key: text, origin: at, value: this.located(value, depthLeft - 1) }
        return { key: text, origin: at, value: { kind: 'scalar', origin: at, value: null, text: '' } }
      })
      return { kind: 'section', origin, entries }
    }
    if (isSeq(node)) {
      return { kind: 'list', origin, items: node.items.map((item) => this.located(item, depthLeft - 1)) }
    }
    const value: unknown = isScalar(node) ? node.value : null
    return { kind: 'scalar', origin, value, text: isScalar(node) ? (node.source ?? '') : '' }
  }
}

function originAt(origin: Origin, lines: LineCounter, offset: number): Origin {
  if (origin.layer !== 'file') return origin
  const { line, col } = lines.linePos(offset)
  return { ...origin, line: Math.max(line, 1), column: Math.max(col, 1) }
}

function describe(
  error: { readonly code: string; readonly message: string; readonly pos: [number, number] },
  text: string,
): string {
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^["']?([^\s:"']*)/u.exec(text.slice(error.pos[0]))?.[1] ?? ''
    return `the key '${key}' is given twice`
  }
  return `not valid YAML: ${error.message}`
}

function depthExceeds(tokens: Iterable<CST.Token>, limit: number): boolean {
  const open: { token: CST.Token; depth: number }[] = []
  for (const token of tokens) {
    open.push({ token, depth: 0 })
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (at.depth > limit) return true
      for (const child of childrenOf(at.token)) open.push({ token: child, depth: at.depth + 1 })
    }
  }
  return false
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value]
  if (!('items' in token)) return []
  return token.items.flatMap((item) => [item.key, item.value]).filter((child) => child != null)
}
