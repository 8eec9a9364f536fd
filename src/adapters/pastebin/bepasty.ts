/** The dialect of bepasty: its REST interface (`bepasty/apis/rest.py` of bepasty 1.0.0). */
import type { SignallingError } from '../../core/errors.js'
import type { HttpAnswer, HttpClient } from '../shared/http.js'
import { httpFailure, statusWords } from '../shared/http-failure.js'
import {
  AnswerTimeoutMs,
  isPasteId,
  type Lifetime,
  MaxListBytes,
  MaxPasteBytes,
  MaxReplyBytes,
  type NewPaste,
  type Paste,
  type PasteList,
  type PasteService,
} from './paste-service.js'
import { TitlePrefix } from './titles.js'

const Items = '/apis/rest/items'
const Lifetimes: Readonly<Record<Lifetime, Readonly<Record<string, string>>>> = {
  'ten-minutes': { 'Maxlife-Unit': 'MINUTES', 'Maxlife-Value': '10' },
  day: { 'Maxlife-Unit': 'DAYS', 'Maxlife-Value': '1' },
}

export class Bepasty implements PasteService {
  readonly #http: HttpClient

  /** @param http sends the password with every request */
  constructor(http: HttpClient) {
    this.#http = http
  }

  async list(signal: AbortSignal): Promise<PasteList> {
    const answer = await this.#get(Items, MaxListBytes, signal)
    if (answer.status === 404) throw this.#unreachable('there is no bepasty at this URL')
    this.#check(answer, 'list')
    const pastes = parseItems(answer.text)
    if (pastes === undefined) throw this.#unreachable('there is no bepasty at this URL: its list is none')
    const date = Date.parse(String(answer.headers['date']))
    const newest = pastes.at(-1)?.createdAt ?? 0
    return { pastes, listedAt: Number.isNaN(date) ? newest : Math.floor(date / 1000), account: undefined }
  }

  async read(id: string, signal: AbortSignal): Promise<string | undefined> {
    const answer = await this.#get(`${Items}/${id}/download`, MaxPasteBytes, signal)
    // 409: it is not complete.
    if (answer.status === 404 || answer.status === 409) return undefined
    this.#check(answer, 'read')
    return answer.text
  }

  async create({ title, text, lifetime }: NewPaste, signal: AbortSignal): Promise<string> {
    const headers = {
      'Content-Type': 'text/plain',
      'Content-Filename': title,
      'Content-Range': `bytes 0-${text.length - 1}/${text.length}`,
      ...Lifetimes[lifetime],
    }
    // What is sent is in base64, and decoded there.
    const body = Buffer.from(text).toString('base64')
    const answer = await this.#post(Items, headers, body, signal)
    this.#check(answer, 'create')
    const id = String(answer.headers['content-location']).split('/').at(-1)
    if (answer.status !== 201 || !isPasteId(id)) throw this.#unreachable('it took no paste')
    return id
  }

  async remove(id: string, signal: AbortSignal): Promise<void> {
    const answer = await this.#post(`${Items}/${id}/delete`, {}, undefined, signal)
    if (answer.status !== 404) this.#check(answer, 'delete')
  }

  #get(path: string, maxBytes: number, signal: AbortSignal): Promise<HttpAnswer> {
    return this.#http.send({ method: 'GET', path, timeoutMs: AnswerTimeoutMs }, maxBytes, signal)
  }

  #post(
    path: string,
    headers: Readonly<Record<string, string>>,
    body: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const request = { method: 'POST', path, headers, body, timeoutMs: AnswerTimeoutMs } as const
    return this.#http.send(request, MaxReplyBytes, signal)
  }

  /** @param permission as bepasty calls it */
  #check({ status }: HttpAnswer, permission: string): void {
    if (status >= 200 && status < 300) return
    if (status === 401 || status === 403) {
      throw this.#refused(
        `it does not let us ${permission} pastes: the password is wrong, or lacks a permission ` +
          '(adapters.pastebin.passwordFile; list, create, read and delete are needed)',
      )
    }
    if (status === 413) throw this.#refused('the record is too large for the server (HTTP 413)')
    if (status === 429) throw this.#refused(statusWords(status))
    throw this.#unreachable(statusWords(status))
  }

  #refused(words: string): SignallingError {
    return httpFailure('server-refused', this.#http.label, words)
  }

  #unreachable(words: string): SignallingError {
    return httpFailure('server-unreachable', this.#http.label, words)
  }
}

/** The items of gonet, the older ones first; undefined for what is no list. */
export function parseItems(text: string): Paste[] | undefined {
  let items: unknown
  try {
    items = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof items !== 'object' || items === null || Array.isArray(items)) return undefined
  const pastes: Paste[] = []
  for (const [id, item] of Object.entries(items)) {
    const meta = (item as { 'file-meta'?: unknown } | null)?.['file-meta']
    const paste = parseItem(id, meta)
    if (paste !== undefined) pastes.push(paste)
  }
  return pastes.sort((a, b) => a.createdAt - b.createdAt)
}

function parseItem(id: string, meta: unknown): Paste | undefined {
  if (!isPasteId(id) || typeof meta !== 'object' || meta === null) return undefined
  const { filename, size, complete, locked, ...rest } = meta as Record<string, unknown>
  const createdAt = rest['timestamp-upload']
  if (typeof filename !== 'string' || !filename.startsWith(TitlePrefix)) return undefined
  if (typeof size !== 'number' || typeof createdAt !== 'number') return undefined
  return complete === true && locked !== true ? { id, title: filename, createdAt, size } : undefined
}
