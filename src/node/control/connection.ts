/** One client of the control socket: its hello, its requests, and their answers. */
import { timingSafeEqual } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { explain, GonetError, UsageError } from '../../core/errors.js'
import type { Logger } from '../../core/ports.js'
import { LineSplitter } from './line-splitter.js'
import type { AnyRequest, RequestContext } from './request.js'
import type { RunningRoom } from './run-folder.js'
import { AnswerBytesMax, type AnswerLine, ControlVersion, RequestBytesMax, toWireError } from './wire.js'

/** How long a client may take for its hello, and how long it may ask nothing, in ms. */
const HelloMs = 5000
const IdleMs = 60_000
/** Requests under way. */
const RequestsMax = 16
/** What waits to be read by the client, in bytes: an answer, and the events since. */
const WaitingBytesMax = 2 * AnswerBytesMax
/** How long the last answers may take to be read. */
const EndMs = 1000

export interface ConnectionOptions extends Omit<RequestContext, 'emit' | 'signal'> {
  readonly running: RunningRoom
  readonly requests: ReadonlyMap<string, AnyRequest>
  readonly logger: Logger
}

export class ControlConnection {
  readonly #stream: Duplex
  readonly #options: ConnectionOptions
  readonly #lines = new LineSplitter(RequestBytesMax)
  readonly #gone = new AbortController()
  readonly #underWay = new Set<number>()
  #isKnown = false
  #isEnding = false
  #cancelTimer: (() => void) | undefined

  /** @param onGone called once, when the client is gone */
  constructor(stream: Duplex, options: ConnectionOptions, onGone: () => void) {
    this.#stream = stream
    this.#options = options
    stream.on('data', (chunk: Uint8Array) => this.#read(chunk))
    stream.on('error', () => stream.destroy())
    stream.on('close', () => {
      this.#cancelTimer?.()
      this.#gone.abort()
      onGone()
    })
    this.#dropAfter(HelloMs)
  }

  /** Takes no more requests, and closes once those under way are answered. Idempotent. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    this.#dropAfter(EndMs)
    this.#endWhenDone()
  }

  destroy(): void {
    this.#stream.destroy()
  }

  #read(chunk: Uint8Array): void {
    for (const line of this.#lines.split(chunk)) {
      if (this.#isEnding) return
      if (line === undefined) {
        this.#refuse('request-too-long', `A request has at most ${RequestBytesMax} bytes`)
      } else if (this.#isKnown) this.#handle(line)
      else this.#greet(line)
    }
  }

  #greet(line: string): void {
    const hello = parseObject(line)
    const { running, logger } = this.#options
    if (hello === undefined || typeof hello['token'] !== 'string') {
      this.#refuse('request-invalid', 'The first line of a client names the version and the token')
    } else if (hello['gonet'] !== ControlVersion) {
      this.#refuse('control-version', `This room speaks version ${ControlVersion} of the control protocol`)
    } else if (!isEqual(hello['token'], running.token)) {
      logger.warn('a client of the control socket was refused: its token is wrong')
      this.#refuse('control-denied', 'The token is not that of this room')
    } else {
      this.#isKnown = true
      this.#write({ gonet: ControlVersion, room: running.room, role: running.role })
      this.#rest()
    }
  }

  #handle(line: string): void {
    const request = parseObject(line)
    const id = request?.['id']
    const name = request?.['request']
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || typeof name !== 'string') {
      const error = invalid('A request is an object with a whole number as its id, and a name as its request')
      this.#write({ id: null, error: toWireError(error) })
    } else if (this.#underWay.has(id)) {
      this.#write({ id: null, error: toWireError(invalid(`The request ${id} is under way already`)) })
    } else if (this.#underWay.size >= RequestsMax) {
      const error = new UsageError('too-many-requests', `${RequestsMax} requests are under way already`)
      this.#write({ id, error: toWireError(error) })
    } else void this.#answer(id, name, request?.['parameters'] ?? {})
    this.#rest()
  }

  async #answer(id: number, name: string, parameters: unknown): Promise<void> {
    const { requests, logger, room, role, view, clock } = this.#options
    this.#underWay.add(id)
    let answer: AnswerLine
    try {
      const request = requests.get(name)
      if (request === undefined) {
        throw new UsageError('request-unknown', `This room has no request ${name.slice(0, 64)}`)
      }
      const emit = (event: unknown): void => this.#write({ id, event })
      const context = { room, role, view, clock, emit, signal: this.#gone.signal }
      answer = { id, result: (await request.run(context, parameters)) ?? {} }
    } catch (error) {
      if (!(error instanceof GonetError)) {
        logger.error('a control request failed', { request: name, reason: explain(error) })
      }
      answer = { id, error: toWireError(error) }
    }
    this.#underWay.delete(id)
    this.#write(answer)
    if (this.#isEnding) this.#endWhenDone()
    else this.#rest()
  }

  #refuse(code: string, message: string): void {
    this.#write({ id: null, error: toWireError(new UsageError(code, message)) })
    this.end()
  }

  #write(line: AnswerLine): void {
    const stream = this.#stream
    if (stream.destroyed || stream.writableEnded) return
    stream.write(`${JSON.stringify(line)}\n`)
    if (stream.writableLength <= WaitingBytesMax) return
    this.#options.logger.warn('a client of the control socket was dropped: it does not read')
    stream.destroy()
  }

  /** Who asks nothing for long, and waits for nothing, is let go. */
  #rest(): void {
    this.#cancelTimer?.()
    if (this.#underWay.size === 0 && !this.#isEnding) this.#dropAfter(IdleMs)
  }

  #dropAfter(delayMs: number): void {
    this.#cancelTimer?.()
    this.#cancelTimer = this.#options.clock.after(delayMs, () => this.#stream.destroy())
  }

  #endWhenDone(): void {
    if (this.#underWay.size > 0 || this.#stream.writableEnded) return
    // What the client still sends is read, and lost: unread, it would cost it the last answer.
    this.#stream.end()
  }
}

function parseObject(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function isEqual(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function invalid(message: string): UsageError {
  return new UsageError('request-invalid', message, { advice: 'docs/control.md says what requests are' })
}
