/** The dht backend as the registry knows it: cheap to import, nothing of the DHT library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { parseBootstrapNode } from './bootstrap-node.js'
import { dhtTraits } from './traits.js'

export interface DhtOptions {
  /** Nodes of the DHT that are asked first, `host:port`, at least one. */
  readonly bootstrap: readonly string[]
  /** Our UDP port; 0 lets the system choose. */
  readonly port: number
}

/** The public network of Hyperswarm: its well-known nodes. */
const DefaultBootstrap: readonly string[] = [
  'node1.hyperdht.org:49737',
  'node2.hyperdht.org:49737',
  'node3.hyperdht.org:49737',
]

const bootstrapNode = z
  .string()
  .check(
    z.refine(
      (text) => parseBootstrapNode(text) !== undefined,
      'expected host:port, a name or an IPv4 address and a port',
    ),
  )

const options: $ZodType<DhtOptions> = z.strictObject({
  bootstrap: z._default(
    described(z.array(bootstrapNode), 'Nodes of the DHT to ask first: host:port, IPv4.').check(
      z.minLength(1, 'at least one node is needed'),
    ),
    [...DefaultBootstrap],
  ),
  port: z._default(
    described(z.int().check(z.minimum(0), z.maximum(65_535)), 'Our UDP port in the DHT; 0: any.'),
    0,
  ),
})

export const dht: AdapterDefinition<DhtOptions> = {
  name: 'dht',
  description: 'a Hyperswarm DHT, the public one or your own: direct connections, no server between',
  traits: dhtTraits,
  options,
  create: async (chosen, context) => {
    const { DhtAdapter } = await import('./adapter.js')
    return new DhtAdapter(chosen, context)
  },
  loopbackOnly: ({ bootstrap }) =>
    bootstrap.every((text) => isLoopbackHost(parseBootstrapNode(text)?.host ?? '')),
}
