/** Runs NAT behaviour discovery (src/transports/nat) on real sockets, for each address family. */
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { formatSocketAddress, type Machine, type SocketAddress } from '../core/machine.js'
import type { Clock, Logger, Random, UdpSocket } from '../core/ports.js'
import { NatDiscovery, type NatDiscoveryResult, type NatDiscoveryStep } from '../transports/nat/discovery.js'
import {
  type BindingLifetime,
  BindingLifetimeSockets,
  BindingLifetimeTest,
} from '../transports/nat/lifetime.js'
import type { Answer, QuestionsCounters, SocketDatagram } from '../transports/nat/questions.js'
import { canonicalAddress } from './canonical-address.js'
import { openUdpSocket } from './udp-socket.js'

export type Family = 'ipv4' | 'ipv6'

export interface DiscoverNatOptions {
  /** `host:port`, as `transport.stun` has them. */
  readonly servers: readonly string[]
  /** Whether to measure how long bindings live, which takes minutes. */
  readonly lifetime: boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Ends everything, and `discoverNat` rejects with its reason. */
  readonly signal: AbortSignal
  readonly onProgress: (progress: NatProgress) => void
}

export type NatProgress =
  | { readonly type: 'resolving' }
  | { readonly type: 'step'; readonly family: Family; readonly step: NatDiscoveryStep }
  | {
      readonly type: 'lifetime'
      readonly family: Family
      readonly aboveMs: number
      readonly belowMs: number | undefined
    }

export interface NatReport {
  readonly servers: readonly NamedServer[]
  /** undefined where the machine, or every server, has no address of this family. */
  readonly ipv4: FamilyReport | undefined
  readonly ipv6: FamilyReport | undefined
}

export interface NamedServer {
  /** As it is configured. */
  readonly name: string
  /** Undefined where the name has no address. */
  readonly addresses: readonly SocketAddress[] | undefined
  /** What came of asking it, for each of its addresses that this machine has a way to. */
  readonly answers: readonly { readonly address: SocketAddress; readonly answer: Answer }[]
}

export interface FamilyReport extends NatDiscoveryResult {
  /** undefined where it was not asked for, or no server has answered. */
  readonly lifetime: BindingLifetime | undefined
}

/** More servers say no more. */
const MaxServers = 8
/** How long looking up a name may take. */
const LookupMs = 5000
const TimerMaxMs = 60_000

/**
 * Asks the servers, on all families at once.
 * @throws what `signal` is aborted with; UsageError `udp-port` where no socket can be had
 */
export async function discoverNat(options: DiscoverNatOptions): Promise<NatReport> {
  const { signal, onProgress } = options
  signal.throwIfAborted()
  onProgress({ type: 'resolving' })
  const names = [...new Set(options.servers)].slice(0, MaxServers)
  const resolved = await Promise.all(
    names.map(async (name) => ({ name, addresses: await resolve(name, options) })),
  )
  signal.throwIfAborted()
  const [ipv4, ipv6] = await Promise.all(
    (['ipv4', 'ipv6'] as const).map((family) => {
      const isV6 = family === 'ipv6'
      const all = resolved.flatMap(({ addresses = [] }) => addresses)
      const own = all.filter(({ address }) => address.includes(':') === isV6)
      const each = new Map(own.map((address) => [formatSocketAddress(address), address]))
      return discoverFamily(family, [...each.values()], options)
    }),
  )
  const asked = [ipv4, ipv6].flatMap((report) => report?.servers ?? [])
  const servers = resolved.map(({ name, addresses }) => {
    const own = (addresses ?? []).map(formatSocketAddress)
    const answers = asked.filter(({ server }) => own.includes(formatSocketAddress(server)))
    return { name, addresses, answers: answers.map(({ server, answer }) => ({ address: server, answer })) }
  })
  return { servers, ipv4, ipv6 }
}

async function discoverFamily(
  family: Family,
  servers: readonly SocketAddress[],
  options: DiscoverNatOptions,
): Promise<FamilyReport | undefined> {
  const [first] = servers
  const local = first && (await localAddressTowards(first))
  if (local === undefined) return undefined
  const { random, onProgress } = options
  const result = await withSockets(family, 3, async (sockets) => {
    const at = (index: number): SocketAddress => ({ address: local, port: sockets[index]?.local.port ?? 0 })
    const machine = new NatDiscovery({ random, servers, sockets: [at(0), at(1), at(2)] })
    return run(machine, sockets, options, (event) => {
      if (event.type === 'done') return event.result
      onProgress({ type: 'step', family, step: event.step })
      return undefined
    })
  })
  const lifetime = options.lifetime ? await measure(family, result.server, options) : undefined
  return { ...result, lifetime }
}

async function measure(
  family: Family,
  server: SocketAddress | undefined,
  options: DiscoverNatOptions,
): Promise<BindingLifetime | undefined> {
  if (server === undefined) return undefined
  const { random, onProgress } = options
  onProgress({ type: 'lifetime', family, aboveMs: 0, belowMs: undefined })
  return withSockets(family, BindingLifetimeSockets, (sockets) =>
    run(new BindingLifetimeTest({ random, server }), sockets, options, (event) => {
      if (event.type === 'done') return event.result
      onProgress({ ...event, type: 'lifetime', family })
      return undefined
    }),
  )
}

interface SocketMachine<Event> extends Machine<Event, SocketDatagram> {
  readonly counters: Readonly<QuestionsCounters>
  start(now: number): void
  handleDatagram(now: number, socket: number, source: SocketAddress, bytes: Uint8Array): void
}

/** Drains the machine after each input, until an event gives a result. */
function run<Event, Result>(
  machine: SocketMachine<Event>,
  sockets: readonly UdpSocket[],
  { clock, logger, signal }: DiscoverNatOptions,
  resultOf: (event: Event) => Result | undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let isOver = false
    let cancel: (() => void) | undefined
    const end = (conclude: () => void): void => {
      if (isOver) return
      isOver = true
      cancel?.()
      signal.removeEventListener('abort', onAbort)
      logger.debug('nat discovery dropped', { ...machine.counters })
      conclude()
    }
    const onAbort = (): void => end(() => reject(signal.reason as Error))
    const handle = (input: (now: number) => void): void => {
      if (isOver) return
      try {
        input(clock.now())
        for (let out = machine.pollTransmit(); out !== undefined; out = machine.pollTransmit()) {
          sockets[out.socket]?.send(out.bytes, out.destination)
        }
        for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
          const result = resultOf(event)
          if (result !== undefined) end(() => resolve(result))
        }
        schedule()
      } catch (error) {
        const failure = error instanceof Error ? error : new Error(String(error))
        end(() => reject(failure))
      }
    }
    const schedule = (): void => {
      cancel?.()
      const deadline = machine.pollTimeout()
      if (isOver || deadline === undefined) return
      const delay = Math.min(Math.max(0, Math.ceil(deadline - clock.now())), TimerMaxMs)
      cancel = clock.after(delay, () => handle((now) => machine.handleTimeout(now)))
    }
    signal.addEventListener('abort', onAbort)
    for (const [index, socket] of sockets.entries()) {
      socket.onDatagram((bytes, source) => handle((now) => machine.handleDatagram(now, index, source, bytes)))
    }
    if (signal.aborted) onAbort()
    else handle((now) => machine.start(now))
  })
}

async function withSockets<Result>(
  family: Family,
  count: number,
  use: (sockets: readonly UdpSocket[]) => Promise<Result>,
): Promise<Result> {
  const sockets: UdpSocket[] = []
  try {
    for (let opened = 0; opened < count; opened += 1) {
      sockets.push(await openUdpSocket(family === 'ipv4' ? 4 : 6, 0))
    }
    return await use(sockets)
  } finally {
    await Promise.all(sockets.map((socket) => socket.close()))
  }
}

/** The first address of each family; undefined where the name has none, or is not found in time. */
async function resolve(
  server: string,
  { clock, signal }: DiscoverNatOptions,
): Promise<readonly SocketAddress[] | undefined> {
  const colon = server.lastIndexOf(':')
  const host = server.slice(0, colon).replace(/^\[(.*)\]$/, '$1')
  const port = Number(server.slice(colon + 1))
  let giveUp = (): void => undefined
  const gaveUp = new Promise<readonly []>((done) => {
    giveUp = () => done([])
  })
  const cancel = clock.after(LookupMs, giveUp)
  signal.addEventListener('abort', giveUp)
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), gaveUp])
  cancel()
  signal.removeEventListener('abort', giveUp)
  const firsts = [4, 6].flatMap((family) => found.find((each) => each.family === family) ?? [])
  return firsts.length === 0
    ? undefined
    : firsts.map(({ address }) => ({ address: canonicalAddress(address), port }))
}

/** The address of this machine from which datagrams to a server go; undefined where none goes there. */
function localAddressTowards({ address, port }: SocketAddress): Promise<string | undefined> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  return new Promise((resolve) => {
    let isOver = false
    const end = (local: string | undefined): void => {
      if (isOver) return
      isOver = true
      socket.close(() => resolve(local))
    }
    socket.on('error', () => end(undefined))
    socket.on('connect', () => end(socket.address().address.replace(/%.*/, '')))
    socket.connect(port, address)
  })
}
