/**
 * How long a NAT keeps a binding that nobody uses (RFC 5780 section 4.6). Sans-IO (src/core/machine.ts).
 *
 * A socket opens a binding and is silent; after some time another one asks the server to answer to that binding
 * (RESPONSE-PORT). Several do so side by side, with more and more time: where the first is found gone, a second round
 * divides the time between the last that lived and that one. So it takes about twice as long as a binding lives.
 */
import { earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { responsePortAttribute } from '../stun/attributes.js'
import { Questions, type QuestionsCounters, type SocketDatagram } from './questions.js'

export interface BindingLifetimeOptions {
  readonly random: Random
  /** One that has answered already. */
  readonly server: SocketAddress
}

export type BindingLifetime =
  /** `belowMs` is undefined where a binding outlives what is tried. */
  | { readonly type: 'measured'; readonly aboveMs: number; readonly belowMs: number | undefined }
  /** The server does not answer to another port, or not at all. */
  | { readonly type: 'unknown' }

export type BindingLifetimeEvent =
  /** So much is known so far. */
  | { readonly type: 'known'; readonly aboveMs: number; readonly belowMs: number | undefined }
  | { readonly type: 'done'; readonly result: BindingLifetime }

/** RFC 4787 REQ-5 wants two minutes at least, and recommends five. */
const FirstRoundMs: readonly number[] = [10_000, 20_000, 40_000, 80_000, 160_000, 320_000]
/** Into how many parts the second round divides what the first has found. */
const Parts = 8
/** The socket that asks for answers to the others; these are the numbers from 1 on. */
const AskingSocket = 0
/** How many sockets it takes. */
export const BindingLifetimeSockets: number = 1 + Parts

const OpenSchedule: readonly number[] = [500, 1500, 3500, 5500]
/** Close together: what is asked is whether a binding lives now. */
const ProbeSchedule: readonly number[] = [300, 600, 900, 2000]

interface Waiting {
  readonly socket: number
  readonly mapped: SocketAddress
  readonly idleMs: number
  readonly probeAt: number
}

export class BindingLifetimeTest implements Machine<BindingLifetimeEvent, SocketDatagram> {
  readonly counters: Readonly<QuestionsCounters>
  readonly #questions: Questions
  readonly #server: SocketAddress
  readonly #events: BindingLifetimeEvent[] = []
  #waiting: Waiting[] = []
  #round: 'none' | 'trial' | 'first' | 'second' | 'done' = 'none'
  /** Bindings of this round that nothing is known of yet. */
  #open = 0
  #aboveMs = 0
  #belowMs: number | undefined

  constructor({ random, server }: BindingLifetimeOptions) {
    this.#questions = new Questions(random)
    this.#server = server
    this.counters = this.#questions.counters
  }

  /** Begins. Does nothing where it has begun already. */
  start(now: number): void {
    // That a binding which was just used is reached shows that the server does as it is asked.
    if (this.#round === 'none') this.#startRound(now, 'trial', [0])
  }

  /** @param socket the number of the socket that it came to */
  handleDatagram(now: number, socket: number, source: SocketAddress, bytes: Uint8Array): void {
    this.#questions.handleDatagram(now, socket, source, bytes)
  }

  handleTimeout(now: number): void {
    this.#questions.handleTimeout(now)
    for (const waiting of this.#waiting.filter(({ probeAt }) => probeAt <= now)) {
      this.#waiting = this.#waiting.filter((each) => each !== waiting)
      this.#probe(now, waiting)
    }
  }

  pollTransmit(): SocketDatagram | undefined {
    return this.#questions.pollTransmit()
  }

  pollEvent(): BindingLifetimeEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(this.#questions.pollTimeout(), ...this.#waiting.map(({ probeAt }) => probeAt))
  }

  /** @param times how long each binding is left alone, ms, ascending */
  #startRound(now: number, round: 'trial' | 'first' | 'second', times: readonly number[]): void {
    this.#questions.stop()
    this.#waiting = []
    this.#round = round
    this.#open = times.length
    for (const [index, idleMs] of times.entries()) {
      const socket = 1 + index
      const question = { socket, destination: this.#server, schedule: OpenSchedule }
      this.#questions.ask(now, question, (at, answer) => {
        if (answer.type !== 'answered') this.#concludeOne(at)
        else this.#waiting.push({ socket, mapped: answer.mapped, idleMs, probeAt: at + idleMs })
      })
    }
  }

  #probe(now: number, { socket, mapped, idleMs }: Waiting): void {
    const question = {
      socket: AskingSocket,
      destination: this.#server,
      answeredAt: socket,
      attributes: [responsePortAttribute(mapped.port)],
      schedule: ProbeSchedule,
    }
    this.#questions.ask(now, question, (at, answer) => {
      if (answer.type === 'answered') this.#lives(at, idleMs)
      else if (answer.type === 'silent') this.#isGone(at, idleMs)
      else this.#finish({ type: 'unknown' })
    })
  }

  #lives(now: number, idleMs: number): void {
    if (this.#round === 'trial') {
      this.#startRound(now, 'first', FirstRoundMs)
      return
    }
    this.#aboveMs = Math.max(this.#aboveMs, idleMs)
    this.#tell()
    this.#concludeOne(now)
  }

  /** Those that were left alone longer need not be waited for. */
  #isGone(now: number, idleMs: number): void {
    if (this.#round === 'trial') {
      this.#finish({ type: 'unknown' })
      return
    }
    if (idleMs <= this.#aboveMs) {
      // Another has lived longer: it was the probe that was lost.
      this.#concludeOne(now)
      return
    }
    this.#belowMs = idleMs
    this.#tell()
    this.#endRound(now)
  }

  #concludeOne(now: number): void {
    this.#open -= 1
    if (this.#open === 0) this.#endRound(now)
  }

  #endRound(now: number): void {
    const [aboveMs, belowMs] = [this.#aboveMs, this.#belowMs]
    if (this.#round === 'trial') this.#finish({ type: 'unknown' })
    else if (this.#round === 'first' && belowMs !== undefined) {
      const step = (belowMs - aboveMs) / Parts
      this.#startRound(
        now,
        'second',
        Array.from({ length: Parts - 1 }, (_, index) => aboveMs + (1 + index) * step),
      )
    } else
      this.#finish(
        aboveMs === 0 && belowMs === undefined ? { type: 'unknown' } : { type: 'measured', aboveMs, belowMs },
      )
  }

  #tell(): void {
    this.#events.push({ type: 'known', aboveMs: this.#aboveMs, belowMs: this.#belowMs })
  }

  #finish(result: BindingLifetime): void {
    this.#questions.stop()
    this.#waiting = []
    this.#round = 'done'
    this.#events.push({ type: 'done', result })
  }
}
