/** The etcd backend as the registry knows it: cheap to import, nothing of the etcd library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { explain } from '../../core/errors.js'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { parseEndpointUrl } from './endpoint-url.js'
import { etcdTraits } from './traits.js'

export interface EtcdOptions {
  /** Members of one cluster, at least one. One is used at a time. */
  readonly endpoints: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
  /** Paths of PEM files. */
  readonly ca?: string | undefined
  readonly cert?: string | undefined
  readonly key?: string | undefined
  /** What every key begins with. */
  readonly prefix: string
  /** Whether whoever may read the keys may read who has which address. */
  readonly readable: boolean
}

const endpointUrl = z.string().check(
  z.check<string>((context) => {
    try {
      parseEndpointUrl(context.value)
    } catch (error) {
      context.issues.push({ code: 'custom', message: explain(error), input: context.value })
    }
  }),
)

const options: $ZodType<EtcdOptions> = z.strictObject({
  endpoints: z._default(
    described(
      z.array(endpointUrl),
      'Members of one etcd cluster, one used at a time: http://host:port or https://host:port.',
    ).check(z.minLength(1, 'at least one endpoint is needed')),
    ['http://127.0.0.1:2379'],
  ),
  username: z.optional(described(z.string(), 'Who we are to etcd.')),
  password: z.optional(described(z.string(), 'The password; better in a file.')),
  passwordFile: z.optional(described(z.string(), 'A file that holds the password on one line.')),
  ca: z.optional(described(z.string(), 'Certificate authorities to trust instead of the usual, a PEM file.')),
  cert: z.optional(described(z.string(), 'Our certificate, a PEM file.')),
  key: z.optional(described(z.string(), "The certificate's private key, a PEM file.")),
  prefix: z._default(
    described(z.string(), 'What every key begins with.').check(
      z.regex(/^[^/\s\0][^\0]{0,127}$/, 'expected 1 to 128 characters without a leading /'),
    ),
    'gonet',
  ),
  readable: z._default(
    described(z.boolean(), "Whether etcd's operator may read who has which address in the room."),
    false,
  ),
})

export const etcd: AdapterDefinition<EtcdOptions> = {
  name: 'etcd',
  description: 'an etcd cluster of your own: push, everything kept, and addresses given out by etcd',
  traits: etcdTraits,
  options,
  create: async (chosen, context) => {
    const { EtcdAdapter } = await import('./adapter.js')
    return new EtcdAdapter(chosen, context)
  },
  allocator: async (chosen, context) => {
    const [{ EtcdAddressAllocator }, { readSettings }] = await Promise.all([
      import('./address-allocator.js'),
      import('./settings.js'),
    ])
    return new EtcdAddressAllocator({ ...chosen, ...context, endpoints: await readSettings(chosen) })
  },
  loopbackOnly: ({ endpoints }) => endpoints.every(isOnLoopback),
}

function isOnLoopback(url: string): boolean {
  try {
    return isLoopbackHost(parseEndpointUrl(url).host)
  } catch {
    return false
  }
}
