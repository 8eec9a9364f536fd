/**
 * A whole gonet in one process: machines of rooms on a simulated internet, under a clock that jumps from one
 * deadline to the next. Everything that happens follows from the seed.
 */
import { type Datagram, formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import type { SignalTransmit } from '../../src/core/signal.js'
import type { AdapterState, SignalRecord } from '../../src/core/signalling-adapter.js'
import type { RoomEvent } from '../../src/room/events.js'
import type { RoomMachine } from '../../src/room/room-machine.js'
import type { SeededRandom } from './seeded-random.js'

/** How the network treats datagrams. */
export interface Weather {
  /** From 0 to 1. */
  readonly loss: number
  /** How many come twice, from 0 to 1. */
  readonly doubled: number
  /** One way, in ms; that datagrams overtake each other follows from the difference. */
  readonly delayMs: readonly [least: number, most: number]
}

export const Calm: Weather = { loss: 0, doubled: 0, delayMs: [5, 5] }
export const Storm: Weather = { loss: 0.1, doubled: 0.05, delayMs: [5, 80] }

/** A member of a room, running. */
export class SimulatedMember {
  readonly name: string
  readonly address: SocketAddress
  readonly machine: RoomMachine
  readonly events: RoomEvent[] = []

  constructor(name: string, address: SocketAddress, machine: RoomMachine) {
    this.name = name
    this.address = address
    this.machine = machine
  }

  of<Name extends RoomEvent['event']>(name: Name): Extract<RoomEvent, { readonly event: Name }>[] {
    return this.events.filter(
      (event): event is Extract<RoomEvent, { readonly event: Name }> => event.event === name,
    )
  }

  get texts(): string[] {
    return this.of('message').map(({ text }) => text)
  }
}

/** The delay between a backend's publish and its watchers, in ms. */
const SignallingMs = 20
const Backend = 'simulated'

export class SimulatedInternet {
  weather: Weather
  now = 0
  readonly #random: SeededRandom
  readonly #members: SimulatedMember[] = []
  readonly #queue = new Schedule()
  /** Beacons stand; everything else is shown to who watches at the time, as MQTT does. */
  readonly #standing = new Map<string, SignalRecord>()
  readonly #watches = new Map<SimulatedMember, Set<string>>()

  constructor(random: SeededRandom, weather: Weather) {
    this.#random = random
    this.weather = weather
  }

  /** The beacons that stand, oldest first. */
  get beacons(): readonly SignalRecord[] {
    return [...this.#standing.values()]
  }

  /** @param isBackendUp whether the member reaches the signalling backend */
  add(member: SimulatedMember, isBackendUp = true): SimulatedMember {
    this.#members.push(member)
    this.#watches.set(member, new Set())
    member.machine.start(this.now)
    const state: AdapterState = isBackendUp ? { state: 'up' } : { state: 'down', reason: 'out of reach' }
    member.machine.handleAdapterState(this.now, Backend, state)
    this.#drain(member)
    return member
  }

  /** The member is gone from one moment to the next, without a word. */
  kill(member: SimulatedMember): void {
    this.#members.splice(this.#members.indexOf(member), 1)
    this.#watches.delete(member)
  }

  /** Gives a member's machine an input. */
  input<Result>(member: SimulatedMember, call: (machine: RoomMachine, now: number) => Result): Result {
    const result = call(member.machine, this.now)
    this.#drain(member)
    return result
  }

  post(member: SimulatedMember, text: string): string {
    return this.input(member, (machine, now) => machine.post(now, text))
  }

  /** Runs until the condition holds. @throws Error where it does not within `withinMs` of simulated time */
  runUntil(what: string, withinMs: number, holds: () => boolean): void {
    const end = this.now + withinMs
    while (!holds()) {
      if (!this.#step(end)) throw new Error(`not within ${withinMs} simulated ms: ${what}`)
    }
  }

  run(forMs: number): void {
    const end = this.now + forMs
    while (this.#step(end));
  }

  /** Jumps to whatever is next. @returns false where that is after `end`, which is the time then */
  #step(end: number): boolean {
    let next = this.#queue.nextAt ?? Infinity
    for (const { machine } of this.#members) next = Math.min(next, machine.pollTimeout() ?? Infinity)
    if (next > end) {
      this.now = end
      return false
    }
    this.now = Math.max(this.now, next)
    for (let action = this.#queue.take(this.now); action; action = this.#queue.take(this.now)) action()
    for (const member of [...this.#members]) {
      const deadline = member.machine.pollTimeout()
      if (deadline === undefined || deadline > this.now) continue
      member.machine.handleTimeout(this.now)
      this.#drain(member)
    }
    return true
  }

  #drain(member: SimulatedMember): void {
    const { machine } = member
    for (let sent = machine.pollTransmit(); sent !== undefined; sent = machine.pollTransmit()) {
      if (sent.type === 'datagram') this.#carry(member, sent.datagram)
      else this.#signal(member, sent.signal)
    }
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      member.events.push(event)
    }
  }

  #carry({ address }: SimulatedMember, { destination, bytes }: Datagram): void {
    const copies = this.#random.fraction() < this.weather.doubled ? 2 : 1
    const target = formatSocketAddress(destination)
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#random.fraction() < this.weather.loss) continue
      const [least, most] = this.weather.delayMs
      this.#queue.add(this.now + least + (most - least) * this.#random.fraction(), () => {
        const receiver = this.#members.find((each) => formatSocketAddress(each.address) === target)
        if (receiver === undefined) return
        this.input(receiver, (machine, now) => machine.handleDatagram(now, address, bytes.slice()))
      })
    }
  }

  #signal(member: SimulatedMember, transmit: SignalTransmit): void {
    switch (transmit.kind) {
      case 'watch': {
        this.#watches.get(member)?.add(`${transmit.topic}/${transmit.box}`)
        const standing = [...this.#standing.values()].filter(({ box }) => box === transmit.box)
        for (const record of standing) this.#show(record, [member])
        break
      }
      case 'unwatch':
        this.#watches.get(member)?.delete(`${transmit.topic}/${transmit.box}`)
        break
      case 'retract':
        this.#standing.delete(transmit.key.sender)
        break
      case 'publish': {
        const { record } = transmit
        if (record.box === 'host') this.#standing.set(record.sender, record)
        this.#show(record, this.#members)
      }
    }
  }

  #show(record: SignalRecord, members: readonly SimulatedMember[]): void {
    for (const member of members) {
      this.#queue.add(this.now + SignallingMs, () => {
        if (this.#watches.get(member)?.has(`${record.topic}/${record.box}`) !== true) return
        this.input(member, (machine, now) => machine.handleRecord(now, Backend, record))
      })
    }
  }
}

/** What is to happen, by time; at one time in the order in which it was added. A binary heap. */
class Schedule {
  readonly #heap: { readonly at: number; readonly order: number; readonly action: () => void }[] = []
  #added = 0

  get nextAt(): number | undefined {
    return this.#heap[0]?.at
  }

  add(at: number, action: () => void): void {
    this.#heap.push({ at, order: this.#added++, action })
    for (let child = this.#heap.length - 1; child > 0; ) {
      const parent = (child - 1) >> 1
      if (this.#isBefore(parent, child)) return
      this.#swap(parent, child)
      child = parent
    }
  }

  take(now: number): (() => void) | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.at > now) return undefined
    const last = this.#heap.pop()!
    if (this.#heap.length > 0) {
      this.#heap[0] = last
      this.#sink()
    }
    return first.action
  }

  #sink(): void {
    for (let parent = 0; ; ) {
      let least = parent
      for (const child of [2 * parent + 1, 2 * parent + 2]) {
        if (child < this.#heap.length && !this.#isBefore(least, child)) least = child
      }
      if (least === parent) return
      this.#swap(parent, least)
      parent = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a]!, this.#heap[b]!]
    return first.at < second.at || (first.at === second.at && first.order <= second.order)
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a]!, this.#heap[b]!]
    this.#heap[a] = second
    this.#heap[b] = first
  }
}
