/** Our node in the DHT: how it starts and ends, and whether the others answer. */
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { isIPv4 } from 'node:net'
import DHT from '@hyperswarm/dht'
import { UsageError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { Backoff } from '../shared/backoff.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { abortable, delay } from '../waiting.js'
import { type BootstrapNode, formatBootstrapNode } from './bootstrap-node.js'
import { Gate } from './gate.js'

export interface DhtNodeOptions {
  readonly bootstrap: readonly BootstrapNode[]
  readonly port: number
  readonly clock: Clock
  readonly random: Random
  readonly onUp: () => void
  /** @param reason for a person */
  readonly onDown: (reason: string) => void
}

/** A node shows no more than so many of those who meet somewhere, drawn by lot each time. */
export const ShownAtATime = 20
/** Between two looks whether anybody answers. */
const ProbeMs = 3_000
/** Where only one node could be asked, one lost packet is no outage: before we ask again. */
const SecondProbeMs = 300
const FirstRetryMs = 500
const LongestRetryMs = 4_000
const LookupLimitMs = 5_000
/** Known nodes that are asked beside one of the bootstrap nodes. */
const ProbedNodes = 2
/** Where strangers have begun handshakes that they do not finish: no more than these are kept, and so long. */
const MaxUnfinished = 128
const UnfinishedMs = 15_000

export class DhtNode {
  readonly dht: DHT
  readonly #options: DhtNodeOptions
  readonly #up = new Gate()
  readonly #upListeners = new Set<() => void>()
  readonly #closing = new AbortController()
  readonly #watching: Promise<void>
  readonly #unfinished = new Set<() => void>()
  /** Of bootstrap nodes, by name. */
  readonly #addresses = new Map<string, string>()

  private constructor(options: DhtNodeOptions) {
    this.#options = options
    const { bootstrap, port } = options
    // Where everybody is on this machine, nobody else need reach us; nor is there a NAT to find out about.
    const isLocal = bootstrap.every(({ host }) => isLoopbackHost(host))
    this.dht = new DHT({
      bootstrap,
      port: port === 0 ? [0, 0] : [port, port + 1],
      anyPort: port === 0,
      ephemeral: true,
      ...(isLocal && { host: '127.0.0.1', firewalled: false }),
    })
    this.#limitUnfinished()
    this.#watching = this.#watch()
  }

  /** @throws UsageError `dht-port` where our port cannot be had; the signal's reason on abort */
  static async start(options: DhtNodeOptions, signal: AbortSignal): Promise<DhtNode> {
    if (options.port !== 0) await abortable(checkPort(options.port), signal)
    signal.throwIfAborted()
    return new DhtNode(options)
  }

  get isUp(): boolean {
    return this.#up.isOpen
  }

  /** Whether strangers may begin another handshake with us. */
  get takesHandshakes(): boolean {
    return this.#unfinished.size < MaxUnfinished
  }

  /** Whether all of the DHT that we know is on this machine. */
  get isLocal(): boolean {
    return this.#options.bootstrap.every(({ host }) => isLoopbackHost(host))
  }

  /** Resolves when some node of the DHT answers; rejects with the signal's reason on abort. */
  whenUp(signal: AbortSignal): Promise<void> {
    return this.#up.passed(signal)
  }

  /** Calls back whenever the DHT is back: it may have forgotten us. */
  onceMoreUp(listener: () => void, signal: AbortSignal): void {
    this.#upListeners.add(listener)
    signal.addEventListener('abort', () => this.#upListeners.delete(listener), { once: true })
  }

  /** Ends the node at once, without a farewell. */
  async close(): Promise<void> {
    this.#closing.abort()
    for (const forget of this.#unfinished) forget()
    await Promise.all([this.dht.destroy({ force: true }).catch(() => undefined), this.#watching])
  }

  async #watch(): Promise<void> {
    const { clock, random } = this.#options
    const { signal } = this.#closing
    const backoff = new Backoff(random, { firstMs: FirstRetryMs, longestMs: LongestRetryMs })
    let isDoubted = false
    for (;;) {
      const reason = await this.#probe()
      if (signal.aborted) return
      let waitMs = backoff.jittered(ProbeMs)
      if (reason === undefined) {
        isDoubted = false
        backoff.reset()
        this.#changeTo(undefined)
      } else if (this.#up.isOpen && !isDoubted && this.dht.toArray({ limit: 1 }).length === 0) {
        isDoubted = true
        waitMs = SecondProbeMs
      } else {
        this.#changeTo(reason)
        waitMs = backoff.next()
      }
      await delay(clock, waitMs, signal).catch(() => undefined)
    }
  }

  #changeTo(reason: string | undefined): void {
    if (reason !== undefined) {
      this.#up.shut()
      this.#options.onDown(reason)
      return
    }
    if (this.#up.isOpen) return
    this.#up.open()
    this.#options.onUp()
    for (const listener of this.#upListeners) listener()
  }

  /** Why nobody answers, or undefined where somebody does. */
  async #probe(): Promise<string | undefined> {
    const { bootstrap, random } = this.#options
    try {
      await abortable(this.dht.bind(), this.#closing.signal)
      const known = shuffled(this.dht.toArray({ limit: 16 }), random).slice(0, ProbedNodes)
      const asked = this.#up.isOpen ? shuffled(bootstrap, random).slice(0, 1) : bootstrap
      const reasons: string[] = []
      const attempts = [
        ...known.map((node) => this.#ask(node)),
        ...asked.map(async (node) => {
          const reason = await this.#askByName(node)
          if (reason === undefined) return
          reasons.push(`${formatBootstrapNode(node)}: ${reason}`)
          throw new Error(reason)
        }),
      ]
      return await Promise.any(attempts).then(
        () => undefined,
        () => `no node of the DHT answers: ${reasons.sort().join('; ')}`,
      )
    } catch {
      return 'our UDP socket cannot be used'
    }
  }

  async #askByName({ host, port }: BootstrapNode): Promise<string | undefined> {
    let address = host
    if (!isIPv4(host)) {
      const found = await this.#lookUp(host)
      if (found === undefined) return 'the name cannot be looked up'
      address = found
      // Else the library would look the names up again for most of its questions.
      this.#addresses.set(host, address)
      this.dht.bootstrapNodes = this.#options.bootstrap.map((node) => ({
        host: this.#addresses.get(node.host) ?? node.host,
        port: node.port,
      }))
    }
    return this.#ask({ host: address, port }).then(
      () => undefined,
      () => 'no answer (a wrong address, or a firewall lets no UDP through)',
    )
  }

  async #ask(node: DHT.Address): Promise<void> {
    // The library gives an answer a second.
    await abortable(this.dht.ping(node, { retry: false }), this.#closing.signal)
  }

  async #lookUp(host: string): Promise<string | undefined> {
    const { clock } = this.#options
    const limit = new AbortController()
    const cancel = clock.after(LookupLimitMs, () => {
      limit.abort()
    })
    try {
      const either = AbortSignal.any([limit.signal, this.#closing.signal])
      return (await abortable(lookup(host, { family: 4 }), either)).address
    } catch {
      return undefined
    } finally {
      cancel()
    }
  }

  /**
   * A stream is made for each handshake that is begun with us, and the library keeps it for ever where the
   * other side then does not come. Each has a buffer of 64 KiB.
   */
  #limitUnfinished(): void {
    const { udx } = this.dht
    const { clock } = this.#options
    const create = udx.createStream.bind(udx)
    udx.createStream = (id, options) => {
      const stream = create(id, options)
      const forget = (): void => {
        cancel()
        this.#unfinished.delete(forget)
      }
      const cancel = clock.after(UnfinishedMs, () => {
        forget()
        if (!stream.connected) stream.destroy()
      })
      this.#unfinished.add(forget)
      stream.once('connect', forget)
      stream.once('close', forget)
      return stream
    }
  }
}

/** @throws UsageError `dht-port` */
async function checkPort(port: number): Promise<void> {
  const socket = createSocket('udp4')
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.bind(port, resolve)
    })
  } catch (error) {
    throw new UsageError('dht-port', `adapters.dht.port: UDP port ${port} cannot be had`, {
      advice: 'Choose another port, or 0 for any',
      cause: error,
    })
  } finally {
    socket.close()
  }
}

/** In an order of chance. */
export function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, order: random.fraction() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
