/**
 * A stand-in for pastebin.com, which cannot be run: not a real peer, but a fixture, written from the site's
 * public documentation (https://pastebin.com/doc_api) and the sentences that it answers with. It listens on
 * 127.0.0.1, keeps pastes in memory, and keeps them when it is stopped.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { freePort } from './free-port.js'
import type { TestServer } from './test-server.js'

export interface PastebinFixtureOptions {
  /** New pastes in all before it answers that the day's are used up. */
  readonly pastesPerDay?: number
  /** Unlisted pastes at a time. */
  readonly maxUnlisted?: number
}

export interface PastebinFixture extends TestServer {
  readonly apiKey: string
  readonly userKey: string
  readonly pastes: Map<string, FixturePaste>
  /** Seconds that the site's clock is ahead: pastes grow old by it, and expire. */
  aheadSeconds: number
  /** Answers every request with this instead, status and text. */
  answer: { readonly status: number; readonly text: string } | undefined
  /** Requests so far, by `api_option`. */
  readonly requests: Map<string, number>
}

export interface FixturePaste {
  readonly title: string
  readonly text: string
  readonly createdAt: number
  /** 0 for never. */
  readonly expiresAt: number
}

const ExpirySeconds: Readonly<Record<string, number>> = { N: 0, '10M': 600, '1H': 3600, '1D': 86_400 }
const Refused = 'Bad API request, '

export async function startPastebinFixture({
  pastesPerDay = Number.POSITIVE_INFINITY,
  maxUnlisted = Number.POSITIVE_INFINITY,
}: PastebinFixtureOptions = {}): Promise<PastebinFixture> {
  const port = await freePort()
  const pastes = new Map<string, FixturePaste>()
  const requests = new Map<string, number>()
  let made = 0
  const fixture = {
    port,
    apiKey: 'a'.repeat(32),
    userKey: 'b'.repeat(32),
    pastes,
    requests,
    aheadSeconds: 0,
    answer: undefined as PastebinFixture['answer'],
  }
  const now = (): number => Math.floor(Date.now() / 1000) + fixture.aheadSeconds

  const handle = (path: string, fields: URLSearchParams): string => {
    const option = fields.get('api_option') ?? ''
    requests.set(option, (requests.get(option) ?? 0) + 1)
    for (const [id, { expiresAt }] of pastes) if (expiresAt !== 0 && expiresAt <= now()) pastes.delete(id)
    if (fields.get('api_dev_key') !== fixture.apiKey) return `${Refused}invalid api_dev_key`
    if (fields.get('api_user_key') !== fixture.userKey) return `${Refused}invalid api_user_key`
    const id = fields.get('api_paste_key') ?? ''
    if (path === '/api/api_raw.php') {
      const denied = `${Refused}invalid permission to view this paste or invalid api_paste_key`
      return option === 'show_paste' ? (pastes.get(id)?.text ?? denied) : `${Refused}invalid api_option`
    }
    switch (option) {
      case 'paste': {
        const text = fields.get('api_paste_code') ?? ''
        const expires = ExpirySeconds[fields.get('api_paste_expire_date') ?? 'N']
        if (text === '') return `${Refused}api_paste_code was empty`
        if (expires === undefined) return `${Refused}invalid api_paste_expire_date`
        if (made >= pastesPerDay) return 'Post limit, maximum pastes per 24h reached'
        if (pastes.size >= maxUnlisted) {
          return `${Refused}maximum number of ${maxUnlisted} unlisted pastes for your free account`
        }
        made += 1
        const key = made.toString(36).padStart(8, 'P')
        const expiresAt = expires === 0 ? 0 : now() + expires
        pastes.set(key, { title: fields.get('api_paste_name') ?? '', text, createdAt: now(), expiresAt })
        return `http://127.0.0.1:${port}/${key}`
      }
      case 'list': {
        const limit = Number(fields.get('api_results_limit') ?? '50')
        const newest = [...pastes].reverse().slice(0, Math.min(limit, 1000))
        return newest.length === 0
          ? 'No pastes found.'
          : newest.map(([key, paste]) => entry(key, paste)).join('\n')
      }
      case 'delete':
        return pastes.delete(id) ? 'Paste Removed' : `${Refused}invalid permission to remove paste`
      default:
        return `${Refused}invalid api_option`
    }
  }

  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      response.setHeader('Date', new Date(now() * 1000).toUTCString())
      if (fixture.answer !== undefined) {
        response.writeHead(fixture.answer.status).end(fixture.answer.text)
        return
      }
      if (request.method !== 'POST') {
        response.end(`${Refused}use POST request, not GET`)
        return
      }
      response.end(handle(request.url ?? '', new URLSearchParams(Buffer.concat(chunks).toString())))
    })
  })
  const start = async (): Promise<void> => {
    if (server.listening) return
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  }
  const stop = async (): Promise<void> => {
    if (!server.listening) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  await start()
  return Object.assign(fixture, { start, stop, close: stop })
}

function entry(key: string, { title, text, createdAt, expiresAt }: FixturePaste): string {
  const escaped = title.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<paste>
\t<paste_key>${key}</paste_key>
\t<paste_date>${createdAt}</paste_date>
\t<paste_title>${escaped}</paste_title>
\t<paste_size>${text.length}</paste_size>
\t<paste_expire_date>${expiresAt}</paste_expire_date>
\t<paste_private>1</paste_private>
\t<paste_format_long>None</paste_format_long>
\t<paste_format_short>text</paste_format_short>
\t<paste_url>https://pastebin.com/${key}</paste_url>
\t<paste_hits>0</paste_hits>
</paste>`
}
