/** config/schema.json: what editors check a configuration file against. */
import { toJSONSchema } from 'zod/v4/core'
import { type AdapterSchemas, configSchema, SourceTextKeys } from './schema.js'

/** An adapter of one's own, which `signal` names by its path. */
const ModulePath = { type: 'string', pattern: '[/\\\\]|\\.[cm]?js$' } as const

export function configJsonSchema(adapterSchemas: AdapterSchemas): Readonly<Record<string, unknown>> {
  const schema = toJSONSchema(configSchema(adapterSchemas), {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema, path }) => {
      // The reader takes a single value for a list, and keys that are read as text however they look.
      if (jsonSchema.type === 'array') {
        const { description, default: standard, ...list } = jsonSchema
        if (path.join('.') === 'properties.signal')
          list.items = { anyOf: [list.items as typeof ModulePath, ModulePath] }
        for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key)
        Object.assign(
          jsonSchema,
          description === undefined ? {} : { description },
          standard === undefined ? {} : { default: standard },
          { anyOf: [list, list.items] },
        )
      }
      if (path[0] === 'properties' && path.length === 2 && SourceTextKeys.has(String(path[1]))) {
        jsonSchema.type = ['string', 'number'] as unknown as 'string'
      }
    },
  })
  return { ...schema, title: 'gonet configuration' }
}
