/**
 * A TURN client (RFC 8656): one allocation on one server, for all peers. Sans-IO (src/core/machine.ts). What
 * it transmits are bytes for the server: a datagram each, or the next piece of the stream each.
 *
 * It keeps the allocation alive, notices when it is gone, and tries for another by itself. What is believed
 * of a server is signed; data is not, and whoever gets it must be able to tell a forgery.
 */
import { DecodeError } from '../../core/errors.js'
import { earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { DecodedMessage } from '../stun/message.js'
import { Authentication } from './authentication.js'
import { Backoff } from './backoff.js'
import { ErrorNumber, MaxDataBytes } from './constants.js'
import { type TurnCounters, zeroCounters } from './counters.js'
import type { TurnEvent, TurnFailure } from './events.js'
import { type Failed, failureOf, isFinal, isUnanswered, ranOut, saysGone, unusable } from './failures.js'
import { readIncoming } from './incoming.js'
import { Lease } from './lease.js'
import type { TurnClientOptions } from './options.js'
import { Peers } from './peers.js'
import { Redirects } from './redirects.js'
import {
  allocateRequest,
  clearRequest,
  closeRequest,
  type PeerPurpose,
  type Purpose,
  refreshRequest,
} from './requests.js'
import { lifetimeOf, readAllocation } from './responses.js'
import { StreamDecoder } from './stream-framing.js'
import { type Outcome, Transactions } from './transactions.js'

export type { TurnClientOptions } from './options.js'

/** `reconnecting`: the owner is to open a new stream. `stopped`: until it is started. */
type State = 'idle' | 'allocating' | 'allocated' | 'waiting' | 'reconnecting' | 'closing' | 'stopped'

/** Together longer than the ten minutes that an allocation of somebody else on this port may live. */
const MaxMismatches = 12
const MaxTransmits = 4096

export class TurnClient implements Machine<TurnEvent, Uint8Array> {
  readonly counters: Readonly<TurnCounters>
  readonly #counters: TurnCounters = zeroCounters()
  readonly #isStream: boolean
  readonly #family: 4 | 6
  readonly #authentication: Authentication
  readonly #transactions: Transactions<Purpose>
  readonly #peers: Peers
  readonly #backoff: Backoff
  readonly #redirects: Redirects = new Redirects()
  readonly #lease: Lease
  readonly #transmits: Uint8Array[] = []
  readonly #events: TurnEvent[] = []
  #decoder: StreamDecoder = new StreamDecoder()
  #state: State = 'idle'
  #mismatches = 0

  constructor(options: TurnClientOptions) {
    const { crypto, random, longTermKey, transport, credentials, family = 4, keepaliveMs = 25_000 } = options
    this.#isStream = transport === 'stream'
    this.#family = family
    this.#authentication = new Authentication(crypto, longTermKey, credentials)
    this.#peers = new Peers(random, family, this.#isStream)
    this.#backoff = new Backoff(random)
    this.#lease = new Lease(keepaliveMs)
    this.#transactions = new Transactions<Purpose>({
      random,
      authentication: this.#authentication,
      isStream: this.#isStream,
      counters: this.#counters,
      transmit: (bytes) => void this.#transmits.push(bytes),
    })
    this.counters = this.#counters
  }

  /** Asks for an allocation; over a stream, a new one that is open. Does nothing where there is one. */
  start(now: number): void {
    if (this.#state === 'allocating' || this.#state === 'allocated' || this.#state === 'closing') return
    this.#decoder = new StreamDecoder()
    this.#allocate(now)
  }

  /** @param bytes a datagram from the server, or any piece of the stream; the client keeps views of datagrams */
  handleBytes(now: number, bytes: Uint8Array): void {
    if (!this.#isStream) {
      this.#handleMessage(now, bytes)
      return
    }
    if (this.#state === 'waiting' || this.#state === 'reconnecting' || this.#state === 'stopped') return
    try {
      for (const message of this.#decoder.push(bytes)) this.#handleMessage(now, message)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
      this.handleClosed(now, error.message)
    }
  }

  /** The stream has ended, or could not be opened. @param reason a sentence without a final stop */
  handleClosed(now: number, reason = 'The connection to the TURN server has ended'): void {
    const failure: TurnFailure = { code: 'turn-stream', status: undefined, reason }
    if (this.#state === 'allocated') this.#lose(now, failure)
    else if (this.#state === 'closing') this.#closed()
    else if (this.#state !== 'waiting' && this.#state !== 'stopped') this.#fail(now, failure, false)
  }

  /**
   * This machine may have another address, which no allocation is for: asks whether there is one still, and tries
   * for another at once where there is not. A stream has not moved along.
   */
  handleNetworkChange(now: number): void {
    if (this.#state === 'waiting') this.#backoff.hurry(now)
    else if (this.#state === 'allocated' && this.#isStream) this.handleClosed(now, 'The network has changed')
    else if (this.#state === 'allocated') this.#renew(now)
    else if (this.#state === 'allocating' && !this.#isStream) this.#allocate(now)
    this.handleTimeout(now)
  }

  /**
   * Lets addresses reach the relayed address, and be sent to, now and in later allocations; `permitted` or
   * `denied` follows for each that was not permitted before.
   * @param addresses IP addresses without port or zone
   * @returns false where some are of another family than the relayed address, or there are too many
   */
  permit(now: number, addresses: readonly string[]): boolean {
    const areAll = this.#peers.permit(now, addresses)
    if (this.#state === 'allocated') this.#askForPeers(now)
    return areAll
  }

  /** Asks for these addresses no more; the server lets them in for up to five minutes yet. */
  release(addresses: readonly string[]): void {
    this.#peers.release(addresses)
  }

  /**
   * Sends to a peer through the relay. Nothing waits: what cannot go now is dropped.
   * @param peer its address in canonical form, permitted
   * @returns false where it is dropped
   */
  send(now: number, peer: SocketAddress, bytes: Uint8Array): boolean {
    if (
      this.#state !== 'allocated' ||
      bytes.length > MaxDataBytes ||
      this.#transmits.length >= MaxTransmits ||
      !this.#peers.isPermitted(now, peer)
    ) {
      this.#counters.unsent += 1
      return false
    }
    this.#transmits.push(this.#peers.encode(now, peer, bytes))
    this.#askForPeers(now)
    return true
  }

  /** Frees the allocation; `closed` follows, at once or when the server has answered. */
  close(now: number): void {
    if (this.#state === 'closing') return
    const mayHaveOne =
      this.#state === 'allocated' || (this.#state === 'allocating' && this.#authentication.version > 0)
    this.#transactions.clear()
    if (!mayHaveOne) {
      this.#closed()
      return
    }
    this.#state = 'closing'
    this.#transactions.begin(now, closeRequest(this.#family))
  }

  handleTimeout(now: number): void {
    let ended = this.#transactions.takeEnded(now)
    for (; ended !== undefined; ended = this.#transactions.takeEnded(now)) this.#conclude(now, ended)
    if (this.#state === 'waiting' && this.#backoff.retryAt <= now) {
      if (this.#isStream) {
        this.#state = 'reconnecting'
        this.#events.push({ type: 'reconnect' })
      } else {
        this.#allocate(now)
      }
    }
    if (this.#state !== 'allocated') return
    if (this.#lease.isOver(now)) {
      this.#lose(now, ranOut())
      return
    }
    if (this.#lease.isDue(now)) this.#renew(now)
    this.#askForPeers(now)
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): TurnEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const transactions = this.#transactions.pollTimeout()
    if (this.#state === 'waiting') return earliest(transactions, this.#backoff.retryAt)
    if (this.#state !== 'allocated') return transactions
    return earliest(transactions, this.#lease.pollTimeout(), this.#peers.pollTimeout())
  }

  #allocate(now: number): void {
    this.#state = 'allocating'
    this.#authentication.reset()
    this.#transactions.clear()
    this.#transactions.begin(now, allocateRequest(this.#family))
  }

  #renew(now: number): void {
    this.#lease.asked()
    this.#transactions.begin(now, refreshRequest(this.#family))
  }

  #askForPeers(now: number): void {
    for (const request of this.#peers.takeDue(now)) this.#transactions.begin(now, request)
  }

  #handleMessage(now: number, bytes: Uint8Array): void {
    try {
      const incoming = readIncoming(bytes)
      if (incoming.type === 'response') {
        const outcome = this.#transactions.handleResponse(now, incoming.message)
        if (outcome !== undefined) this.#conclude(now, outcome)
      } else if (this.#state !== 'allocated' || incoming.type === 'foreign') {
        this.#counters.unexpected += 1
      } else if (incoming.type === 'icmp') {
        this.#counters.icmp += 1
      } else {
        const peer = incoming.type === 'data' ? incoming.peer : this.#peers.peerOf(now, incoming.channel)
        if (peer === undefined) this.#counters.unexpected += 1
        else this.#receive(now, peer, incoming.bytes)
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
    }
  }

  #receive(now: number, peer: SocketAddress, bytes: Uint8Array): void {
    if (!this.#peers.isPermitted(now, peer)) {
      this.#counters.unpermitted += 1
      return
    }
    this.#lease.heard(now)
    this.#events.push({ type: 'data', peer, bytes })
  }

  #conclude(now: number, outcome: Outcome<Purpose>): void {
    const { purpose } = outcome
    if (purpose.kind === 'close') this.#closed()
    else if (purpose.kind === 'clear') this.#cleared(now, outcome)
    else if (outcome.result === 'success') this.#succeeded(now, purpose, outcome.response)
    else if (purpose.kind === 'allocate') this.#notAllocated(now, outcome)
    else if (saysGone(outcome)) this.#lose(now, failureOf(outcome))
    else if (purpose.kind !== 'refresh') this.#notServed(now, purpose, outcome)
    else if (isUnanswered(outcome)) this.#lose(now, failureOf(outcome))
    else this.#lease.refused(now)
  }

  #succeeded(now: number, purpose: Purpose, response: DecodedMessage): void {
    this.#lease.heard(now)
    if (purpose.kind === 'allocate') this.#allocated(now, response)
    else if (purpose.kind === 'permission' || purpose.kind === 'channel') {
      this.#events.push(...this.#peers.succeeded(now, purpose))
    } else if (!this.#lease.begin(now, lifetimeOf(response))) {
      this.#lose(now, unusable())
    }
  }

  #allocated(now: number, response: DecodedMessage): void {
    const allocation = readAllocation(response, this.#family)
    if (allocation === undefined || !this.#lease.begin(now, allocation.lifetimeMs)) {
      this.#fail(now, unusable(), false)
      return
    }
    const { relayed, mapped } = allocation
    this.#state = 'allocated'
    this.#mismatches = 0
    this.#lease.allocated(now)
    this.#events.push({ type: 'allocated', relayed, mapped })
    this.#askForPeers(now)
  }

  #notAllocated(now: number, outcome: Failed): void {
    const status = outcome.result === 'error' ? outcome.error.code : undefined
    if (outcome.result === 'error' && status === ErrorNumber.TryAlternate) {
      const alternate = this.#redirects.follow(now, outcome.response)
      if (alternate === undefined) {
        this.#fail(now, failureOf(outcome), false)
      } else {
        this.#stop()
        // A stream that cannot be opened there is a failure, after which it is tried again.
        if (this.#isStream) this.#state = 'reconnecting'
        this.#events.push({ type: 'redirect', ...alternate })
      }
      return
    }
    const isMismatch = status === ErrorNumber.AllocationMismatch
    this.#mismatches = isMismatch ? this.#mismatches + 1 : 0
    // Credentials that expire may have done so on the way.
    const isStuck = isFinal(outcome) && !this.#authentication.isOutdated
    this.#fail(now, failureOf(outcome), isStuck || this.#mismatches >= MaxMismatches)
    // Perhaps it is ours, of a life before: then it can be cleared away. A new stream needs no room.
    if (isMismatch && this.#state === 'waiting' && !this.#isStream) {
      this.#transactions.begin(now, clearRequest(this.#family))
    }
  }

  #cleared(now: number, outcome: Outcome<Purpose>): void {
    if (outcome.result === 'success' && this.#mismatches === 1 && this.#state === 'waiting')
      this.#allocate(now)
  }

  #notServed(now: number, purpose: PeerPurpose, outcome: Failed): void {
    this.#events.push(...this.#peers.failed(now, purpose, outcome))
    if (isUnanswered(outcome) && purpose.kind === 'permission' && !this.#lease.isAsked) this.#renew(now)
    this.#askForPeers(now)
  }

  #lose(now: number, failure: TurnFailure): void {
    this.#events.push({ type: 'lost', ...failure })
    this.#backoff.lived(this.#lease.ageMs(now))
    this.#retry(now)
  }

  #fail(now: number, failure: TurnFailure, final: boolean): void {
    this.#events.push({ type: 'failed', final, ...failure })
    if (final) this.#stop()
    else this.#retry(now)
  }

  #retry(now: number): void {
    this.#stop()
    this.#peers.reset(now)
    this.#state = 'waiting'
    this.#backoff.failed(now)
  }

  #stop(): void {
    this.#state = 'stopped'
    this.#transactions.clear()
  }

  #closed(): void {
    this.#stop()
    this.#peers.reset(0)
    this.#events.push({ type: 'closed' })
  }
}
