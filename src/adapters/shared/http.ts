/**
 * HTTP for the backends that speak it: one server, no proxy whatever the environment says, no redirects, and
 * a limit on every size and every wait. The library is loaded where such a backend is opened, since that is slow.
 */
import { Agent } from 'node:http'
import type { Readable } from 'node:stream'
import type { AxiosInstance } from 'axios'
import { SignallingError } from '../../core/errors.js'
import type { Clock } from '../../core/ports.js'
import { httpFailure, socketFailure } from './http-failure.js'
import type { HttpUrl } from './http-url.js'

export interface HttpClientOptions {
  readonly url: HttpUrl
  /** Certificate authorities to trust instead of the usual, PEM. */
  readonly ca?: Buffer | undefined
  /** The option that names them, for messages. */
  readonly caOption: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly clock: Clock
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST'
  /** Behind the URL of the server, with its leading slash. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
  /** For the answer as a whole, in ms. */
  readonly timeoutMs?: number
}

export interface HttpHead {
  readonly status: number
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, unknown>>
}

export interface HttpAnswer extends HttpHead {
  readonly text: string
}

export interface HttpStream {
  readonly onHead: (head: HttpHead) => void
  /** Returns false where it has seen enough. */
  readonly onChunk: (chunk: Uint8Array) => boolean
  /** How long the server may say nothing before the first byte, in ms. */
  readonly answerMs: number
  /** How long it may say nothing between two chunks, in ms; undefined where it may be silent. */
  readonly silenceMs: number | undefined
  /** How long it is read at all, in ms: it then counts as ended. */
  readonly totalMs?: number
}

const TimeoutMs = 10_000
/** Requests at a time; more wait. Streams do not count. */
const MaxSockets = 8

export class HttpClient {
  /** `host:port`: how messages call the server. */
  readonly label: string
  readonly #options: HttpClientOptions
  readonly #axios: AxiosInstance
  readonly #agent: Agent
  readonly #streamAgent: Agent

  /** Loads the library. */
  static async open(options: HttpClientOptions): Promise<HttpClient> {
    const [{ default: axios }, agent, streamAgent] = await Promise.all([
      import('axios'),
      makeAgent(options, { keepAlive: true, maxSockets: MaxSockets }),
      makeAgent(options, { keepAlive: false }),
    ])
    const instance = axios.create({
      adapter: 'http',
      baseURL: options.url.base,
      proxy: false,
      maxRedirects: 0,
      // What comes is counted as it comes; a compressed answer could be a thousand times as large.
      decompress: false,
      responseType: 'stream',
      validateStatus: () => true,
      transformRequest: [],
    })
    return new HttpClient(options, instance, agent, streamAgent)
  }

  private constructor(options: HttpClientOptions, axios: AxiosInstance, agent: Agent, streamAgent: Agent) {
    this.label = options.url.label
    this.#options = options
    this.#axios = axios
    this.#agent = agent
    this.#streamAgent = streamAgent
  }

  /**
   * One request and its whole answer, whatever its status.
   * @param maxBytes of the answer
   * @throws SignallingError `server-unreachable`, `server-untrusted`; the signal's reason
   */
  async send(request: HttpRequest, maxBytes: number, signal: AbortSignal): Promise<HttpAnswer> {
    const chunks: Uint8Array[] = []
    let head: HttpHead | undefined
    let size = 0
    const stream: HttpStream = {
      answerMs: request.timeoutMs ?? TimeoutMs,
      silenceMs: request.timeoutMs ?? TimeoutMs,
      onHead: (given) => {
        head = given
      },
      onChunk: (chunk) => {
        size += chunk.length
        if (size > maxBytes) {
          throw this.#unreachable(`the answer is larger than ${maxBytes} bytes`)
        }
        chunks.push(chunk)
        return true
      },
    }
    const limited = { timeoutMs: TimeoutMs, ...request }
    try {
      await this.#exchange(limited, stream, this.#agent, signal)
    } catch (error) {
      // A connection that the server has closed just when we used it again says nothing about the server.
      if (!(error instanceof StaleConnection)) throw error
      chunks.length = size = 0
      await this.#exchange(limited, stream, this.#streamAgent, signal)
    }
    return { ...(head ?? { status: 0, headers: {} }), text: Buffer.concat(chunks).toString('utf8') }
  }

  /**
   * One request whose answer is shown as it comes. Resolves when it ends, or has been read long enough.
   * @throws as `send`, and what the callbacks throw
   */
  async stream(request: HttpRequest, stream: HttpStream, signal: AbortSignal): Promise<void> {
    await this.#exchange(request, stream, this.#streamAgent, signal)
  }

  /** Breaks every connection. */
  close(): void {
    this.#agent.destroy()
    this.#streamAgent.destroy()
  }

  async #exchange(
    { method, path, headers, body, timeoutMs }: HttpRequest,
    { onHead, onChunk, answerMs, silenceMs, totalMs }: HttpStream,
    agent: Agent,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const { clock } = this.#options
    const abort = new AbortController()
    const forward = (): void => {
      abort.abort()
    }
    signal.addEventListener('abort', forward, { once: true })
    let ended: 'late' | 'enough' | undefined
    const end = (how: 'late' | 'enough'): void => {
      ended ??= how
      abort.abort()
    }
    const how = (): typeof ended => ended
    const expire = (): void => {
      end('late')
    }
    const cancelTimeout = timeoutMs === undefined ? doNothing : clock.after(timeoutMs, expire)
    let cancelTotal = doNothing
    let cancelSilence = clock.after(answerMs, expire)
    try {
      const response = await this.#axios.request<Readable>({
        method,
        url: path,
        headers: {
          'User-Agent': 'gonet',
          'Accept-Encoding': 'identity',
          ...this.#options.headers,
          ...headers,
        },
        ...(body !== undefined && { data: Buffer.from(body) }),
        signal: abort.signal,
        httpAgent: agent,
        httpsAgent: agent,
      })
      onHead({ status: response.status, headers: response.headers })
      const waitForMore = (): void => {
        cancelSilence()
        if (silenceMs !== undefined) cancelSilence = clock.after(silenceMs, expire)
      }
      waitForMore()
      if (totalMs !== undefined) {
        cancelTotal = clock.after(totalMs, () => {
          end('enough')
        })
      }
      for await (const chunk of response.data as AsyncIterable<Uint8Array>) {
        waitForMore()
        if (!onChunk(chunk)) return
      }
    } catch (error) {
      abort.abort()
      signal.throwIfAborted()
      if (how() === 'enough') return
      if (how() === 'late') throw this.#unreachable('no answer in time')
      if (error instanceof SignallingError) throw error
      const failure = socketFailure(this.label, error, this.#options.caOption)
      const { request } = error as { request?: { reusedSocket?: unknown } }
      throw request?.reusedSocket === true ? new StaleConnection(failure.code, failure.message) : failure
    } finally {
      cancelTimeout()
      cancelTotal()
      cancelSilence()
      signal.removeEventListener('abort', forward)
    }
  }

  #unreachable(words: string): SignallingError {
    return httpFailure('server-unreachable', this.label, words)
  }
}

function doNothing(): void {
  // Where there is nothing to cancel.
}

class StaleConnection extends SignallingError {}

async function makeAgent(
  { url, ca }: HttpClientOptions,
  options: { readonly keepAlive: boolean; readonly maxSockets?: number },
): Promise<Agent> {
  if (!url.tls) return new Agent(options)
  const { Agent: SecureAgent } = await import('node:https')
  return new SecureAgent({
    ...options,
    minVersion: 'TLSv1.2',
    // Even where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca }),
  })
}
