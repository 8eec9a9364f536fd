/**
 * Asks STUN servers where this machine's port is seen from outside (RFC 8489), and goes on asking, which
 * keeps the NAT's binding open and shows when it changes. Sans-IO (src/core/machine.ts).
 */
import { DecodeError } from '../../core/errors.js'
import { type Datagram, earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { readBindingSuccess } from './binding.js'
import { Binding, Rc, Rm, RTO, TransactionIdBytes } from './constants.js'
import { type DecodedMessage, decodeMessage, encodeMessage, transactionIdOf } from './message.js'

export interface StunClientOptions {
  readonly random: Random
  /** Already resolved. */
  readonly servers: readonly SocketAddress[]
  /** The mean time in ms between an answer and the next question. Default 25,000: bindings last 30 s or more. */
  readonly refreshMs?: number
}

export type StunClientEvent =
  /** A server sees this port at `mapped`: its first answer, a changed one, or the first after `unreachable`. */
  | { readonly type: 'reflexive'; readonly server: SocketAddress; readonly mapped: SocketAddress }
  /** A server refuses, or answers none of the retransmissions. It is asked again. */
  | { readonly type: 'unreachable'; readonly server: SocketAddress }

/** What was dropped or refused, by reason. Numbers only grow. */
export interface StunClientCounters {
  /** An answer that is no whole STUN message, or has a wrong FINGERPRINT. */
  malformed: number
  /** An error response. */
  refused: number
  /** A success response without a usable address. */
  unusable: number
  /** An answer that is no response to a binding request. */
  unexpected: number
}

interface Server {
  readonly address: SocketAddress
  /** The request that is under way; undefined between two. */
  transaction: { readonly id: Uint8Array; readonly request: Uint8Array; sent: number } | undefined
  /** When to send again, to give up, or to ask anew, ms. */
  wakeAt: number
  mapped: SocketAddress | undefined
  reachable: boolean | undefined
}

export class StunClient implements Machine<StunClientEvent, Datagram> {
  readonly counters: Readonly<StunClientCounters>
  readonly #counters: StunClientCounters = { malformed: 0, refused: 0, unusable: 0, unexpected: 0 }
  readonly #random: Random
  readonly #addresses: readonly SocketAddress[]
  readonly #refreshMs: number
  #servers: readonly Server[] = []
  readonly #transmits: Datagram[] = []
  readonly #events: StunClientEvent[] = []

  constructor({ random, servers, refreshMs = 25_000 }: StunClientOptions) {
    this.#random = random
    this.#addresses = servers
    this.#refreshMs = refreshMs
    this.counters = this.#counters
  }

  /** Asks every server, at once. Does nothing where it has begun already. */
  start(now: number): void {
    if (this.#servers.length > 0) return
    this.#servers = this.#addresses.map((address) => ({
      address,
      transaction: undefined,
      wakeAt: now,
      mapped: undefined,
      reachable: undefined,
    }))
    this.handleTimeout(now)
  }

  /** Asks every server anew, at once: the network has changed, and with it, perhaps, what they see. */
  restart(now: number): void {
    for (const server of this.#servers) {
      server.transaction = undefined
      server.wakeAt = now
    }
    this.handleTimeout(now)
  }

  /** Asks no more, and forgets what it waits for. */
  stop(): void {
    this.#servers = []
    this.#transmits.length = 0
  }

  /**
   * Takes the answer to a request of this client.
   * @param bytes a STUN-shaped datagram, 20 bytes or more
   * @returns false for anything else, which is then somebody else's
   */
  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): boolean {
    const server = this.#servers.find(
      ({ address, transaction }) =>
        transaction !== undefined && isAt(address, source) && isSame(transaction.id, transactionIdOf(bytes)),
    )
    if (server === undefined) return false
    const response = this.#decode(bytes)
    if (response === undefined) return true
    if (response.method !== Binding || response.class === 'request' || response.class === 'indication') {
      this.#counters.unexpected += 1
    } else if (response.class === 'error') {
      this.#counters.refused += 1
      this.#conclude(now, server, undefined)
    } else {
      const mapped = readBindingSuccess(response)
      if (mapped === undefined) this.#counters.unusable += 1
      this.#conclude(now, server, mapped)
    }
    return true
  }

  handleTimeout(now: number): void {
    for (const server of this.#servers) {
      if (server.wakeAt > now) continue
      if (server.transaction?.sent === Rc) this.#conclude(now, server, undefined)
      else this.#send(now, server)
    }
  }

  pollTransmit(): Datagram | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): StunClientEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(...this.#servers.map(({ wakeAt }) => wakeAt))
  }

  #send(now: number, server: Server): void {
    server.transaction ??= this.#request()
    const { transaction } = server
    this.#transmits.push({ destination: server.address, bytes: transaction.request })
    transaction.sent += 1
    server.wakeAt = now + (transaction.sent === Rc ? Rm * RTO : RTO * 2 ** (transaction.sent - 1))
  }

  #request(): { id: Uint8Array; request: Uint8Array; sent: number } {
    const id = this.#random.bytes(TransactionIdBytes)
    const request = encodeMessage({ class: 'request', method: Binding, transactionId: id, attributes: [] })
    return { id, request, sent: 0 }
  }

  #conclude(now: number, server: Server, mapped: SocketAddress | undefined): void {
    server.transaction = undefined
    server.wakeAt = now + this.#refreshMs * (0.9 + 0.2 * this.#random.fraction())
    const { address } = server
    if (mapped === undefined) {
      if (server.reachable !== false) this.#events.push({ type: 'unreachable', server: address })
    } else if (server.mapped === undefined || !isAt(server.mapped, mapped)) {
      this.#events.push({ type: 'reflexive', server: address, mapped })
    }
    server.mapped = mapped
    server.reachable = mapped !== undefined
  }

  #decode(bytes: Uint8Array): DecodedMessage | undefined {
    try {
      return decodeMessage(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
      return undefined
    }
  }
}

function isAt(a: SocketAddress, b: SocketAddress): boolean {
  return a.port === b.port && a.address === b.address
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index])
}
