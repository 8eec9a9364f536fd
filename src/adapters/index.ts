/** The signalling backends that `signal:` in the configuration can name. */
import type { AdapterDefinition } from './adapter-definition.js'
import { mqtt } from './mqtt/definition.js'

export const registry: ReadonlyMap<string, AdapterDefinition> = new Map<string, AdapterDefinition>(
  [mqtt].map((definition) => [definition.name, definition]),
)
