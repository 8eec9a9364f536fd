/** What a zod schema says about the keys below it: enough to read layers, and for words in messages. */
import type { $ZodType, $ZodTypes } from 'zod/v4/core'

/** The schemas of an object's members, or undefined where the schema is not an object's. */
export function shapeOf(schema: $ZodType): Readonly<Record<string, $ZodType>> | undefined {
  const { def } = inner(schema)._zod
  return def.type === 'object' ? def.shape : undefined
}

/** Whether a key takes a list; it then takes a single value too. */
export function isList(schema: $ZodType): boolean {
  return inner(schema)._zod.def.type === 'array'
}

/** The schema of one member, or undefined for an unknown key. */
export function memberOf(schema: $ZodType, key: string): $ZodType | undefined {
  const shape = shapeOf(schema)
  return shape !== undefined && Object.hasOwn(shape, key) ? shape[key] : undefined
}

/** Every path of keys that takes a value, in the schema's order. */
export function leafPaths(schema: $ZodType, path: readonly string[] = []): (readonly string[])[] {
  const shape = shapeOf(schema)
  if (shape === undefined) return [path]
  return Object.entries(shape).flatMap(([key, member]) => leafPaths(member, [...path, key]))
}

/** Whether a value is a schema of Zod 4 for an object, whichever copy of Zod made it. */
export function isOptionSchema(value: unknown): value is $ZodType {
  const isSchema = typeof value === 'object' && value !== null && '_zod' in value
  return isSchema && shapeOf(value as $ZodType) !== undefined
}

function inner(schema: $ZodType): $ZodTypes {
  const known = schema as $ZodTypes
  const { def } = known._zod
  switch (def.type) {
    case 'default':
    case 'prefault':
    case 'optional':
    case 'nonoptional':
    case 'nullable':
    case 'readonly':
    case 'catch':
      return inner(def.innerType)
    case 'pipe':
      return inner(def.in)
    default:
      return known
  }
}
