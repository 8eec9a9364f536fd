/** The server of a zone: UDP, and TCP for whoever wants more than UDP carries (RFC 7766). */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, isIPv6, type Server, type Socket } from 'node:net'
import { concatenate } from '../../core/encoding.js'
import type { SocketAddress } from '../../core/machine.js'
import type { Clock } from '../../core/ports.js'
import { isLoopbackHost } from '../shared/loopback.js'
import { viewOf } from './message.js'
import { ResponseBudget } from './response-budget.js'
import type { ZoneAnswers } from './zone-answers.js'

export interface ZoneServerOptions {
  readonly answers: ZoneAnswers
  readonly clock: Clock
}

const MaxConnections = 256
/** Of one source; this machine itself may have all. */
const MaxConnectionsPerSource = 32
const IdleMs = 10_000
const MaxQuestionBytes = 4096
/** Who leaves so much unread is disconnected. */
const MaxUnreadBytes = 262_144
/** How often a free port is looked for that both UDP and TCP can have. */
const PortAttempts = 10

export class ZoneServer {
  readonly #options: ZoneServerOptions
  readonly #budget = new ResponseBudget()
  readonly #connections = new Map<Socket, string>()
  #udp: UdpSocket | undefined
  #tcp: Server | undefined
  #closing: Promise<void> | undefined

  constructor(options: ZoneServerOptions) {
    this.#options = options
  }

  /**
   * @param address port 0 lets the system choose
   * @returns where it listens
   * @throws the system's error
   */
  async listen(address: SocketAddress): Promise<SocketAddress> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listenOnce(address)
      } catch (error) {
        await this.#release()
        if (address.port !== 0 || attempt === PortAttempts) throw error
      }
    }
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#release()
    return this.#closing
  }

  async #listenOnce({ address, port }: SocketAddress): Promise<SocketAddress> {
    const tcp = createServer({ noDelay: true }, (socket) => {
      this.#serveConnection(socket)
    })
    this.#tcp = tcp
    tcp.maxConnections = MaxConnections
    tcp.listen(port, address)
    await once(tcp, 'listening')
    // A connection that could not be accepted.
    tcp.on('error', () => undefined)
    const bound = tcp.address()
    const chosen = bound === null || typeof bound === 'string' ? port : bound.port
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    this.#udp = udp
    udp.bind(chosen, address)
    await once(udp, 'listening')
    // What cannot be sent is lost, as it may be on the way.
    udp.on('error', () => undefined)
    udp.on('message', (request, from) => {
      this.#serveDatagram(udp, request, from)
    })
    return { address, port: chosen }
  }

  async #release(): Promise<void> {
    const [tcp, udp] = [this.#tcp, this.#udp]
    this.#tcp = undefined
    this.#udp = undefined
    udp?.removeAllListeners('message')
    for (const socket of this.#connections.keys()) socket.destroy()
    await Promise.all([
      udp && new Promise<void>((resolve) => closeUdp(udp, resolve)),
      tcp?.listening === true && new Promise((resolve) => tcp.close(resolve)),
    ])
  }

  #serveDatagram(udp: UdpSocket, request: Uint8Array, from: SocketAddress): void {
    const source = sourceOf(from.address)
    const answer = this.#options.answers.answer(request, source, false)
    if (answer === undefined) return
    const { clock } = this.#options
    const verdict = this.#budget.judge(source, request.length, answer.bytes.length, clock.now())
    if (verdict === 'drop' || udp !== this.#udp) return
    udp.send(verdict === 'send' ? answer.bytes : answer.truncated, from.port, from.address, () => undefined)
  }

  #serveConnection(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const source = sourceOf(address)
    socket.on('error', () => undefined)
    const others = [...this.#connections.values()].filter((each) => each === source).length
    if (others >= MaxConnectionsPerSource && !isLoopbackHost(address)) {
      socket.destroy()
      return
    }
    this.#connections.set(socket, source)
    let cancelIdle = this.#whenIdle(socket)
    socket.once('close', () => {
      cancelIdle()
      this.#connections.delete(socket)
    })
    let received: Uint8Array = new Uint8Array(0)
    socket.on('data', (bytes) => {
      received = concatenate(received, bytes)
      while (received.length >= 2) {
        const length = viewOf(received).getUint16(0)
        if (length > MaxQuestionBytes || socket.writableLength > MaxUnreadBytes) {
          socket.destroy()
          return
        }
        if (received.length < 2 + length) return
        const request = received.slice(2, 2 + length)
        received = received.slice(2 + length)
        cancelIdle()
        cancelIdle = this.#whenIdle(socket)
        this.#answerOver(socket, request, source)
      }
    })
  }

  #answerOver(socket: Socket, request: Uint8Array, source: string): void {
    const answer = this.#options.answers.answer(request, source, true)
    if (answer === undefined) return
    const { bytes } = answer
    socket.write(concatenate(Uint8Array.of(bytes.length >> 8, bytes.length & 255), bytes))
  }

  #whenIdle(socket: Socket): () => void {
    return this.#options.clock.after(IdleMs, () => socket.destroy())
  }
}

function closeUdp(udp: UdpSocket, resolve: () => void): void {
  try {
    udp.close(resolve)
  } catch {
    // It could not be bound, and is closed.
    resolve()
  }
}

/** Whose share something is: an IPv4 address, or an IPv6 network of 64 bits. */
export function sourceOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (mapped !== undefined) return mapped
  if (!isIPv6(address)) return address
  const [plain = ''] = address.split('%')
  const [head = '', tail] = plain.split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0')
  return [...first, ...zeros, ...last].slice(0, 4).join(':')
}
