/** The dns backend as the registry knows it: cheap to import, nothing of a DNS library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { explain } from '../../core/errors.js'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { isKeyName, parseZone } from './names.js'
import { parseServerAddress } from './server-address.js'
import { dnsTraits } from './traits.js'

export interface TsigOptions {
  readonly name: string
  readonly algorithm: 'hmac-sha256' | 'hmac-sha512'
  /** Base64. */
  readonly secret?: string | undefined
  readonly secretFile?: string | undefined
}

export interface DnsOptions {
  readonly mode: 'update' | 'serve'
  readonly zone?: string | undefined
  readonly server?: string | undefined
  readonly resolver?: readonly string[] | undefined
  readonly listen?: string | undefined
  readonly tsig?: TsigOptions | undefined
}

/** Text that a function takes apart, or refuses with words for a person. */
function parsed(parse: (text: string) => unknown): z.ZodMiniString {
  return z.string().check(
    z.check<string>((context) => {
      try {
        parse(context.value)
      } catch (error) {
        context.issues.push({ code: 'custom', message: explain(error), input: context.value })
      }
    }),
  )
}

const options: $ZodType<DnsOptions> = z.strictObject({
  mode: z._default(
    described(
      z.enum(['update', 'serve']),
      "How records lie in the zone. serve: the host is the zone's server, or somebody's gonet serve dns is; update: any server that takes updates (RFC 2136).",
    ),
    'serve',
  ),
  zone: z.optional(
    described(parsed(parseZone), 'The zone that records lie in. Host and guests name the same.'),
  ),
  server: z.optional(
    described(
      parsed(parseServerAddress),
      'update: the server that takes updates, ip:port. serve: where resolvers reach this host.',
    ),
  ),
  resolver: z.optional(
    described(
      z.array(parsed(parseServerAddress)),
      "Resolvers to read through, ip:port. update: the server itself by default; serve: the system's.",
    ).check(z.minLength(1, 'at least one resolver is needed')),
  ),
  listen: z.optional(
    described(
      parsed(parseServerAddress),
      'serve: where the host answers for the zone, ip:port. Guests ignore it.',
    ),
  ),
  tsig: z.optional(
    described(
      z.strictObject({
        name: described(z.string(), "The key's name.").check(
          z.refine(isKeyName, 'expected a name as DNS names are: letters, digits, - and dots'),
        ),
        algorithm: z._default(
          described(z.enum(['hmac-sha256', 'hmac-sha512']), 'How it signs.'),
          'hmac-sha256',
        ),
        secret: z.optional(described(z.string(), 'The secret in base64; better in a file.')),
        secretFile: z.optional(
          described(
            z.string(),
            'A file that holds the secret: one line of base64, or what tsig-keygen prints.',
          ),
        ),
      }),
      'update: the key that signs (RFC 8945).',
    ),
  ),
})

export const dns: AdapterDefinition<DnsOptions> = {
  name: 'dns',
  description:
    'a DNS zone, by updates (RFC 2136) or with the host as its server; guests need only their resolver',
  traits: dnsTraits,
  options,
  create: async (chosen, context) => {
    const { DnsAdapter } = await import('./adapter.js')
    return new DnsAdapter(chosen, context)
  },
  loopbackOnly: ({ mode, server, resolver, listen }) => {
    const servers = mode === 'update' ? [server, ...(resolver ?? [])] : [...(resolver ?? [listen])]
    return servers.every((each) => each !== undefined && isOnLoopback(each))
  },
}

function isOnLoopback(server: string): boolean {
  try {
    return isLoopbackHost(parseServerAddress(server).address)
  } catch {
    return false
  }
}
