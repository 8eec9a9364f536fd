/**
 * A whole gonet in one process: machines of rooms on a simulated internet, under a clock that jumps from one
 * deadline to the next. Everything that happens follows from the seed.
 */
import {
  type Datagram,
  type Endpoint,
  formatSocketAddress,
  type SocketAddress,
} from '../../src/core/machine.js'
import type { PasswordAnswer, PasswordRequest } from '../../src/core/password-proof.js'
import type { SignalTransmit } from '../../src/core/signal.js'
import type { AdapterState, RecordKey, SignalRecord } from '../../src/core/signalling-adapter.js'
import type { RoomEvent } from '../../src/room/events.js'
import type { RoomMachine, RoomTransmit } from '../../src/room/room-machine.js'
import type { PathDatagram } from '../../src/transports/path/paths.js'
import type { SeededRandom } from './seeded-random.js'
import type { SimulatedAccess } from './simulated-access.js'
import { SimulatedServers } from './simulated-servers.js'

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

/** Proves or checks a member's password: in the simulator an answer takes `PasswordMs`. */
export type SimulatedPassword = (request: PasswordRequest, answer: (answered: PasswordAnswer) => void) => void

/** A member of a room, running. */
export class SimulatedMember {
  readonly name: string
  /** Where its datagrams come from: a NAT may change it under a running member. */
  address: SocketAddress
  readonly machine: RoomMachine
  readonly events: RoomEvent[] = []
  /** What its datagrams pass; without one they come from `address`. */
  access: SimulatedAccess | undefined
  /** IP packets that came for its programs. */
  readonly packets: Uint8Array[] = []
  password: SimulatedPassword | undefined
  /** The same by name: conditions look at them at every step. */
  readonly #byName = new Map<RoomEvent['event'], RoomEvent[]>()

  constructor(name: string, address: SocketAddress, machine: RoomMachine) {
    this.name = name
    this.address = address
    this.machine = machine
  }

  /** Its events of one name, in the order in which they came. */
  of<Name extends RoomEvent['event']>(name: Name): readonly Extract<RoomEvent, { readonly event: Name }>[] {
    return (this.#byName.get(name) ?? []) as Extract<RoomEvent, { readonly event: Name }>[]
  }

  note(event: RoomEvent): void {
    this.events.push(event)
    const namesakes = this.#byName.get(event.event)
    if (namesakes === undefined) this.#byName.set(event.event, [event])
    else namesakes.push(event)
  }

  get texts(): string[] {
    return this.of('message').map(({ text }) => text)
  }
}

/** The delay between a backend's publish and its watchers, in ms. */
export const SignallingMs = 20
const Backend = 'simulated'
const PasswordMs = 400
/** A machine that is due again and again, without time moving on, would hang whoever runs it. */
const MostStepsAtOnce = 100_000

export class SimulatedInternet {
  weather: Weather
  now = 0
  /** Datagrams that members have sent. */
  sent = 0
  /** Those whose datagrams get nowhere, though signalling works. */
  readonly cutOff: Set<SimulatedMember> = new Set()
  /** Told of everything that happens, as it happens. */
  onEvent: (member: SimulatedMember, event: RoomEvent) => void = () => undefined
  /** Told before a member's machine gets an input. */
  onInput: (member: SimulatedMember) => void = () => undefined
  /** All that members have published. */
  readonly records: { readonly member: SimulatedMember; readonly record: SignalRecord }[] = []
  /** Told of every datagram that a member sends, whether it arrives or not. */
  onDatagram: (source: SocketAddress, datagram: Datagram) => void = () => undefined
  readonly #random: SeededRandom
  readonly #byAddress = new Map<string, SimulatedMember>()
  /** Those behind NATs, by their networks' public addresses. */
  readonly #byNetwork = new Map<string, SimulatedMember>()
  /** When each member that runs wants to wake. */
  readonly #wakes = new Map<SimulatedMember, number | undefined>()
  readonly #queue = new Schedule()
  #servers: SimulatedServers | undefined
  /** Beacons stand; everything else is shown to who watches at the time, as MQTT does. */
  readonly #standing = new Map<string, SignalRecord>()
  readonly #watchers = new Map<string, Set<SimulatedMember>>()
  #stepsAtOnce = 0

  constructor(random: SeededRandom, weather: Weather) {
    this.#random = random
    this.weather = weather
  }

  /** The beacons that stand, oldest first. */
  get beacons(): readonly SignalRecord[] {
    return [...this.#standing.values()]
  }

  /** STUN and TURN servers for members to use. */
  get servers(): SimulatedServers {
    this.#servers ??= new SimulatedServers((source, destination, bytes) => {
      this.#queue.add(this.now + this.weather.delayMs[0], () => this.#arrive(source, destination, bytes))
    })
    return this.#servers
  }

  /** @param isBackendUp whether the member reaches the signalling backend */
  add(member: SimulatedMember, isBackendUp = true): SimulatedMember {
    this.#byAddress.set(formatSocketAddress(member.address), member)
    if (member.access !== undefined) this.#byNetwork.set(member.access.publicAddress, member)
    this.#wakes.set(member, undefined)
    member.machine.start(this.now)
    const state: AdapterState = isBackendUp ? { state: 'up' } : { state: 'down', reason: 'out of reach' }
    member.machine.handleAdapterState(this.now, Backend, state)
    this.#drain(member)
    return member
  }

  isRunning(member: SimulatedMember): boolean {
    return this.#wakes.has(member)
  }

  /** The member is gone from one moment to the next, without a word. */
  kill(member: SimulatedMember): void {
    this.#byAddress.delete(formatSocketAddress(member.address))
    if (member.access !== undefined) this.#byNetwork.delete(member.access.publicAddress)
    this.#wakes.delete(member)
    this.cutOff.delete(member)
    for (const watchers of this.#watchers.values()) watchers.delete(member)
  }

  /** The member's NAT gives it another address, and nothing reaches it at the old one any more. */
  rebind(member: SimulatedMember, address: SocketAddress): void {
    this.#byAddress.delete(formatSocketAddress(member.address))
    member.address = address
    this.#byAddress.set(formatSocketAddress(address), member)
  }

  /** Has a datagram arrive at once that somebody sent who is no member. */
  inject(source: SocketAddress, { destination, bytes }: Datagram): void {
    const receiver = this.#byAddress.get(formatSocketAddress(destination))
    if (receiver !== undefined) this.#deliver(source, receiver, bytes)
  }

  /** Gives a member's machine an input. */
  input<Result>(member: SimulatedMember, call: (machine: RoomMachine, now: number) => Result): Result {
    this.onInput(member)
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

  /** Does whatever is next. @returns false where that is after `end`, which is the time then */
  #step(end: number): boolean {
    const next = this.#queue.nextAt ?? Infinity
    if (next > end) {
      this.now = end
      this.#stepsAtOnce = 0
      return false
    }
    this.#stepsAtOnce = next > this.now ? 0 : this.#stepsAtOnce + 1
    if (this.#stepsAtOnce > MostStepsAtOnce) throw new Error(`time stands still at ${this.now} simulated ms`)
    this.now = Math.max(this.now, next)
    this.#queue.take(this.now)?.()
    return true
  }

  #drain(member: SimulatedMember): void {
    const { machine } = member
    for (let sent = machine.pollTransmit(); sent !== undefined; sent = machine.pollTransmit()) {
      if (sent.type === 'datagram') this.#carry(member, sent.datagram)
      else if (sent.type === 'signal') this.#signal(member, sent.signal)
      else if (sent.type === 'password') this.#prove(member, sent.request)
      else if (sent.type === 'packet') member.packets.push(sent.bytes)
      else this.#perform(member, sent)
    }
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      member.note(event)
      this.onEvent(member, event)
    }
    const wakeAt = machine.pollTimeout()
    if (!this.#wakes.has(member) || this.#wakes.get(member) === wakeAt) return
    this.#wakes.set(member, wakeAt)
    if (wakeAt === undefined) return
    this.#queue.add(Math.max(this.now, wakeAt), () => {
      // What it wanted meanwhile stands elsewhere in the queue.
      if (this.#wakes.get(member) !== wakeAt) return
      this.#wakes.set(member, undefined)
      this.input(member, (running, now) => running.handleTimeout(now))
    })
  }

  #prove(member: SimulatedMember, request: PasswordRequest): void {
    member.password?.(request, (answer) => {
      this.#queue.add(this.now + PasswordMs, () => {
        if (!this.isRunning(member)) return
        this.input(member, (machine, now) => machine.handlePassword(now, request.id, answer))
      })
    })
  }

  #perform(member: SimulatedMember, transmit: RoomTransmit): void {
    if (transmit.type === 'open-sockets') {
      member.access?.openSockets(transmit.ids)
      this.#soon(member, (machine, now) => machine.handleSockets(now, transmit.ids))
    } else if (transmit.type === 'close-sockets') {
      member.access?.closeSockets(transmit.ids)
    } else if (transmit.type === 'connect') {
      const { relay } = transmit
      this.servers.connect(member.name, (bytes) =>
        this.#soon(member, (machine, now) =>
          machine.handleRelayStream(now, relay, { type: 'bytes', bytes: bytes.slice() }),
        ),
      )
      this.#soon(member, (machine, now) => machine.handleRelayStream(now, relay, { type: 'connected' }))
    } else if (transmit.type === 'stream') {
      const bytes = transmit.bytes.slice()
      this.#queue.add(this.now + this.weather.delayMs[0], () => this.servers.handleStream(member.name, bytes))
    }
  }

  #soon(member: SimulatedMember, call: (machine: RoomMachine, now: number) => void): void {
    this.#queue.add(this.now + this.weather.delayMs[0], () => {
      if (this.isRunning(member)) this.input(member, call)
    })
  }

  #carry(member: SimulatedMember, { destination, bytes, hops }: PathDatagram): void {
    this.sent += 1
    this.onDatagram(member.address, { destination, bytes })
    const address =
      member.access === undefined ? member.address : member.access.outbound(this.now, destination)
    // What may pass a few routers only has passed its own, and reaches no other's.
    if (address === undefined || hops !== undefined) return
    const copies = this.#random.fraction() < this.weather.doubled ? 2 : 1
    for (let copy = 0; copy < copies; copy += 1) {
      if (this.#random.fraction() < this.weather.loss || this.cutOff.has(member)) continue
      const [least, most] = this.weather.delayMs
      this.#queue.add(this.now + least + (most - least) * this.#random.fraction(), () => {
        this.#arrive(address, destination, bytes)
      })
    }
  }

  #arrive(source: SocketAddress, destination: SocketAddress, bytes: Uint8Array): void {
    if (this.#servers?.handleDatagram(source, destination, bytes) === true) return
    const receiver =
      this.#byNetwork.get(destination.address) ?? this.#byAddress.get(formatSocketAddress(destination))
    if (receiver === undefined || this.cutOff.has(receiver)) return
    const seen =
      receiver.access === undefined ? source : receiver.access.inbound(this.now, source, destination)
    if (seen !== undefined) this.#deliver(seen, receiver, bytes)
  }

  #deliver(source: Endpoint, receiver: SimulatedMember, bytes: Uint8Array): void {
    // Receivers may write into what they get.
    this.input(receiver, (machine, now) => machine.handleDatagram(now, source, bytes.slice()))
  }

  #signal(member: SimulatedMember, transmit: SignalTransmit): void {
    switch (transmit.kind) {
      case 'watch': {
        this.#watchersOf(transmit).add(member)
        const standing = [...this.#standing.values()].filter(({ box }) => box === transmit.box)
        for (const record of standing) this.#show(record, (watchers) => watchers.has(member) && [member])
        break
      }
      case 'unwatch':
        this.#watchersOf(transmit).delete(member)
        break
      case 'retract':
        this.#standing.delete(standingName(transmit.key))
        break
      case 'publish': {
        const { record } = transmit
        this.records.push({ member, record })
        if (record.box === 'host') this.#standing.set(standingName(record), record)
        this.#show(record, (watchers) => [...watchers])
      }
    }
  }

  #show(
    record: SignalRecord,
    whom: (watchers: ReadonlySet<SimulatedMember>) => readonly SimulatedMember[] | false,
  ): void {
    this.#queue.add(this.now + SignallingMs, () => {
      for (const member of whom(this.#watchersOf(record)) || []) {
        this.input(member, (machine, now) => machine.handleRecord(now, Backend, record))
      }
    })
  }

  #watchersOf({ topic, box }: Pick<SignalRecord, 'topic' | 'box'>): Set<SimulatedMember> {
    const key = `${topic}/${box}`
    const watchers = this.#watchers.get(key) ?? new Set()
    this.#watchers.set(key, watchers)
    return watchers
  }
}

function standingName({ topic, sender }: RecordKey): string {
  return `${topic}/${sender}`
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
