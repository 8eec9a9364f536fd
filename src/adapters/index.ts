/** The signalling backends that `signal:` in the configuration can name. */
import type { AdapterDefinition } from './adapter-definition.js'
import { dht } from './dht/definition.js'
import { dns } from './dns/definition.js'
import { etcd } from './etcd/definition.js'
import { mdns } from './mdns/definition.js'
import { mqtt } from './mqtt/definition.js'
import { opendht } from './opendht/definition.js'
import { pastebin } from './pastebin/definition.js'

export const registry: ReadonlyMap<string, AdapterDefinition> = new Map<string, AdapterDefinition>(
  [mqtt, dht, dns, etcd, mdns, opendht, pastebin].map((definition) => [definition.name, definition]),
)
