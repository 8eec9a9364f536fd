/** The opendht backend as the registry knows it: cheap to import, nothing of the HTTP library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { explain } from '../../core/errors.js'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { parseHttpUrl } from '../shared/http-url.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { opendhtTraits } from './traits.js'

export interface OpendhtOptions {
  /** The REST proxy of an OpenDHT node. */
  readonly proxy: string
  /** Path of a PEM file. */
  readonly ca?: string | undefined
}

const options: $ZodType<OpendhtOptions> = z.strictObject({
  proxy: described(
    z.string('needed: the URL of an OpenDHT node with a proxy (dhtnode --proxyserver)').check(
      z.check<string>((context) => {
        try {
          parseHttpUrl(context.value, 'adapters.opendht.proxy', 'opendht-proxy-wrong')
        } catch (error) {
          context.issues.push({ code: 'custom', message: explain(error), input: context.value })
        }
      }),
    ),
    'The REST proxy of an OpenDHT node: http://host:port or https://host:port.',
  ),
  ca: z.optional(described(z.string(), 'Certificate authorities to trust instead of the usual, a PEM file.')),
})

export const opendht: AdapterDefinition<OpendhtOptions> = {
  name: 'opendht',
  description: 'an OpenDHT network, by way of the REST proxy of one of its nodes',
  traits: opendhtTraits,
  options,
  create: async (chosen, context) => {
    const { OpendhtAdapter } = await import('./adapter.js')
    return new OpendhtAdapter(chosen, context)
  },
  loopbackOnly: ({ proxy }) => {
    try {
      return isLoopbackHost(parseHttpUrl(proxy, 'adapters.opendht.proxy', 'opendht-proxy-wrong').host)
    } catch {
      return false
    }
  },
}
