/** Whether a TURN server gives a relay: one allocation, freed at once. */
import { lookup } from 'node:dns/promises'
import { abortable } from '../../adapters/waiting.js'
import { explain, GonetError } from '../../core/errors.js'
import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import type { Clock, Crypto, Random, UdpSocket, Wall } from '../../core/ports.js'
import { Relays } from '../../room/relays.js'
import type { TurnFailureCode } from '../../transports/turn/events.js'
import { parseTurnUrl, type TurnTransport } from '../../transports/turn/turn-url.js'
import type { TurnServerConfig } from '../config/schema.js'
import { nodeLongTermKey } from '../long-term-key.js'
import { type ConfiguredRelay, readRelayServers } from '../relay-servers.js'
import { RelayStreams } from '../relay-streams.js'
import { openUdpSocket } from '../udp-socket.js'
import { bounded, Late, type Row, sayDuration, thrown } from './row.js'

export interface RelayCheckOptions {
  readonly clock: Clock
  readonly wall: Wall
  readonly random: Random
  readonly crypto: Crypto
  readonly signal: AbortSignal
  readonly limitMs: number
}

export interface RelayCheck {
  readonly row: Row
  readonly transport: TurnTransport
}

/** What the server has to say that it has freed an allocation. */
const FreeMs = 1000

const Words: Partial<Record<TurnFailureCode, readonly [words: string, advice: string]>> = {
  'turn-unauthorized': [
    'wrong credentials',
    'Check username and credential, or secret, of this server in transport.turn',
  ],
  'turn-unauthentic': ['wrong credentials, or another server', 'Check this server in transport.turn'],
  'turn-quota': ['the quota of this user is used up', 'Ask who runs the server'],
  'turn-capacity': ['the server is full', 'Try later, or name another server in transport.turn'],
}
const Unreachable =
  'Check host and port. Where UDP is blocked, turn:…?transport=tcp or turns: may get through'
const Certificate = 'Name the authority of its certificate with ca, and the server by the name that is in it'

/**
 * @throws what `signal` is aborted with
 */
export async function checkRelay(config: TurnServerConfig, options: RelayCheckOptions): Promise<RelayCheck> {
  const { clock, signal, limitMs } = options
  const { transport } = parseTurnUrl(config.url)
  const what = `TURN server ${config.url}`
  const over = { udp: 'UDP', tcp: 'TCP', tls: 'TLS' }[transport]
  const startedAt = clock.now()
  try {
    const [server] = await readRelayServers([config], options)
    if (server === undefined) throw new TypeError('no server was read')
    const relayed = await bounded(limitMs, options, (limit) => allocate(server, options, limit))
    const ms = clock.now() - startedAt
    const at = formatSocketAddress(relayed)
    const detail = `gives the relay ${at} over ${over} in ${sayDuration(ms)}`
    return { transport, row: { what, state: 'ok', detail, ms, facts: { relayed: at, transport } } }
  } catch (error) {
    signal.throwIfAborted()
    const row = { ...describe(what, over, error), ms: clock.now() - startedAt }
    return { transport, row: { ...row, facts: { relayed: null, transport } } }
  }
}

function describe(what: string, over: string, error: unknown): Row {
  if (error instanceof Late) {
    const detail = `no relay in ${sayDuration(error.limitMs)} over ${over}`
    return { what, state: 'warn', detail, advice: Unreachable }
  }
  return thrown(what, error)
}

async function allocate(
  server: ConfiguredRelay,
  options: RelayCheckOptions,
  signal: AbortSignal,
): Promise<SocketAddress> {
  const address = await lookUp(server, signal)
  const socket = await openUdpSocket(address.address.includes(':') ? 6 : 4, 0)
  const trial = new Trial(server, address, socket, options)
  try {
    return await abortable(trial.allocated, signal)
  } finally {
    await trial.close()
  }
}

/** A relay's machine on one socket and its streams. */
class Trial {
  readonly allocated: Promise<SocketAddress>
  readonly #server: ConfiguredRelay
  readonly #socket: UdpSocket
  readonly #clock: Clock
  readonly #relays: Relays
  readonly #streams: RelayStreams
  #cancelTimer: (() => void) | undefined
  #isAllocated = false
  #hasAllocated: (relayed: SocketAddress) => void = () => undefined
  #hasFailed: (error: Error) => void = () => undefined
  #hasFreed = (): void => undefined

  constructor(
    server: ConfiguredRelay,
    address: SocketAddress,
    socket: UdpSocket,
    { crypto, random, clock }: RelayCheckOptions,
  ) {
    this.#server = server
    this.#socket = socket
    this.#clock = clock
    this.allocated = new Promise((resolve, reject) => {
      this.#hasAllocated = resolve
      this.#hasFailed = reject
    })
    this.allocated.catch(() => undefined)
    this.#relays = new Relays({ crypto, random, loopback: false })
    this.#streams = new RelayStreams([server], (relay, input) =>
      this.#handle((relays, now) => {
        if (input.type === 'connected') relays.handleConnected(now, relay)
        else if (input.type === 'bytes') relays.handleStream(now, relay, input.bytes)
        else relays.handleClosed(now, relay, input.reason)
      }),
    )
    socket.onDatagram((bytes, source) =>
      this.#handle((relays, now) => void relays.handleDatagram(now, source, bytes)),
    )
    const { id, credentials } = server
    const transport = server.transport === 'udp' ? 'udp' : 'stream'
    this.#handle((relays, now) =>
      relays.add(now, { id, address, transport, credentials, longTermKey: nodeLongTermKey }),
    )
  }

  async close(): Promise<void> {
    if (this.#isAllocated) {
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(FreeMs, resolve)
        this.#hasFreed = () => {
          cancel()
          resolve()
        }
        this.#handle((relays, now) => relays.close(now))
      })
    }
    this.#cancelTimer?.()
    this.#cancelTimer = undefined
    this.#streams.close()
    await this.#socket.close()
  }

  #handle(input: (relays: Relays, now: number) => void): void {
    const relays = this.#relays
    input(relays, this.#clock.now())
    for (let sent = relays.pollTransmit(); sent !== undefined; sent = relays.pollTransmit()) {
      if (sent.type === 'datagram') this.#socket.send(sent.datagram.bytes, sent.datagram.destination)
      else this.#streams.perform(sent)
    }
    for (let event = relays.pollEvent(); event !== undefined; event = relays.pollEvent()) {
      if (event.type === 'allocated') {
        this.#isAllocated = true
        this.#hasAllocated(event.relayed)
      } else if (event.type === 'lost') {
        this.#isAllocated = false
        this.#hasFreed()
      } else if (event.type === 'failed') {
        const { code, reason } = event.failure
        this.#hasFailed(failureOf(code, reason, this.#server))
      }
    }
    this.#cancelTimer?.()
    const deadline = relays.pollTimeout()
    if (deadline === undefined) return
    const delayMs = Math.max(0, Math.ceil(deadline - this.#clock.now()))
    this.#cancelTimer = this.#clock.after(delayMs, () => this.#handle((each, now) => each.handleTimeout(now)))
  }
}

function failureOf(code: TurnFailureCode, reason: string, { transport }: ConfiguredRelay): GonetError {
  const known = Words[code]
  if (known !== undefined) {
    const [words, advice] = known
    return new GonetError(code, `${words}: ${reason}`, { advice })
  }
  const isCertificate = transport === 'tls' && reason.includes('certificate')
  return new GonetError(code, reason, { advice: isCertificate ? Certificate : Unreachable })
}

async function lookUp({ host, port }: ConfiguredRelay, signal: AbortSignal): Promise<SocketAddress> {
  const looking = lookup(host)
  try {
    return { address: (await abortable(looking, signal)).address, port }
  } catch (error) {
    signal.throwIfAborted()
    throw new GonetError('turn-unreachable', `${host} has no address`, {
      advice: 'Check the name of the server in transport.turn',
      cause: explain(error),
    })
  }
}
