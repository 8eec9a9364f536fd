/**
 * The dialect of pastebin.com, by its public documentation (https://pastebin.com/doc_api). It answers errors
 * with status 200 and a sentence: `Bad API request, …`.
 */
import type { SignallingError } from '../../core/errors.js'
import type { HttpAnswer, HttpClient } from '../shared/http.js'
import { httpFailure, statusWords } from '../shared/http-failure.js'
import { parsePasteList } from './paste-list-xml.js'
import {
  AnswerTimeoutMs,
  isPasteId,
  type Lifetime,
  MaxListBytes,
  MaxPasteBytes,
  MaxReplyBytes,
  type NewPaste,
  type PasteList,
  type PasteService,
} from './paste-service.js'
import { TitlePrefix } from './titles.js'

export interface PastebinKeys {
  readonly apiKey: string
  readonly userKey: string
}

const Expiry: Readonly<Record<Lifetime, string>> = { 'ten-minutes': '10M', day: '1D' }
/** Readable by whoever knows the address, and listed to the account only. */
const Unlisted = '1'
/** As many as the site shows at most. */
const ListLimit = '1000'

export class PastebinCom implements PasteService {
  readonly #http: HttpClient
  readonly #keys: PastebinKeys

  constructor(http: HttpClient, keys: PastebinKeys) {
    this.#http = http
    this.#keys = keys
  }

  async list(signal: AbortSignal): Promise<PasteList> {
    const fields = { api_option: 'list', api_results_limit: ListLimit }
    const answer = await this.#ask('api_post.php', fields, MaxListBytes, signal)
    const listed = parsePasteList(answer.text)
    if (listed === undefined) throw this.#unreachable('the answer is not a list of pastes')
    const date = Date.parse(String(answer.headers['date']))
    const newest = Math.max(0, ...listed.map(({ createdAt }) => createdAt))
    return {
      // The site shows the newest first.
      pastes: listed.filter(({ title }) => title.startsWith(TitlePrefix)).reverse(),
      listedAt: Number.isNaN(date) ? newest : Math.floor(date / 1000),
      account: listed,
    }
  }

  async read(id: string, signal: AbortSignal): Promise<string | undefined> {
    const fields = { api_option: 'show_paste', api_paste_key: id }
    const answer = await this.#send('api_raw.php', fields, MaxPasteBytes, signal)
    if (/^Bad API request, invalid permission to view|invalid api_paste_key/.test(answer.text))
      return undefined
    if (answer.status === 404) return undefined
    return this.#checked(answer).text
  }

  async create({ title, text, lifetime }: NewPaste, signal: AbortSignal): Promise<string> {
    const fields = {
      api_option: 'paste',
      api_paste_code: text,
      api_paste_name: title,
      api_paste_private: Unlisted,
      api_paste_expire_date: Expiry[lifetime],
    }
    const { text: url } = await this.#ask('api_post.php', fields, MaxReplyBytes, signal)
    const id = url.trim().split('/').at(-1)
    if (!/^https?:\/\//.test(url) || !isPasteId(id)) {
      throw httpFailure('server-refused', this.#http.label, `it took no paste, but says ${quoted(url)}`)
    }
    return id
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const fields = { api_option: 'delete', api_paste_key: id }
    const answer = await this.#send('api_post.php', fields, MaxReplyBytes, signal)
    if (/invalid permission to remove paste/.test(answer.text)) return
    this.#checked(answer)
  }

  async #ask(
    path: string,
    fields: Readonly<Record<string, string>>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    return this.#checked(await this.#send(path, fields, maxBytes, signal))
  }

  #send(
    path: string,
    fields: Readonly<Record<string, string>>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { apiKey, userKey } = this.#keys
    const body = new URLSearchParams({ api_dev_key: apiKey, api_user_key: userKey, ...fields }).toString()
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
    return this.#http.send(
      { method: 'POST', path: `/api/${path}`, headers, body, timeoutMs: AnswerTimeoutMs },
      maxBytes,
      signal,
    )
  }

  #checked(answer: HttpAnswer): HttpAnswer {
    const { status, text } = answer
    const words = refusalWords(text)
    if (words !== undefined) throw httpFailure('server-refused', this.#http.label, words)
    if (status === 200) return answer
    if (status === 401 || status === 403 || status === 429) {
      throw httpFailure('server-refused', this.#http.label, statusWords(status))
    }
    throw this.#unreachable(statusWords(status))
  }

  #unreachable(words: string): SignallingError {
    return httpFailure('server-unreachable', this.#http.label, words)
  }
}

/** What the site says instead of what it was asked for, in words for a person; undefined for other answers. */
export function refusalWords(text: string): string | undefined {
  const limit = /^Post limit, maximum pastes per 24h reached/i.test(text)
  if (limit)
    return "over the site's quota: the day's pastes of this account are used up; it goes on within a day"
  if (!text.startsWith('Bad API request')) return undefined
  const known = Refusals.find(([pattern]) => pattern.test(text))
  return known === undefined ? `the site refused: ${quoted(text)}` : known[1]
}

const Refusals: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/invalid api_dev_key/, 'the API key is wrong (adapters.pastebin.apiKeyFile)'],
  [
    /api_user_key/,
    'the user key is wrong or has expired: ask the site for a new one (adapters.pastebin.userKeyFile)',
  ],
  [/account not active/, 'the account is not active: its email address may have to be confirmed'],
  [
    /maximum number of \d+ (unlisted|private) pastes/,
    "over the site's quota: the account has too many unlisted pastes; delete some, or use another account",
  ],
  [/maximum paste file size exceeded/, 'the record is too large for the site'],
  [/IP blocked/i, 'the site has blocked our address'],
]

/** What somebody else says, as far as it can be shown. */
function quoted(text: string): string {
  const plain = text.replace(/[^\x21-\x7e]+/g, ' ').trim()
  return JSON.stringify(plain.length > 100 ? `${plain.slice(0, 100)}…` : plain)
}
