/**
 * The REST interface of an OpenDHT node (`dhtnode --proxyserver`, `src/dht_proxy_server.cpp` of OpenDHT): put,
 * get and listen. Answers are lines of JSON, one a value.
 */
import { createHash } from 'node:crypto'
import type { SignallingError } from '../../core/errors.js'
import type { Box, Topic } from '../../core/signalling-adapter.js'
import type { HttpClient, HttpHead } from '../shared/http.js'
import { httpFailure, statusWords } from '../shared/http-failure.js'
import { LineReader } from './lines.js'
import { type DhtValue, decodeValue, MaxValueBytes } from './value.js'

/** As it lies in the DHT. The id is 64 bits, in decimal digits. */
export interface StoredValue {
  readonly id: string
  /** Base64. */
  readonly data: string
}

/** Base64, and the names and numbers around it. */
const MaxLineBytes = Math.ceil(MaxValueBytes / 3) * 4 + 512
const MaxAnswerBytes = 65_536
/** Finding the nodes for a key takes a few round trips, some of them to nodes that are gone. */
const PutTimeoutMs = 20_000
const AnswerMs = 10_000
/** A key may be flooded: what has not come by then does not come in this read. */
const ReadMs = 30_000

/** The key of a box: 160 bits, as the DHT wants it, in hex. */
export function boxKey(topic: Topic, box: Box): string {
  const hash = createHash('sha256').update(`gonet opendht 1\0${topic}\0${box}`).digest('hex')
  return hash.slice(0, 40)
}

export class DhtProxy {
  readonly #http: HttpClient

  constructor(http: HttpClient) {
    this.#http = http
  }

  /** @throws SignallingError where no OpenDHT proxy answers; the signal's reason */
  async probe(signal: AbortSignal): Promise<void> {
    const answer = await this.#http.send({ method: 'GET', path: '/node/info' }, MaxAnswerBytes, signal)
    if (answer.status === 200 && parseObject(answer.text)?.['node_id'] !== undefined) return
    throw answer.status === 200 || answer.status === 404
      ? this.#unreachable('there is no OpenDHT proxy at this URL (dhtnode --proxyserver)')
      : this.#unreachable(statusWords(answer.status))
  }

  /** @throws SignallingError; the signal's reason */
  async put(key: string, value: StoredValue, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify({ ...value, type: 0 })
    const headers = { 'Content-Type': 'application/json' }
    const request = { method: 'POST', path: `/key/${key}`, headers, body, timeoutMs: PutTimeoutMs } as const
    const answer = await this.#http.send(request, MaxAnswerBytes, signal)
    if (answer.status === 200) return
    // A node that knows no other says that it failed, but keeps the value itself.
    if (answer.status === 502 && (await this.#has(key, value, signal))) return
    const code = answer.status === 413 || answer.status === 403 ? 'server-refused' : 'server-unreachable'
    throw httpFailure(code, this.#http.label, `the proxy did not store a record: ${putWords(answer.status)}`)
  }

  /** Shows what lies under a key, and resolves when that is all. */
  async get(key: string, onValue: (value: DhtValue) => void, signal: AbortSignal): Promise<void> {
    await this.#read(
      `/key/${key}`,
      (line) => {
        const value = parseLine(line)
        if (value !== undefined) onValue(value)
        return true
      },
      signal,
    )
  }

  /** Shows what lies under a key and what comes; resolves when the proxy ends it. */
  async listen(key: string, onValue: (value: DhtValue) => void, signal: AbortSignal): Promise<void> {
    const lines = new LineReader(MaxLineBytes, (line) => {
      const value = parseLine(line)
      if (value !== undefined) onValue(value)
    })
    await this.#http.stream(
      { method: 'GET', path: `/key/${key}/listen` },
      {
        onHead: (head) => {
          this.#check(head)
        },
        onChunk: (chunk) => {
          lines.read(chunk)
          return true
        },
        answerMs: AnswerMs,
        silenceMs: undefined,
      },
      signal,
    )
  }

  async #has(key: string, { id, data }: StoredValue, signal: AbortSignal): Promise<boolean> {
    let isThere = false
    const look = (line: string): boolean => {
      const value = parseObject(line)
      isThere ||= value?.['id'] === id && value['data'] === data
      return !isThere
    }
    await this.#read(`/key/${key}`, look, signal)
    return isThere
  }

  /** @param onLine returns false where it has seen enough */
  async #read(path: string, onLine: (line: string) => boolean, signal: AbortSignal): Promise<void> {
    let wantsMore = true
    const lines = new LineReader(MaxLineBytes, (line) => {
      wantsMore &&= onLine(line)
    })
    await this.#http.stream(
      { method: 'GET', path },
      {
        onHead: (head) => {
          this.#check(head)
        },
        onChunk: (chunk) => {
          lines.read(chunk)
          return wantsMore
        },
        answerMs: AnswerMs,
        silenceMs: AnswerMs,
        totalMs: ReadMs,
      },
      signal,
    )
    lines.end()
  }

  #check({ status }: HttpHead): void {
    if (status !== 200) throw this.#unreachable(`the proxy does not let us read: ${statusWords(status)}`)
  }

  #unreachable(words: string): SignallingError {
    return httpFailure('server-unreachable', this.#http.label, words)
  }
}

function putWords(status: number): string {
  return status === 502 ? 'no node of its network took it (HTTP 502)' : statusWords(status)
}

/** A line of an answer; undefined where it is not of gonet, or says that a value has expired. */
export function parseLine(line: string): DhtValue | undefined {
  const json = parseObject(line)
  const data = json?.['data']
  if (typeof data !== 'string' || json?.['expired'] === true) return undefined
  try {
    return decodeValue(new Uint8Array(Buffer.from(data, 'base64')))
  } catch {
    return undefined
  }
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
