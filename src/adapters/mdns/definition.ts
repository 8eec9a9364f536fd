/** The mdns backend as the registry knows it: cheap to import, nothing of the mDNS library with it. */
import { isIP } from 'node:net'
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { mdnsTraits } from './traits.js'

export interface MdnsOptions {
  /** An IP address of the one interface to use; undefined for all that lead to a local network. */
  readonly interface?: string | undefined
}

const options: $ZodType<MdnsOptions> = z.strictObject({
  interface: z.optional(
    described(
      z.string(),
      'The network interface to use, by one of its IP addresses; by default every local network.',
    ).check(z.refine((text) => isIP(text) !== 0, 'expected an IP address of this machine')),
  ),
})

export const mdns: AdapterDefinition<MdnsOptions> = {
  name: 'mdns',
  description: 'Multicast on the local network: no server at all, for peers on one link',
  traits: mdnsTraits,
  options,
  create: async (chosen, context) => {
    const { MdnsAdapter } = await import('./adapter.js')
    return new MdnsAdapter(chosen, context)
  },
  loopbackOnly: (chosen) => chosen.interface !== undefined && isLoopbackHost(chosen.interface),
}
