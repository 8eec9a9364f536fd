import { registry } from '../adapters/index.js'
import type { AdapterSchemas } from './config/schema.js'

/** The options of every backend that there is. */
export const adapterSchemas: AdapterSchemas = new Map(
  Array.from(registry, ([name, definition]) => [name, definition.options]),
)
