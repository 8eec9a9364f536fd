/** From the options of the configuration to a paste site that can be asked, with every file read. */
import { UsageError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { readAuthorities } from '../shared/authorities.js'
import { HttpClient } from '../shared/http.js'
import { type HttpUrl, parseHttpUrl } from '../shared/http-url.js'
import { readSecretOption } from '../shared/option-files.js'
import { Bepasty } from './bepasty.js'
import type { PastebinOptions } from './definition.js'
import type { PasteService } from './paste-service.js'
import { PastebinCom } from './pastebin-com.js'

export interface PasteSite {
  readonly service: PasteService
  readonly http: HttpClient
  readonly pastesPerDay: number
}

const DefaultUrl = 'https://pastebin.com'
/** pastebin.com's own limit without a paid account; a server of one's own has none. */
const DefaultPastesPerDay = { pastebin: 10, bepasty: 10_000 } as const
/** HTTP's basic authentication has a user name, bepasty none. */
const BepastyUser = 'gonet'

/** Where the options point to, before anything is loaded. @throws UsageError */
export function siteUrl({ dialect, url }: Pick<PastebinOptions, 'dialect' | 'url'>): HttpUrl {
  if (url === undefined && dialect === 'bepasty') {
    throw new UsageError('pastebin-url-missing', 'bepasty needs the URL of a server', {
      advice: 'Set adapters.pastebin.url',
    })
  }
  return parseHttpUrl(url ?? DefaultUrl, 'adapters.pastebin.url', 'pastebin-url-wrong')
}

/** @throws UsageError for a wrong URL, missing keys, or a file that cannot be read */
export async function openSite(options: PastebinOptions, clock: Clock): Promise<PasteSite> {
  const { dialect } = options
  const url = siteUrl(options)
  const ca = await readAuthorities('pastebin', options.ca)
  const http = { url, ca, caOption: 'adapters.pastebin.ca', clock }
  const pastesPerDay = options.pastesPerDay ?? DefaultPastesPerDay[dialect]
  if (dialect === 'bepasty') {
    const password = await secret('password', options.password, options.passwordFile)
    const basic = Buffer.from(`${BepastyUser}:${password ?? ''}`).toString('base64')
    const headers = password === undefined ? {} : { Authorization: `Basic ${basic}` }
    const client = await HttpClient.open({ ...http, headers })
    return { service: new Bepasty(client), http: client, pastesPerDay }
  }
  const apiKey = await secret('apiKey', options.apiKey, options.apiKeyFile)
  const userKey = await secret('userKey', options.userKey, options.userKeyFile)
  if (apiKey === undefined || userKey === undefined) {
    throw new UsageError('pastebin-key-missing', 'pastebin.com needs an API key and a user key', {
      advice: 'Set adapters.pastebin.apiKeyFile and adapters.pastebin.userKeyFile',
    })
  }
  const client = await HttpClient.open(http)
  return { service: new PastebinCom(client, { apiKey, userKey }), http: client, pastesPerDay }
}

function secret(
  option: string,
  inline: string | undefined,
  file: string | undefined,
): Promise<string | undefined> {
  return readSecretOption('pastebin', option, { inline, file })
}
