/** One layer of the configuration, read against the schema: its values, and everything wrong with it. */
import { type $ZodType, safeParse } from 'zod/v4/core'
import { type ConfigProblem, type Origin, problemAt } from './config-error.js'
import { issueTexts, typeName } from './issue-text.js'
import { type Located, originWithin, plainValue } from './located.js'
import { LaterKeys, LaterValues, SourceTextKeys } from './schema.js'
import { isList, leafPaths, memberOf, shapeOf } from './schema-shape.js'
import { nearest } from './suggestion.js'

/** The value that a layer gives to one key. */
export interface Setting {
  readonly path: readonly string[]
  readonly value: unknown
  readonly located: Located
}

/** How a layer writes a key, for suggestions: `transport.port`, or an environment variable. */
export type WriteKey = (path: readonly string[]) => string

/** Reads a layer's sections. A section without content counts as absent. */
export function readLayer(
  root: $ZodType,
  located: Located,
  problems: ConfigProblem[],
  writeKey: WriteKey = (path) => path.join('.'),
): Setting[] {
  const settings: Setting[] = []
  readSection(root, located, [])
  return settings

  function readSection(schema: $ZodType, at: Located, path: readonly string[]): void {
    if (at.kind === 'scalar' && at.value === null) return
    if (at.kind !== 'section') {
      const found = typeName(plainValue(at))
      problems.push(problemAt(at.origin, path.join('.'), `expected a section of keys, found ${found}`))
      return
    }
    for (const { key, origin, value } of at.entries) {
      const below = [...path, key]
      const member = memberOf(schema, key)
      if (member === undefined) problems.push(unknownKey(root, schema, below, origin, writeKey))
      else if (shapeOf(member) !== undefined) readSection(member, value, below)
      else readValue(member, value, below)
    }
  }

  function readValue(schema: $ZodType, at: Located, path: readonly string[]): void {
    const key = path.join('.')
    const plain = SourceTextKeys.has(key) && at.kind === 'scalar' ? at.text : plainValue(at)
    const wrapped = isList(schema) && !Array.isArray(plain) && plain !== null
    const value: unknown = wrapped ? [plain] : plain
    const result = safeParse(schema, value)
    if (result.success) {
      settings.push({ path, value, located: at })
      return
    }
    for (const issue of result.error.issues) {
      for (const text of issueTexts(issue, value, LaterValues.get(key) ?? [])) {
        const inside = wrapped ? text.path.slice(1) : text.path
        const origin = originWithin(at, inside)
        problems.push(problemAt(origin, writePath(key, inside), text.message, text.suggestion))
      }
    }
  }
}

/** `adapters.mqtt.url[1]`: where a value inside another is. */
export function writePath(key: string, inside: readonly PropertyKey[]): string {
  return inside.reduce<string>(
    (text, step) => text + (typeof step === 'number' ? `[${step}]` : `.${String(step)}`),
    key,
  )
}

function unknownKey(
  root: $ZodType,
  schema: $ZodType,
  path: readonly string[],
  origin: Origin,
  writeKey: WriteKey,
): ConfigProblem {
  const key = path.join('.')
  if (LaterKeys.has(key)) return problemAt(origin, key, 'this version of gonet does not have this key yet')
  const last = path.at(-1) ?? ''
  const near = nearest(last, Object.keys(shapeOf(schema) ?? {}))
  const elsewhere =
    near === undefined ? leafPaths(root).find((known) => known.at(-1) === last) : [...path.slice(0, -1), near]
  const suggestion = elsewhere && `did you mean '${writeKey(elsewhere)}'?`
  return problemAt(origin, key, 'unknown key', suggestion)
}
