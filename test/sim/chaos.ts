/** A room that everything happens to, by seed, and the log of what must not have happened. */
import type { RoomEvent } from '../../src/room/events.js'
import { SeededRandom } from './seeded-random.js'
import { Calm, type SimulatedMember } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const Guests = 8
const DayMs = 86_400_000
const Host = 'host'
/** After the host's return, everybody is back within this. */
const RejoinMs = 15_000
const JoinMs = 30_000
const CalmMs = 180_000

interface Post {
  readonly by: string
  readonly text: string
  readonly at: number
}

export class Chaos {
  /** What happened and must not. */
  readonly violations: string[] = []
  readonly #simulated: SimulatedRoom
  readonly #random: SeededRandom
  readonly #names: string[] = []
  readonly #running = new Map<string, SimulatedMember>()
  /** Texts that were shown to each, over all its runs. */
  readonly #shown = new Map<string, string[]>()
  readonly #posts = new Map<string, Post>()
  readonly #addresses = new Map<string, string>()
  /** Since when the running host has counted each member as online. */
  readonly #onlineSince = new Map<string, number>()
  readonly #trace: string[] = []

  constructor(seed: string) {
    this.#random = new SeededRandom(`chaos ${seed}`)
    this.#simulated = new SimulatedRoom(seed, Calm, { historyLimit: 10_000 })
    this.#internet.onEvent = (member, event) => this.#noteEvent(member, event)
  }

  /** Every member's texts, and which of the others' it was not shown. */
  logs(): readonly { readonly name: string; readonly shown: string[]; readonly missing: string[] }[] {
    const posts = [...this.#posts.values()]
    return [Host, ...this.#names].map((name) => {
      const shown = this.#shown.get(name) ?? []
      const seen = new Set(shown)
      const missing = posts.filter(({ by, text }) => by !== name && !seen.has(text))
      return { name, shown, missing: missing.map(({ text }) => text) }
    })
  }

  /** Who has messages that are not known to be delivered. */
  get undelivered(): readonly string[] {
    return this.#all.filter(({ machine }) => machine.undelivered > 0).map(({ name }) => name)
  }

  /** What was done, line by line. */
  get story(): string {
    return this.#trace.join('\n')
  }

  begin(): void {
    this.#startHost()
    for (let number = 0; number < Guests; number += 1) this.#startGuest(`guest ${number}`)
    this.#waitForAll('everybody joins', JoinMs)
    this.#changeWeather()
  }

  /** Does something, and lets a while go by. */
  act(): void {
    const { fraction, pick } = this
    const kind = fraction()
    const guests = this.#guests
    const guest = pick(guests)
    const away = pick(this.#names.filter((name) => !this.#running.has(name)))
    if (kind < 0.5) this.#post(pick(this.#all)!)
    else if (kind < 0.58 && guest && guests.length > 2) this.#kill(guest)
    else if (kind < 0.62 && guest && guests.length > 2) this.#leave(guest)
    else if (kind < 0.74 && away !== undefined) this.#startGuest(away)
    else if (kind < 0.8 && guest) this.#rebind(guest)
    else if (kind < 0.88 && guest) this.#cutOff(guest)
    else if (kind < 0.91) this.#stepClock(pick(this.#all)!)
    else if (kind < 0.93) this.#changeWeather()
    else if (kind < 0.96) this.#restartHost(true)
    else if (kind < 0.98) this.#restartHost(false)
    else if (this.#names.length < Guests + 3) this.#startGuest(`guest ${this.#names.length}`)
    this.#internet.run(fraction() ** 3 * 6000)
    this.#checkAddresses()
  }

  /** Everything heals, and everybody comes back and has everything. */
  calmDown(): void {
    this.#note('calm')
    this.#internet.weather = Calm
    this.#internet.cutOff.clear()
    for (const name of this.#names) if (!this.#running.has(name)) this.#startGuest(name)
    this.#waitForAll('everybody is back', CalmMs)
    for (const member of this.#all) this.#post(member)
    this.#runUntil('everything is delivered', CalmMs, () => this.undelivered.length === 0)
    this.#runUntil('everybody has everything', CalmMs, () =>
      this.logs().every(({ missing }) => missing.length === 0),
    )
    this.#checkAddresses()
  }

  /** How much each member sends where nothing happens. */
  datagramsPerSecond(overMs: number): number {
    const before = this.#internet.sent
    this.#internet.run(overMs)
    return (this.#internet.sent - before) / this.#all.length / (overMs / 1000)
  }

  get #internet(): SimulatedRoom['internet'] {
    return this.#simulated.internet
  }

  get #all(): readonly SimulatedMember[] {
    return [...this.#running.values()]
  }

  get #guests(): readonly SimulatedMember[] {
    return this.#all.filter(({ name }) => name !== Host)
  }

  readonly fraction = (): number => this.#random.fraction()

  readonly pick = <Item>(items: readonly Item[]): Item | undefined =>
    items[Math.floor(this.fraction() * items.length)]

  #post(by: SimulatedMember): void {
    const size = this.fraction() < 0.2 ? 3500 : 30
    const text = `${by.name} says ${this.#posts.size}: ${'x'.repeat(Math.floor(this.fraction() * size))}.`
    this.#note(`${by.name} posts ${this.#posts.size}`)
    const post = { by: by.name, text, at: this.#internet.now }
    const id = this.#internet.post(by, text)
    this.#posts.set(id, post)
  }

  #startHost(): void {
    this.#note('host starts')
    this.#onlineSince.clear()
    this.#running.set(Host, this.#simulated.startHost())
  }

  #startGuest(name: string): void {
    this.#note(`${name} starts`)
    if (!this.#names.includes(name)) this.#names.push(name)
    this.#running.set(name, this.#simulated.startGuest(name))
  }

  #kill(member: SimulatedMember): void {
    this.#note(`${member.name} is killed`)
    this.#internet.kill(member)
    this.#running.delete(member.name)
  }

  #leave(member: SimulatedMember): void {
    this.#note(`${member.name} leaves`)
    this.#internet.input(member, (machine, now) => machine.leave(now))
    this.#runUntil(`${member.name} has left`, 2000, () => member.machine.ended !== undefined)
    this.#internet.kill(member)
    this.#running.delete(member.name)
  }

  #rebind(guest: SimulatedMember): void {
    this.#note(`${guest.name} is rebound`)
    this.#simulated.rebind(guest)
  }

  #cutOff(guest: SimulatedMember): void {
    const { cutOff } = this.#internet
    this.#note(`${guest.name} is ${cutOff.has(guest) ? 'reachable again' : 'cut off'}`)
    if (!cutOff.delete(guest)) cutOff.add(guest)
  }

  #stepClock(member: SimulatedMember): void {
    const forward = this.fraction() < 0.5
    this.#note(`${member.name}'s clock goes ${forward ? 'forward' : 'back'} a day`)
    this.#simulated.stepClock(member.name, forward ? DayMs : -DayMs)
  }

  #changeWeather(): void {
    const loss = this.fraction() * 0.1
    const most = 5 + this.fraction() * 150
    this.#note(`weather: loss ${loss.toFixed(2)}, up to ${most.toFixed(0)} ms`)
    this.#internet.weather = { loss, doubled: this.fraction() * 0.1, delayMs: [2, most] }
  }

  #restartHost(killed: boolean): void {
    const host = this.#running.get(Host)!
    if (killed) this.#kill(host)
    else this.#leave(host)
    for (let pause = 0; pause < 4; pause += 1) {
      const guest = this.pick(this.#guests)
      if (guest && this.fraction() < 0.7) this.#post(guest)
      this.#internet.run(this.fraction() ** 2 * 8000)
    }
    this.#startHost()
    this.#waitForAll('all rejoin after the return of the host', RejoinMs)
  }

  /** Until all that can be reached are in the room, in the eyes of the host and in their own. */
  #waitForAll(what: string, withinMs: number): void {
    const host = this.#running.get(Host)!
    this.#runUntil(what, withinMs, () => {
      const online = new Set(host.machine.members.filter((each) => each.online).map(({ name }) => name))
      return this.#guests.every((guest) => {
        if (this.#internet.cutOff.has(guest)) return true
        return online.has(guest.name) && guest.of('joined').length === 1
      })
    })
  }

  #runUntil(what: string, withinMs: number, holds: () => boolean): void {
    try {
      this.#internet.runUntil(what, withinMs, holds)
    } catch (error) {
      throw new Error(`${this.story}\n${String(error)}`, { cause: error })
    }
  }

  #noteEvent({ name, machine }: SimulatedMember, event: RoomEvent): void {
    if (event.event === 'message') {
      const shown = this.#shown.get(name) ?? []
      if (shown.includes(event.text)) this.#violate(`${name} is shown again: ${event.text.slice(0, 30)}`)
      shown.push(event.text)
      this.#shown.set(name, shown)
    } else if (event.event === 'joined') this.#noteAddress(name, event.address)
    else if (event.event === 'member' && name === Host) {
      if (event.state === 'joined') this.#onlineSince.set(event.name, this.#internet.now)
      else this.#onlineSince.delete(event.name)
    } else if (event.event === 'delivered') this.#checkDelivered(name, event.id)
    else if (event.event === 'error') this.#violate(`${name}: ${event.code} ${event.message}`)
    if (machine.ended?.failure !== undefined) this.#violate(`${name} ends: ${machine.ended.failure.message}`)
  }

  /** Whoever was online all the time has it on disk, so that no kill takes it away again. */
  #checkDelivered(author: string, id: string): void {
    const post = this.#posts.get(id)
    if (post === undefined) return
    const readers = [...this.#onlineSince].filter(([, since]) => author === Host || since < post.at)
    for (const [name] of [...readers, [Host] as const]) {
      const disk = Buffer.from(this.#simulated.disk(name).read('chat') ?? [])
      if (name !== author && !disk.includes(post.text)) {
        this.#violate(`told as delivered, and not on the disk of ${name}: ${post.text.slice(0, 30)}`)
      }
    }
  }

  #checkAddresses(): void {
    const members = this.#running.get(Host)?.machine.members ?? []
    const addresses = members.filter(({ online }) => online).map(({ address }) => address)
    if (new Set(addresses).size < addresses.length) this.#violate('two members have one address')
    for (const { name, address } of members) this.#noteAddress(name, address)
  }

  #noteAddress(name: string, address: string): void {
    const before = this.#addresses.get(name) ?? address
    this.#addresses.set(name, address)
    if (before !== address) this.#violate(`${name} has ${address} after ${before}`)
  }

  #violate(what: string): void {
    this.violations.push(`${Math.round(this.#internet.now)} ms: ${what}`)
  }

  #note(what: string): void {
    this.#trace.push(`${Math.round(this.#internet.now)} ms: ${what}`)
  }
}
