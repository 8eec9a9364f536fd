/**
 * This machine's place on the local links: sockets on every interface that is there now. When interfaces come
 * or go, the sockets are made anew; as long as there are none, it looks again and again.
 */
import type { Socket } from 'node:dgram'
import type { TxtAnswer } from 'dns-packet'
import makeMdns, { type MulticastDNS } from 'multicast-dns'
import { TokenBucket } from '../../core/bounded.js'
import { explain, SignallingError } from '../../core/errors.js'
import type { AdapterContext } from '../adapter-definition.js'
import { Backoff } from '../shared/backoff.js'
import { BoundedMap } from '../shared/bounded-map.js'
import type { StateReport } from '../shared/state-report.js'
import { abortable } from '../waiting.js'
import type { Family, LinkInterface } from './interfaces.js'
import { Groups, LinkSocket, type LinkSocketOptions, Port } from './link-socket.js'

/** The TXT data under a name. */
export interface Answer {
  readonly name: string
  /** Seconds; 0 takes it back (RFC 6762 section 10.1). */
  readonly ttl: number
  readonly strings: readonly Buffer[]
}

/** What the machine has of networks. Tests put themselves between. */
export interface Network {
  interfaces(): readonly LinkInterface[]
  makeSocket(options: LinkSocketOptions): LinkSocket
}

export interface LinkOptions extends Pick<AdapterContext, 'clock' | 'random' | 'logger'> {
  readonly network: Network
  /** For the message that says that it is missing: the configured interface. */
  readonly chosen: string | undefined
  readonly report: StateReport
  readonly isWanted: (packet: Buffer) => boolean
  /** The names that are asked for. */
  readonly onQuestion: (name: string) => void
  readonly onAnswer: (source: string, answer: Answer) => void
  /** There are sockets, or new ones: what was said and asked before has to be said and asked again. */
  readonly onUp: () => void
}

/** Interfaces that come and go are noticed so late; the system has no event for it. */
const CheckMs = 2_000
const RetryLimits = { firstMs: 500, longestMs: CheckMs }
/** What is parsed of what others send, packets a second: of all, and of one neighbour. */
const PacketsPerSecond = 4_000
const PacketsPerSource = 1_000
const MaxSources = 256
/** What one packet can ask for or say. */
const MaxEntries = 64
/** The network's way of losing a packet. */
const LossCodes: ReadonlySet<string> = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM'])

/** What there is for one family of addresses. */
interface Station {
  readonly mdns: MulticastDNS
  readonly socket: LinkSocket
  /** The interfaces that it is for. */
  readonly plan: string
  isFailing: boolean
}

export class Link {
  readonly #options: LinkOptions
  readonly #backoff: Backoff
  readonly #bucket = new TokenBucket(PacketsPerSecond, PacketsPerSecond)
  readonly #sources = new BoundedMap<string, TokenBucket>(MaxSources)
  readonly #waiting = new Set<() => void>()
  readonly #stations = new Map<Family, Station>()
  #checking: Promise<void> | undefined
  #isClosed = false
  #cancelCheck: () => void = () => undefined

  constructor(options: LinkOptions) {
    this.#options = options
    this.#backoff = new Backoff(options.random, RetryLimits)
  }

  /** Looks for interfaces, now and from now on. */
  start(): void {
    void this.#check()
  }

  get isUp(): boolean {
    return this.#stations.size > 0
  }

  /** Resolves when there is a link; rejects with the signal's reason. */
  async whenUp(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.isUp) return
    let resume = (): void => undefined
    const resumed = new Promise<void>((resolve) => {
      resume = resolve
    })
    this.#waiting.add(resume)
    try {
      await abortable(resumed, signal)
    } finally {
      this.#waiting.delete(resume)
    }
  }

  ask(name: string): void {
    for (const station of this.#stations.values()) {
      station.mdns.query([{ name, type: 'TXT' }], (error: Error | null | undefined) => {
        this.#sent(station, error)
      })
    }
  }

  /** Resolves when it is sent, as far as it can be. */
  async say({ name, ttl, strings }: Answer): Promise<void> {
    await Promise.all(
      Array.from(
        this.#stations.values(),
        (station) =>
          new Promise<void>((resolve) => {
            // The library writes the strings; it does not keep them.
            const answer: TxtAnswer = { name, type: 'TXT', class: 'IN', ttl, data: [...strings] }
            station.mdns.respond([answer], (error: Error | null | undefined) => {
              this.#sent(station, error)
              resolve()
            })
          }),
      ),
    )
  }

  /** Ends everything, within half a second. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#checking
    this.#cancelCheck()
    this.#waiting.clear()
    await this.#leave()
  }

  #check(): Promise<void> {
    this.#checking ??= this.#checkNow().finally(() => {
      this.#checking = undefined
    })
    return this.#checking
  }

  async #checkNow(): Promise<void> {
    if (this.#isClosed) return
    this.#cancelCheck()
    const interfaces = this.#options.network.interfaces()
    let isChanged = false
    let trouble: string | undefined
    for (const family of [4, 6] as const) {
      const own = interfaces.filter((each) => each.family === family)
      try {
        isChanged = (await this.#settle(family, own)) || isChanged
      } catch (error) {
        this.#options.logger.debug('mdns interface', { reason: explain(error) })
        trouble ??= explain(error)
      }
    }
    if (!this.isUp) this.#options.report.down(trouble ?? this.#nowhere())
    else if (isChanged) this.#rise()
    this.#checkIn(this.isUp ? CheckMs : this.#backoff.next())
  }

  /** Makes a family's station what it should be. @returns whether it is new, or speaks on more interfaces */
  async #settle(family: Family, interfaces: readonly LinkInterface[]): Promise<boolean> {
    const plan = JSON.stringify(interfaces)
    const station = this.#stations.get(family)
    // An address that was not ready before may be now.
    if (station?.plan === plan) return station.socket.join().joined > 0
    if (station !== undefined) {
      this.#stations.delete(family)
      await destroyed(station.mdns)
    }
    if (interfaces.length === 0) return false
    this.#stations.set(family, await this.#open(family, interfaces, plan))
    return true
  }

  #nowhere(): string {
    const { chosen } = this.#options
    return chosen === undefined
      ? 'mdns: this machine is in no local network'
      : `mdns: no interface of this machine has the address ${chosen} (adapters.mdns.interface), or it is down`
  }

  #rise(): void {
    if (this.#isClosed) return
    this.#backoff.reset()
    this.#options.report.up()
    for (const resume of this.#waiting) resume()
    this.#waiting.clear()
    this.#options.onUp()
  }

  #checkIn(delayMs: number): void {
    this.#cancelCheck()
    this.#cancelCheck = this.#options.clock.after(delayMs, () => void this.#check())
  }

  async #open(family: Family, interfaces: readonly LinkInterface[], plan: string): Promise<Station> {
    const { network, isWanted } = this.#options
    const socket = network.makeSocket({
      family,
      interfaces,
      isWanted: (packet, source) => isWanted(packet) && this.#mayParse(source),
    })
    const mdns = makeMdns({
      type: family === 4 ? 'udp4' : 'udp6',
      ip: Groups[family],
      port: Port,
      // The library wants to be told; the memberships are the socket's own.
      interface: family === 4 ? '0.0.0.0' : '::',
      bind: family === 4 ? '0.0.0.0' : '::',
      multicast: false,
      socket: socket as unknown as Socket,
    })
    mdns.on('warning', () => undefined)
    try {
      await new Promise<void>((resolve, reject) => {
        mdns.on('error', reject)
        mdns.on('ready', resolve)
      })
      const { joined, failures } = socket.join()
      if (joined === 0) throw failures[0] ?? new Error('no interface')
      await probed(mdns)
    } catch (error) {
      await destroyed(mdns)
      throw failure(error, interfaces)
    }
    mdns.on('query', ({ questions }) => {
      for (const { name, type } of (questions ?? []).slice(0, MaxEntries)) {
        if (type === 'TXT' || (type as string) === 'ANY') this.#options.onQuestion(name.toLowerCase())
      }
    })
    mdns.on('response', ({ answers = [], additionals = [] }, { address, port }) => {
      // RFC 6762 section 6.
      if (port !== Port) return
      for (const answer of [...answers, ...additionals].slice(0, MaxEntries)) {
        if (answer.type !== 'TXT' || !Array.isArray(answer.data)) continue
        const strings = answer.data as Buffer[]
        this.#options.onAnswer(address, { name: answer.name.toLowerCase(), ttl: answer.ttl ?? 0, strings })
      }
    })
    return { mdns, socket, plan, isFailing: false }
  }

  #mayParse(source: string): boolean {
    const now = this.#options.clock.now()
    const own = this.#sources.getOrSet(source, () => new TokenBucket(PacketsPerSource, PacketsPerSource))
    return own.take(now) && this.#bucket.take(now)
  }

  #sent(station: Station, error: Error | null | undefined): void {
    const { code } = (error ?? {}) as NodeJS.ErrnoException
    const stations = [...this.#stations.values()]
    if (!stations.includes(station) || LossCodes.has(code ?? '')) return
    station.isFailing = error !== null && error !== undefined
    if (!stations.every(({ isFailing }) => isFailing)) return
    this.#options.report.down(failure(error, []).message)
    void this.#leave()
    this.#checkIn(this.#backoff.next())
  }

  async #leave(): Promise<void> {
    const stations = [...this.#stations.values()]
    this.#stations.clear()
    await Promise.all(stations.map(({ mdns }) => destroyed(mdns)))
  }
}

/** Sends a packet without questions, which nobody answers: a firewall shows itself here, if anywhere. */
async function probed(mdns: MulticastDNS): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    mdns.query([], (error: Error | null | undefined) => {
      if (error === null || error === undefined) resolve()
      else reject(error)
    })
  })
}

async function destroyed(mdns: MulticastDNS): Promise<void> {
  await new Promise<void>((resolve) => {
    mdns.destroy(resolve)
  })
}

/** What a socket's error means, for a person. */
function failure(error: unknown, interfaces: readonly LinkInterface[]): SignallingError {
  const { code } = error as NodeJS.ErrnoException
  const where = interfaces.length === 0 ? '' : ` on ${interfaces.map(({ name }) => name).join(', ')}`
  const causes: Readonly<Record<string, string>> = {
    EADDRINUSE: `UDP port ${Port} is taken by a program that does not share it: end that, or leave mdns out`,
    EACCES: `the system does not allow UDP port ${Port} or multicast: a firewall or a sandbox forbids it`,
    EPERM: 'the system does not allow to send multicast: a firewall forbids it',
    ENODEV: `there is no multicast${where}`,
    EADDRNOTAVAIL: `there is no multicast${where}`,
    ENETUNREACH: `there is no route for multicast${where}`,
    EHOSTUNREACH: `there is no route for multicast${where}`,
    ENETDOWN: `the network is down${where}`,
  }
  const cause = causes[code ?? ''] ?? `multicast fails${where}: ${explain(error)}`
  return new SignallingError('multicast-failed', `mdns: ${cause}`)
}
