import * as z from 'zod/mini'

/** An option with the words that the generated schema and its documentation show. */
export function described<Schema extends z.ZodMiniType>(schema: Schema, description: string): Schema {
  return schema.check(z.describe(description))
}
