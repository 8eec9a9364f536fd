/**
 * A running room between its user's input and output: what create and join have in common. Lines of input
 * become messages, events are shown, and the end of either ends the session as docs/cli.md says.
 */
import { setImmediate } from 'node:timers/promises'
import { explain, GonetError } from '../core/errors.js'
import type { Clock } from '../core/ports.js'
import type { RoomEvent } from '../room/events.js'
import type { Room } from '../room/room.js'
import type { InputLine } from './input-lines.js'
import type { Output } from './output/output.js'
import { post } from './post.js'
import type { Administration } from './room-commands.js'

/** Lines that wait until the room is joined, and messages that wait for delivery; more is left unread. */
const WaitingMax = 1000
const DeliveryMs = 10_000

export interface SessionOptions {
  readonly room: Administration & Pick<Room, 'events' | 'leave' | 'send' | 'undelivered'>
  readonly role: 'host' | 'guest'
  readonly output: Output
  /** Ends when stdin does. */
  readonly lines: AsyncIterable<InputLine>
  /** Somebody types: the end of input means that they want to leave. */
  readonly interactive: boolean
  /** Whether to stay when the input ends. */
  readonly stay: boolean
  readonly clock: Pick<Clock, 'after'>
  /** Aborted when the user wants to leave at once. */
  readonly leave: AbortSignal
}

/**
 * Runs until the room has ended or was left. Whoever asked to leave at once gets no complaint about messages
 * that stayed undelivered.
 * @throws GonetError `undelivered`; what ended the room
 */
export async function runSession(options: SessionOptions): Promise<void> {
  await new Session(options).run()
}

class Session {
  readonly #options: SessionOptions
  readonly #waiting: string[] = []
  #isReady = false
  #isInputOver = false
  #isSent = false
  #isOver = false
  /** Messages that were still undelivered when waiting for them ended. */
  #undelivered = 0
  #wake: (() => void)[] = []
  #failure: { readonly error: unknown } | undefined
  #left: Promise<void> | undefined
  #cancelDelivery: (() => void) | undefined

  constructor(options: SessionOptions) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { leave } = this.#options
    const onLeave = (): void => this.#leave()
    leave.addEventListener('abort', onLeave)
    if (leave.aborted) this.#leave()
    const sending = this.#sendLines().catch((error: unknown) => {
      this.#failure = { error }
      this.#leave()
    })
    void this.#readLines()
    try {
      await this.#showEvents()
      this.#end()
      await Promise.all([this.#left, sending])
    } finally {
      this.#end()
      leave.removeEventListener('abort', onLeave)
    }
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#undelivered > 0 && !leave.aborted) throw undelivered(this.#undelivered)
  }

  async #showEvents(): Promise<void> {
    const { room, output, leave } = this.#options
    for await (const event of room.events) {
      output.event(event)
      this.#handle(event)
      // Whoever leaves does not wait for a reader that has stopped to read.
      await output.drained(leave)
    }
  }

  #handle(event: RoomEvent): void {
    if (event.event === 'room' || event.event === 'joined') this.#isReady = true
    this.#changed()
    if (this.#isSent && this.#options.room.undelivered === 0) this.#leave()
  }

  async #readLines(): Promise<void> {
    const { lines, output } = this.#options
    try {
      for await (const line of lines) {
        if ('refused' in line) output.notice(`gonet: ${line.refused}`)
        else this.#waiting.push(line.text)
        this.#changed()
        while (this.#waiting.length >= WaitingMax && !this.#isOver) await this.#change()
        if (this.#isOver) return
      }
    } catch (error) {
      output.notice(`gonet: stdin cannot be read: ${explain(error)}`)
    }
    this.#isInputOver = true
    const { interactive, role, stay } = this.#options
    const neverBegan = !this.#isReady && this.#waiting.length === 0
    if (interactive && !stay && (role === 'host' || neverBegan)) this.#leave()
    this.#changed()
  }

  async #sendLines(): Promise<void> {
    const { room, role, stay } = this.#options
    while (!this.#isOver) {
      const text =
        this.#isReady && room.undelivered < WaitingMax && this.#left === undefined
          ? this.#waiting.shift()
          : undefined
      if (text !== undefined) {
        await this.#send(text)
        this.#changed()
        // Other work must go on beside a long input.
        await setImmediate()
      } else if (this.#isReady && this.#isInputOver && this.#waiting.length === 0) {
        if (role === 'guest' && !stay) this.#awaitDelivery()
        return
      } else {
        await this.#change()
      }
    }
  }

  async #send(text: string): Promise<void> {
    const { interactive, room, output } = this.#options
    const told = await post(room, text, interactive)
    if (told !== undefined) output.notice(`gonet: ${told}`)
  }

  #awaitDelivery(): void {
    const { room, clock } = this.#options
    this.#isSent = true
    if (room.undelivered === 0) {
      this.#leave()
      return
    }
    this.#cancelDelivery = clock.after(DeliveryMs, () => {
      this.#undelivered = room.undelivered
      this.#leave()
    })
  }

  #leave(): void {
    this.#cancelDelivery?.()
    this.#left ??= this.#options.room.leave()
    // Whoever waits for the room's end hears of a failure there.
    this.#left.catch(() => undefined)
    this.#changed()
  }

  #end(): void {
    this.#isOver = true
    this.#cancelDelivery?.()
    this.#changed()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake.push(resolve)
    })
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}

function undelivered(count: number): GonetError {
  const messages = count === 1 ? 'One message was' : `${count} messages were`
  return new GonetError('undelivered', `${messages} not delivered to every member in time`, {
    advice: 'They are kept, and go out when you join this room again',
  })
}
