/** The pastebin backend as the registry knows it: cheap to import, nothing of the HTTP library with it. */
import * as z from 'zod/mini'
import type { $ZodType } from 'zod/v4/core'
import { explain } from '../../core/errors.js'
import type { AdapterDefinition } from '../adapter-definition.js'
import { described } from '../shared/described.js'
import { parseHttpUrl } from '../shared/http-url.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { pastebinTraits } from './traits.js'

export interface PastebinOptions {
  readonly dialect: 'pastebin' | 'bepasty'
  /** pastebin.com where there is none. */
  readonly url?: string | undefined
  /** Of pastebin.com: the developer's key, and the account's. */
  readonly apiKey?: string | undefined
  readonly apiKeyFile?: string | undefined
  readonly userKey?: string | undefined
  readonly userKeyFile?: string | undefined
  /** Of bepasty. */
  readonly password?: string | undefined
  readonly passwordFile?: string | undefined
  /** Path of a PEM file. */
  readonly ca?: string | undefined
  readonly pollSeconds: number
  /** By the dialect where there is none. */
  readonly pastesPerDay?: number | undefined
}

const options: $ZodType<PastebinOptions> = z.strictObject({
  dialect: z._default(
    described(z.enum(['pastebin', 'bepasty']), 'What the site is: pastebin.com, or a bepasty server.'),
    'pastebin',
  ),
  url: z.optional(
    described(
      z.string().check(
        z.check<string>((context) => {
          try {
            parseHttpUrl(context.value, 'adapters.pastebin.url', 'pastebin-url-wrong')
          } catch (error) {
            context.issues.push({ code: 'custom', message: explain(error), input: context.value })
          }
        }),
      ),
      'Where the site is; without it https://pastebin.com.',
    ),
  ),
  apiKey: z.optional(described(z.string(), "pastebin.com: the developer's API key; better in a file.")),
  apiKeyFile: z.optional(described(z.string(), 'A file that holds the API key on one line.')),
  userKey: z.optional(described(z.string(), "pastebin.com: the account's user key; better in a file.")),
  userKeyFile: z.optional(described(z.string(), 'A file that holds the user key on one line.')),
  password: z.optional(described(z.string(), 'bepasty: the password; better in a file.')),
  passwordFile: z.optional(described(z.string(), 'A file that holds the password on one line.')),
  ca: z.optional(described(z.string(), 'Certificate authorities to trust instead of the usual, a PEM file.')),
  pollSeconds: z._default(
    described(z.number(), 'How often to look for news while somebody waits, in seconds.').check(
      z.minimum(1),
      z.maximum(3600),
    ),
    5,
  ),
  pastesPerDay: z.optional(
    described(
      z.int(),
      'How many pastes may be made in 24 hours; without it 10 at pastebin.com, 10000 elsewhere.',
    ).check(z.minimum(1), z.maximum(1_000_000)),
  ),
})

export const pastebin: AdapterDefinition<PastebinOptions> = {
  name: 'pastebin',
  description: 'a paste site: pastebin.com with an account, or a bepasty server',
  traits: pastebinTraits,
  options,
  create: async (chosen, context) => {
    const { PastebinAdapter } = await import('./adapter.js')
    return new PastebinAdapter(chosen, context)
  },
  loopbackOnly: ({ url }) => {
    try {
      return url !== undefined && isLoopbackHost(parseHttpUrl(url, '', '').host)
    } catch {
      return false
    }
  },
}
