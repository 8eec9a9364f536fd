/** A zod issue in words. zod/mini brings no messages of its own, and zod's speak of JavaScript's types. */
import type { $ZodIssue } from 'zod/v4/core'
import { nearest } from './suggestion.js'

/** What zod/mini says where nobody said anything. */
const NoMessage = 'Invalid input'

export interface IssueText {
  /** Below the value that was checked. */
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly suggestion?: string
}

/**
 * @param value what was checked, which the messages describe by type; of a text, they repeat nothing, since
 *   it may be a secret, unless it had to be one of a few words
 * @param later words that a later version takes here
 */
export function issueTexts(issue: $ZodIssue, value: unknown, later: readonly string[]): IssueText[] {
  const found = valueAt(value, issue.path)
  const text = (message: string, suggestion?: string): IssueText[] => [
    { path: issue.path, message, ...(suggestion === undefined ? {} : { suggestion }) },
  ]
  switch (issue.code) {
    case 'invalid_type':
      return text(...expectedType(issue.expected, found))
    case 'invalid_value':
      return text(...expectedWord(issue.values.map(String), found, later))
    case 'invalid_union':
      return unionTexts(issue.errors, found, later).map((one) => ({
        ...one,
        path: [...issue.path, ...one.path],
      }))
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }))
    case 'too_small':
      if (issue.message !== NoMessage) return text(issue.message)
      return text(`expected ${measure(issue.origin)} of at least ${String(issue.minimum)}`)
    case 'too_big':
      if (issue.message !== NoMessage) return text(issue.message)
      return text(`expected ${measure(issue.origin)} of at most ${String(issue.maximum)}`)
    default:
      return text(issue.message === NoMessage ? 'not a valid value' : issue.message)
  }
}

/** `a text`, `a whole number`, `a list`… */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return 'a text'
    case 'number':
    case 'bigint':
      return 'a number'
    case 'boolean':
      return 'true or false'
    default:
      return 'a section'
  }
}

function expectedType(expected: string, found: unknown): [string, string | undefined] {
  const names: Readonly<Record<string, string>> = {
    string: 'a text',
    number: 'a number',
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    object: 'a section of keys',
    record: 'a section of keys',
  }
  const foundName = typeof found === 'number' && expected === 'int' ? 'a fraction' : typeName(found)
  const message = `expected ${names[expected] ?? expected}, found ${foundName}`
  const isPlain = typeof found === 'number' || typeof found === 'boolean'
  if (expected === 'string' && isPlain) return [message, 'put it in quotes to make it a text']
  if (typeof found !== 'string' || found === '') return [message, undefined]
  const unquotable =
    expected === 'boolean' ? /^(true|false)$/.test(found) : expected !== 'string' && /^[\d.]+$/.test(found)
  return unquotable ? [message, 'leave the quotes out'] : [message, undefined]
}

function expectedWord(
  words: readonly string[],
  found: unknown,
  later: readonly string[],
): [string, string | undefined] {
  if (typeof found === 'string' && later.includes(found)) {
    return [`this version of gonet does not have '${found}' yet`, `it has ${alternatives(words)}`]
  }
  const shown =
    typeof found === 'string'
      ? `'${found.length > 40 ? `${found.slice(0, 37)}...` : found}'`
      : typeName(found)
  const near = typeof found === 'string' ? nearest(found, words) : undefined
  return [
    `expected ${alternatives(words)}, found ${shown}`,
    near === undefined ? undefined : `did you mean '${near}'?`,
  ]
}

/** The branch that the value was nearest to: one that found fault below the top; else what each wanted. */
function unionTexts(
  branches: readonly (readonly $ZodIssue[])[],
  found: unknown,
  later: readonly string[],
): IssueText[] {
  const deep = branches.find((issues) =>
    issues.every(({ path, code }) => path.length > 0 || !['invalid_type', 'invalid_value'].includes(code)),
  )
  if (deep !== undefined) return deep.flatMap((issue) => issueTexts(issue, found, later))
  const words = branches.flat().flatMap((issue) => {
    if (issue.code === 'invalid_value') return issue.values.map(String)
    if (issue.code === 'invalid_type') {
      return issue.expected === 'boolean' ? ['true', 'false'] : [expectedType(issue.expected, found)[0]]
    }
    return []
  })
  const [message, suggestion] = expectedWord(words, found, later)
  return [{ path: [], message, ...(suggestion === undefined ? {} : { suggestion }) }]
}

function alternatives(words: readonly string[]): string {
  return words.length < 2 ? words.join() : `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`
}

function measure(origin: string): string {
  if (origin === 'string') return 'a text with a length'
  return origin === 'array' ? 'a list with a length' : 'a number'
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (at, step) =>
      typeof at === 'object' && at !== null ? (at as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  )
}
