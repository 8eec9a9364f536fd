/** Two members who go on telling each other numbers, and a record of what arrives and how late. */
import type { RoomEvent } from '../../src/room/events.js'
import type { Running } from '../e2e/workbench.js'

const EveryMs = 100

/** What one member has said and the other has been shown. */
export interface Direction {
  readonly said: readonly string[]
  readonly shown: readonly string[]
}

export class Conversation {
  readonly #directions: readonly HalfOfConversation[]
  readonly #timer: NodeJS.Timeout

  /** Begins: each says something every 100 ms. */
  constructor(first: Running, second: Running) {
    this.#directions = [
      new HalfOfConversation('first', first, second),
      new HalfOfConversation('second', second, first),
    ]
    this.#timer = setInterval(() => {
      for (const direction of this.#directions) direction.say()
    }, EveryMs)
  }

  /** The longest that anything took from its saying to its showing so far, ms; what is under way included. */
  get worstMs(): number {
    return Math.max(...this.#directions.map((direction) => direction.worstMs))
  }

  /**
   * Resolves when each has been shown so much that the other said after this call.
   * @param count of texts; they are said at ten a second
   * @throws Error where it takes too long
   */
  async untilHeard(count: number, withinMs: number): Promise<void> {
    await Promise.all(
      this.#directions.map((direction) => direction.untilShown(direction.said.length + count, withinMs)),
    )
  }

  /**
   * Both fall silent. Resolves when all has been shown that was said.
   * @throws Error where that takes too long
   */
  async end(withinMs: number): Promise<readonly Direction[]> {
    clearInterval(this.#timer)
    await Promise.all(
      this.#directions.map((direction) => direction.untilShown(direction.said.length, withinMs)),
    )
    return this.#directions
  }

  /** Both fall silent. Idempotent. */
  stop(): void {
    clearInterval(this.#timer)
  }
}

class HalfOfConversation implements Direction {
  readonly said: string[] = []
  readonly shown: string[] = []
  readonly #name: string
  readonly #speaker: Running
  readonly #saidAt = new Map<string, number>()
  #worstMs = 0
  #rest = ''
  #wake: (() => void)[] = []

  constructor(name: string, speaker: Running, listener: Running) {
    this.#name = name
    this.#speaker = speaker
    listener.child.stdout!.on('data', (text: string) => this.#read(text))
  }

  get worstMs(): number {
    const underWay = Math.max(0, ...Array.from(this.#saidAt.values(), (at) => performance.now() - at))
    return Math.max(this.#worstMs, underWay)
  }

  say(): void {
    const text = `${this.#name} ${this.said.length + 1}`
    this.said.push(text)
    this.#saidAt.set(text, performance.now())
    this.#speaker.type(text)
  }

  async untilShown(count: number, withinMs: number): Promise<void> {
    const timer = setTimeout(() => this.#changed(), withinMs)
    const until = performance.now() + withinMs - 1
    try {
      while (this.shown.length < count) {
        if (performance.now() >= until) {
          const { stderr } = this.#speaker
          throw new Error(
            `of ${this.said.length} texts of the ${this.#name} ${this.shown.length} came: ${stderr}`,
          )
        }
        await new Promise<void>((resolve) => this.#wake.push(resolve))
      }
    } finally {
      clearTimeout(timer)
    }
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    for (const event of lines.map((line) => JSON.parse(line) as RoomEvent)) {
      if (event.event !== 'message' || !event.text.startsWith(`${this.#name} `)) continue
      this.shown.push(event.text)
      const saidAt = this.#saidAt.get(event.text)
      if (saidAt === undefined) continue
      this.#saidAt.delete(event.text)
      this.#worstMs = Math.max(this.#worstMs, performance.now() - saidAt)
    }
    this.#changed()
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake()
  }
}
