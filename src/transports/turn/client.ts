/**
 * A TURN client (RFC 8656): one allocation on one server, for all peers. Sans-IO (src/core/machine.ts). What
 * it transmits are bytes for the server: a datagram each, or the next piece of the stream each.
 *
 * It keeps the allocation alive, notices when it is gone, and tries for another by itself. What is believed
 * of a server is signed; data is not, and whoever gets it must be able to tell a forgery.
 */
import { DecodeError } from '../../core/errors.js'
import { earliest, type Machine, type SocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { formatAddress, parseAddress } from '../ip/address.js'
import { readMappedAddress } from '../stun/attributes.js'
import { AttributeType, TransactionIdBytes } from '../stun/constants.js'
import {
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type StunCrypto,
} from '../stun/message.js'
import {
  channelNumberAttribute,
  dataAttribute,
  isUnderstood,
  lifetimeAttribute,
  readLifetime,
  readQuotedText,
  readXorAddress,
  requestedAddressFamilyAttribute,
  requestedTransportAttribute,
  xorPeerAddressAttribute,
} from './attributes.js'
import { Authentication, type LongTermKey, type TurnCredentials } from './authentication.js'
import { decodeChannelData, encodeChannelData, isChannelData } from './channel-data.js'
import { Channels } from './channels.js'
import {
  Allocate,
  ChannelBind,
  CreatePermission,
  Data,
  DefaultLifetime,
  ErrorNumber,
  MaxDataBytes,
  Refresh,
  Send,
  TurnAttributeType,
} from './constants.js'
import type { TurnCounters, TurnEvent, TurnFailure } from './events.js'
import { type Failed, failureOf, isFinal, printable, saysGone, unusable } from './failures.js'
import { Lease } from './lease.js'
import { Permissions } from './permissions.js'
import { Redirects } from './redirects.js'
import { StreamDecoder } from './stream-framing.js'
import { type Outcome, Transactions } from './transactions.js'

export interface TurnClientOptions {
  readonly crypto: StunCrypto
  readonly random: Random
  readonly longTermKey: LongTermKey
  /** Over UDP requests are sent again; over a stream messages are padded, and pieces put together. */
  readonly transport: 'udp' | 'stream'
  /**
   * Asked once for each allocation, which keeps its user. Undefined for a server that wants none; answers of
   * any server are believed then.
   */
  readonly credentials?: () => TurnCredentials
  /** Of the relayed address. Default 4. */
  readonly family?: 4 | 6
  /** How long nothing may come before the server is asked whether the allocation is alive, ms. Default 25,000. */
  readonly keepaliveMs?: number
}

type Purpose =
  | { readonly kind: 'allocate' }
  | { readonly kind: 'refresh' }
  | { readonly kind: 'clear' }
  | { readonly kind: 'close' }
  | { readonly kind: 'permission'; readonly addresses: readonly string[] }
  | { readonly kind: 'channel'; readonly number: number }

/** `reconnecting`: the owner is to open a new stream. `stopped`: until it is started. */
type State = 'idle' | 'allocating' | 'allocated' | 'waiting' | 'reconnecting' | 'closing' | 'stopped'

/** A join waits for the allocation, so that its requests are sent again sooner than others, ms. */
const AllocateRto = 250
/** Gives up after 15.5 s. */
const RefreshAttempts = 5
const CloseAttempts = 3
const FirstRetryMs = 1000
const MaxRetryMs = 120_000
/** An allocation that has lived as long was a good one: the next is tried for at once, ms. */
const GoodLifeMs = 60_000
/** Together longer than the ten minutes that an allocation of somebody else on this port may live. */
const MaxMismatches = 12
const MaxTransmits = 4096

export class TurnClient implements Machine<TurnEvent, Uint8Array> {
  readonly counters: Readonly<TurnCounters>
  readonly #counters: TurnCounters = {
    malformed: 0,
    unexpected: 0,
    unauthentic: 0,
    unpermitted: 0,
    icmp: 0,
    unsent: 0,
  }
  readonly #random: Random
  readonly #isStream: boolean
  readonly #family: 4 | 6
  readonly #authentication: Authentication
  readonly #transactions: Transactions<Purpose>
  readonly #permissions: Permissions = new Permissions()
  readonly #channels: Channels
  readonly #redirects: Redirects = new Redirects()
  readonly #lease: Lease
  readonly #transmits: Uint8Array[] = []
  readonly #events: TurnEvent[] = []
  #decoder: StreamDecoder = new StreamDecoder()
  #state: State = 'idle'
  /** When to try again, in `waiting`. */
  #retryAt = 0
  #failures = 0
  #mismatches = 0

  constructor(options: TurnClientOptions) {
    const { crypto, random, longTermKey, transport, credentials, family = 4, keepaliveMs = 25_000 } = options
    this.#random = random
    this.#isStream = transport === 'stream'
    this.#family = family
    this.#authentication = new Authentication(crypto, longTermKey, credentials)
    this.#channels = new Channels(random)
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
   * Lets addresses reach the relayed address, and be sent to, now and in later allocations; `permitted` or
   * `denied` follows.
   * @param addresses IP addresses without port or zone
   * @returns false where some are of another family than the relayed address, or there are too many
   */
  permit(now: number, addresses: readonly string[]): boolean {
    let areAll = true
    for (const text of addresses) {
      const bytes = parseAddress(text)
      const isFit = bytes?.length === (this.#family === 4 ? 4 : 16)
      if (!isFit || !this.#permissions.add(now, formatAddress(bytes))) areAll = false
    }
    this.#askForPermissions(now)
    return areAll
  }

  /** Asks for these addresses no more; the server lets them in for up to five minutes yet. */
  release(addresses: readonly string[]): void {
    for (const address of addresses) this.#permissions.remove(address)
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
      !this.#permissions.isGranted(now, peer.address)
    ) {
      this.#counters.unsent += 1
      return false
    }
    const channel = this.#channels.use(now, peer)
    this.#transmits.push(
      channel === undefined
        ? this.#sendIndication(peer, bytes)
        : encodeChannelData(channel, bytes, this.#isStream),
    )
    this.#bindChannels(now)
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
    this.#refresh(now, { kind: 'close' }, 0, CloseAttempts, AllocateRto)
  }

  handleTimeout(now: number): void {
    for (const outcome of this.#transactions.handleTimeout(now)) this.#conclude(now, outcome)
    if (this.#state === 'waiting' && this.#retryAt <= now) {
      if (this.#isStream) {
        this.#state = 'reconnecting'
        this.#events.push({ type: 'reconnect' })
      } else {
        this.#allocate(now)
      }
    }
    if (this.#state !== 'allocated') return
    if (this.#lease.isOver(now)) {
      this.#lose(now, { code: 'turn-unreachable', status: undefined, reason: 'The allocation has run out' })
      return
    }
    if (this.#lease.isDue(now)) this.#renew(now)
    this.#askForPermissions(now)
    this.#bindChannels(now)
  }

  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): TurnEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const transactions = this.#transactions.pollTimeout()
    if (this.#state === 'waiting') return earliest(transactions, this.#retryAt)
    if (this.#state !== 'allocated') return transactions
    return earliest(
      transactions,
      this.#lease.pollTimeout(),
      this.#permissions.pollTimeout(),
      this.#channels.pollTimeout(),
    )
  }

  #allocate(now: number): void {
    this.#state = 'allocating'
    this.#authentication.reset()
    this.#transactions.clear()
    this.#transactions.begin(now, {
      method: Allocate,
      purpose: { kind: 'allocate' },
      rto: AllocateRto,
      attributes: () => [
        requestedTransportAttribute(),
        lifetimeAttribute(DefaultLifetime),
        // Without it the address is an IPv4 one, which servers without IPv6 understand.
        ...(this.#family === 6 ? [requestedAddressFamilyAttribute(6)] : []),
      ],
    })
  }

  #renew(now: number): void {
    this.#lease.asked()
    this.#refresh(now, { kind: 'refresh' }, DefaultLifetime, RefreshAttempts)
  }

  #refresh(now: number, purpose: Purpose, lifetimeMs: number, attempts: number, rto?: number): void {
    this.#transactions.begin(now, {
      method: Refresh,
      purpose,
      attempts,
      ...(rto !== undefined && { rto }),
      attributes: () => [
        lifetimeAttribute(lifetimeMs),
        ...(this.#family === 6 ? [requestedAddressFamilyAttribute(6)] : []),
      ],
    })
  }

  #askForPermissions(now: number): void {
    if (this.#state !== 'allocated') return
    for (const addresses of this.#permissions.takeDue(now)) {
      this.#transactions.begin(now, {
        method: CreatePermission,
        purpose: { kind: 'permission', addresses },
        // The port means nothing (RFC 8656 section 10.1).
        attributes: (id) => addresses.map((address) => xorPeerAddressAttribute({ address, port: 0 }, id)),
      })
    }
  }

  #bindChannels(now: number): void {
    const isWanted = ({ address }: SocketAddress): boolean => this.#permissions.has(address)
    for (const { number, peer } of this.#channels.takeDue(now, isWanted)) {
      this.#transactions.begin(now, {
        method: ChannelBind,
        purpose: { kind: 'channel', number },
        attributes: (id) => [channelNumberAttribute(number), xorPeerAddressAttribute(peer, id)],
      })
    }
  }

  #sendIndication(peer: SocketAddress, bytes: Uint8Array): Uint8Array {
    const transactionId = this.#random.bytes(TransactionIdBytes)
    const attributes = [xorPeerAddressAttribute(peer, transactionId), dataAttribute(bytes)]
    return encodeMessage({ class: 'indication', method: Send, transactionId, attributes })
  }

  #handleMessage(now: number, bytes: Uint8Array): void {
    try {
      if (isChannelData(bytes[0] ?? 0)) {
        const { channel, bytes: data } = decodeChannelData(bytes)
        const peer = this.#state === 'allocated' ? this.#channels.peerOf(now, channel) : undefined
        if (peer === undefined) this.#counters.unexpected += 1
        else this.#receive(now, peer, data)
        return
      }
      const message = decodeMessage(bytes)
      if (message.class === 'indication') {
        this.#handleIndication(now, message)
      } else if (message.class === 'request') {
        this.#counters.unexpected += 1
      } else {
        const outcome = this.#transactions.handleResponse(now, message)
        if (outcome !== undefined) this.#conclude(now, outcome)
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed += 1
    }
  }

  #handleIndication(now: number, message: DecodedMessage): void {
    if (message.method !== Data || this.#state !== 'allocated') {
      this.#counters.unexpected += 1
      return
    }
    const peer = readXorAddress(message, TurnAttributeType.XorPeerAddress)
    const data = findAttribute(message, TurnAttributeType.Data)
    if (findAttribute(message, TurnAttributeType.Icmp) !== undefined) this.#counters.icmp += 1
    else if (peer === undefined || data === undefined || !isUnderstood(message)) this.#counters.malformed += 1
    else this.#receive(now, peer, data)
  }

  #receive(now: number, peer: SocketAddress, bytes: Uint8Array): void {
    if (!this.#permissions.isGranted(now, peer.address)) {
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
    else if (purpose.kind === 'refresh') this.#notRefreshed(now, outcome)
    else if (purpose.kind === 'permission') this.#notPermitted(now, purpose.addresses, outcome)
    else if (outcome.result === 'error') this.#channels.refused(now, purpose.number)
    else this.#channels.unanswered(now, purpose.number)
  }

  #succeeded(now: number, purpose: Purpose, response: DecodedMessage): void {
    this.#lease.heard(now)
    if (purpose.kind === 'allocate') {
      this.#allocated(now, response)
    } else if (purpose.kind === 'permission') {
      const addresses = this.#permissions.granted(now, purpose.addresses)
      if (addresses.length > 0) this.#events.push({ type: 'permitted', addresses })
    } else if (purpose.kind === 'channel') {
      this.#channels.bound(now, purpose.number)
    } else if (!this.#lease.begin(now, lifetimeOf(response))) {
      this.#lose(now, unusable())
    }
  }

  #allocated(now: number, response: DecodedMessage): void {
    const relayed = readXorAddress(response, TurnAttributeType.XorRelayedAddress)
    const mapped = readXorAddress(response, AttributeType.XorMappedAddress)
    const isFit = relayed?.address.includes(':') === (this.#family === 6)
    if (!isFit || mapped === undefined || !this.#lease.begin(now, lifetimeOf(response))) {
      this.#fail(now, unusable(), false)
      return
    }
    this.#state = 'allocated'
    this.#mismatches = 0
    this.#lease.allocated(now)
    this.#events.push({ type: 'allocated', relayed, mapped })
    this.#askForPermissions(now)
  }

  #notAllocated(now: number, outcome: Failed): void {
    const status = outcome.result === 'error' ? outcome.error.code : undefined
    if (outcome.result === 'error' && status === ErrorNumber.TryAlternate) {
      this.#redirected(now, outcome.response, failureOf(outcome))
      return
    }
    const isMismatch = status === ErrorNumber.AllocationMismatch
    this.#mismatches = isMismatch ? this.#mismatches + 1 : 0
    // Credentials that expire may have done so on the way.
    const isStuck = isFinal(outcome) && !this.#authentication.isOutdated
    this.#fail(now, failureOf(outcome), isStuck || this.#mismatches >= MaxMismatches)
    // Perhaps it is ours, of a life before: then it can be cleared away. A new stream needs no room.
    if (isMismatch && this.#state === 'waiting' && !this.#isStream) {
      this.#refresh(now, { kind: 'clear' }, 0, 1)
    }
  }

  #cleared(now: number, outcome: Outcome<Purpose>): void {
    if (outcome.result === 'success' && this.#mismatches === 1 && this.#state === 'waiting')
      this.#allocate(now)
  }

  #redirected(now: number, response: DecodedMessage, failure: TurnFailure): void {
    const value = findAttribute(response, TurnAttributeType.AlternateServer)
    const server = value && readMappedAddress(value)
    if (server === undefined || server.port === 0 || !this.#redirects.follow(now, server)) {
      this.#fail(now, failure, false)
      return
    }
    const domain = findAttribute(response, TurnAttributeType.AlternateDomain)
    const name = domain && readQuotedText(domain)
    this.#stop()
    this.#events.push({ type: 'redirect', server, domain: name && printable(name) })
  }

  #notRefreshed(now: number, outcome: Failed): void {
    if (outcome.result === 'timeout') this.#lose(now, failureOf(outcome))
    else this.#lease.refused(now)
  }

  #notPermitted(now: number, addresses: readonly string[], outcome: Failed): void {
    if (outcome.result !== 'error') {
      this.#permissions.unanswered(now, addresses)
      if (outcome.result === 'timeout' && !this.#lease.isAsked) this.#renew(now)
    } else if (addresses.length > 1) {
      this.#permissions.separate(now, addresses)
      this.#askForPermissions(now)
    } else {
      this.#permissions.remove(addresses[0] ?? '')
      const { code: status, reason } = outcome.error
      const said = printable(reason)
      for (const address of addresses) this.#events.push({ type: 'denied', address, status, reason: said })
    }
  }

  #lose(now: number, failure: TurnFailure): void {
    this.#events.push({ type: 'lost', ...failure })
    if (this.#lease.ageMs(now) >= GoodLifeMs) this.#failures = 0
    this.#retry(now)
  }

  #fail(now: number, failure: TurnFailure, final: boolean): void {
    this.#events.push({ type: 'failed', final, ...failure })
    if (final) this.#stop()
    else this.#retry(now)
  }

  #retry(now: number): void {
    this.#stop()
    this.#permissions.reset(now)
    this.#channels.reset()
    this.#state = 'waiting'
    const waitMs = Math.min(MaxRetryMs, FirstRetryMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, 30)
    this.#retryAt = now + waitMs * (0.75 + 0.5 * this.#random.fraction())
  }

  #stop(): void {
    this.#state = 'stopped'
    this.#transactions.clear()
  }

  #closed(): void {
    this.#stop()
    this.#permissions.reset(0)
    this.#channels.reset()
    this.#events.push({ type: 'closed' })
  }
}

/** Undefined where the message has none. */
function lifetimeOf(response: DecodedMessage): number | undefined {
  const value = findAttribute(response, TurnAttributeType.Lifetime)
  return value && readLifetime(value)
}
