/** A client of a running room's control socket (docs/control.md). */
import { connect, type Socket } from 'node:net'
import { GonetError } from '../../core/errors.js'
import { LineSplitter } from './line-splitter.js'
import type { RunningRoom } from './run-folder.js'
import { AnswerBytesMax, type AnswerLine, ControlVersion, fromWireError, type WireError } from './wire.js'

interface Waiting {
  readonly onEvent: (event: unknown) => unknown
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class ControlClient {
  readonly #socket: Socket
  readonly #lines = new LineSplitter(AnswerBytesMax)
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 1
  /** Events that are not taken yet. */
  #paused = 0
  #greeted: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined
  #failure: GonetError | undefined

  private constructor(path: string) {
    this.#socket = connect(path)
    this.#socket.on('data', (chunk) => this.#read(chunk))
    this.#socket.on('error', () => this.#socket.destroy())
    this.#socket.on('close', () => this.#fail(this.#failure ?? gone()))
  }

  /**
   * @throws GonetError `control-gone` where nobody answers there: the room has ended; what it answers to the hello
   */
  static async open(path: string, { token }: Pick<RunningRoom, 'token'>): Promise<ControlClient> {
    const client = new ControlClient(path)
    await new Promise<void>((resolve, reject) => {
      client.#greeted = { resolve, reject }
      client.#write({ gonet: ControlVersion, token })
    })
    return client
  }

  /**
   * @param onEvent called with what the request tells until it is answered; while a promise that it returns is pending,
   *   nothing more is read
   * @throws GonetError what the room answers; `control-gone` where it has ended
   */
  request(
    request: string,
    parameters: Readonly<Record<string, unknown>> = {},
    onEvent: (event: unknown) => unknown = () => undefined,
  ): Promise<unknown> {
    if (this.#socket.destroyed) return Promise.reject(this.#failure ?? gone())
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { onEvent, resolve, reject })
      this.#write({ id, request, parameters })
    })
  }

  /** Idempotent. Requests under way fail. */
  close(): void {
    this.#socket.destroy()
  }

  #write(line: unknown): void {
    this.#socket.write(`${JSON.stringify(line)}\n`)
  }

  #read(chunk: Uint8Array): void {
    for (const line of this.#lines.split(chunk)) {
      const answer = line === undefined ? undefined : parseAnswer(line)
      if (answer === undefined) {
        this.#failure = new GonetError('control-protocol', 'What the running room answers makes no sense', {
          advice: 'It may be another version of gonet: restart it',
        })
        this.#socket.destroy()
        return
      }
      this.#handle(answer)
    }
  }

  #handle(answer: AnswerLine): void {
    if ('gonet' in answer) {
      this.#greeted?.resolve()
      this.#greeted = undefined
      return
    }
    const waiting = answer.id === null ? undefined : this.#waiting.get(answer.id)
    if ('event' in answer) {
      const isTaken = waiting?.onEvent(answer.event)
      if (isTaken instanceof Promise) void this.#pause(isTaken)
      return
    }
    if (answer.id !== null) this.#waiting.delete(answer.id)
    if ('result' in answer) waiting?.resolve(answer.result)
    else if (waiting !== undefined) waiting.reject(fromWireError(answer.error))
    // What answers no request ends the connection.
    else this.#failure = fromWireError(answer.error)
  }

  async #pause(until: Promise<unknown>): Promise<void> {
    this.#paused += 1
    this.#socket.pause()
    await until.catch(() => undefined)
    this.#paused -= 1
    if (this.#paused === 0) this.#socket.resume()
  }

  #fail(error: GonetError): void {
    this.#failure ??= error
    this.#greeted?.reject(error)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}

function parseAnswer(line: string): AnswerLine | undefined {
  let answer: unknown
  try {
    answer = JSON.parse(line)
  } catch {
    return undefined
  }
  if (typeof answer !== 'object' || answer === null) return undefined
  if ('gonet' in answer || ('id' in answer && ('event' in answer || 'result' in answer))) {
    return answer as AnswerLine
  }
  return 'error' in answer && isWireError(answer.error) ? (answer as AnswerLine) : undefined
}

function isWireError(error: unknown): error is WireError {
  if (typeof error !== 'object' || error === null) return false
  const { code, message } = error as Partial<Record<keyof WireError, unknown>>
  return typeof code === 'string' && typeof message === 'string'
}

function gone(): GonetError {
  return new GonetError('control-gone', 'The room has ended')
}
