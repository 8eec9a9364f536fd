/**
 * A WireGuard device: many peers behind one key pair. Sans-IO (src/core/machine.ts): datagrams and inner
 * packets go in by methods, datagrams and events come out by polling.
 *
 * Where a peer's datagrams go is the caller's decision, except that a peer which was given an endpoint is
 * followed as WireGuard does it (paper, section 2.1): to where its latest authenticated datagram came from.
 */
import { DecodeError, GonetError, UsageError } from '../../core/errors.js'
import type { Endpoint, Machine } from '../../core/machine.js'
import type { Random, Wall } from '../../core/ports.js'
import { AllowedAddresses } from './allowed-addresses.js'
import { RejectAfterMessages, RekeyAfterMessages, SleepMs } from './constants.js'
import { CookieChecker } from './cookie.js'
import { createCounters, type DeviceCounters } from './counters.js'
import type { NoiseCrypto, PrivateKey } from './crypto.js'
import { type DeviceEvent, type DeviceTransmit, Nobody } from './device-events.js'
import { createRemoteStatic, openInitiation } from './handshake.js'
import { readInnerHeader } from './inner-packet.js'
import { HandshakeLoad, type LoadPolicy, RateLimiter } from './load.js'
import {
  CookieReplyLength,
  decodeMessage,
  type Initiation,
  InitiationLength,
  type Message,
  MessageType,
  type Response,
  ResponseLength,
  readUint32,
  TransportHeaderLength,
} from './messages.js'
import { TimestampSource } from './tai64n.js'
import { Tunnel } from './tunnel.js'
import type { TunnelEnvironment } from './tunnel-environment.js'
import { WakeQueue } from './wake-queue.js'

export interface DeviceOptions {
  /** X25519, 32 bytes. Not kept. */
  readonly secretKey: Uint8Array
  readonly crypto: NoiseCrypto
  readonly random: Random
  /** Stamps initiations, and shows the sleep of a machine whose monotonic clock stood still. */
  readonly wall: Wall
  /** Default 4096. */
  readonly maxPeers?: number
  /** After how many messages a session is renewed. Default RekeyAfterMessages; tests force a rekey with less. */
  readonly rekeyAfterMessages?: number
  /** After how many messages a session sends no more. Default RejectAfterMessages; for tests likewise. */
  readonly rejectAfterMessages?: number
  /** When handshakes must bring a cookie. Default: beyond 500 a second. */
  readonly load?: LoadPolicy
  /**
   * Where a handshake message to a peer without an endpoint is going to be sent, so that it brings the cookie of
   * that path: the address that `handleDatagram` names as the source of what comes back by it. Asked just before
   * the message can be polled, and with its `replyTo`. Undefined, as by default: the peer's latest cookie is taken,
   * whatever path it came by, which is right where there is but one.
   */
  readonly routeOf?: (peer: string, replyTo: Endpoint | undefined) => Endpoint | undefined
}

export interface PeerOptions {
  /** Names the peer in transmits and events. */
  readonly id: string
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 32 bytes. Default: none, which is the same as zeros. */
  readonly presharedKey?: Uint8Array
  /** The inner addresses that it may send from and that lead to it, as CIDR ranges, IPv4 and IPv6. */
  readonly allowedAddresses: readonly string[]
  /**
   * Sends a keepalive after this time without any authenticated packet either way, counted from the first one;
   * with an endpoint the first one is sent at once. At least 1000. Default: never.
   */
  readonly persistentKeepaliveMs?: number
  /** Where a peer that follows WireGuard's own roaming is first. Default: the caller decides. */
  readonly endpoint?: Endpoint
}

export class Device implements Machine<DeviceEvent, DeviceTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Readonly<DeviceCounters>
  readonly #counters: DeviceCounters = createCounters()
  readonly #crypto: NoiseCrypto
  readonly #random: Random
  readonly #privateKey: PrivateKey
  readonly #wall: Wall
  readonly #cookies: CookieChecker
  readonly #load: LoadPolicy
  readonly #rateLimiter = new RateLimiter()
  readonly #maxPeers: number
  readonly #environment: TunnelEnvironment
  readonly #allowedAddresses = new AllowedAddresses<Tunnel>()
  readonly #byId = new Map<string, Tunnel>()
  readonly #byPublicKey = new Map<string, Tunnel>()
  readonly #byIndex = new Map<number, Tunnel>()
  readonly #transmits: DeviceTransmit[] = []
  readonly #events: DeviceEvent[] = []
  readonly #wakes = new WakeQueue<Tunnel>()
  /** Wall time minus monotonic time, when last looked at. */
  #wallAhead = Number.POSITIVE_INFINITY

  constructor(options: DeviceOptions) {
    this.#crypto = options.crypto
    this.#random = options.random
    this.#privateKey = options.crypto.privateKey(options.secretKey)
    this.#wall = options.wall
    this.#cookies = new CookieChecker(options.crypto, options.random, this.#privateKey.publicKey)
    this.#load = options.load ?? new HandshakeLoad()
    this.#maxPeers = options.maxPeers ?? 4096
    this.counters = this.#counters
    this.#environment = {
      crypto: options.crypto,
      random: options.random,
      wall: options.wall,
      timestamps: new TimestampSource(options.wall),
      privateKey: this.#privateKey,
      counters: this.#counters,
      rekeyAfterMessages: options.rekeyAfterMessages ?? RekeyAfterMessages,
      rejectAfterMessages: options.rejectAfterMessages ?? RejectAfterMessages,
      routeOf: options.routeOf ?? (() => undefined),
      reserveIndex: (tunnel) => this.#reserveIndex(tunnel),
      releaseIndex: (index) => void this.#byIndex.delete(index),
      ownerOf: (packet, offset, addressLength) =>
        this.#allowedAddresses.lookup(packet, offset, addressLength),
      transmit: (transmit) => void this.#transmits.push(transmit),
      emit: (event) => void this.#events.push(event),
    }
  }

  get publicKey(): Uint8Array {
    return this.#privateKey.publicKey
  }

  /**
   * @throws DecodeError `wireguard-public-key` or `wireguard-preshared-key`; GonetError `wireguard-peer-exists`
   *   or `wireguard-too-many-peers`; UsageError `wireguard-peer-id` (an empty one), `allowed-address` or
   *   `persistent-keepalive`. Then nothing has changed.
   */
  addPeer(now: number, options: PeerOptions): void {
    const { id, publicKey, presharedKey, persistentKeepaliveMs, endpoint } = options
    if (this.#byId.size >= this.#maxPeers) {
      throw new GonetError(
        'wireguard-too-many-peers',
        `A WireGuard device has at most ${this.#maxPeers} peers`,
      )
    }
    if (id === Nobody) throw new UsageError('wireguard-peer-id', 'The id of a WireGuard peer is not empty')
    if (this.#byId.has(id) || this.#byPublicKey.has(bytesKey(publicKey))) {
      throw new GonetError('wireguard-peer-exists', 'A WireGuard peer with this id or public key exists')
    }
    if (persistentKeepaliveMs !== undefined && !(persistentKeepaliveMs >= 1000)) {
      throw new UsageError('persistent-keepalive', 'A persistent keepalive is at least 1000 ms')
    }
    const remote = createRemoteStatic(this.#crypto, this.#privateKey, publicKey, presharedKey)
    const tunnel = new Tunnel(this.#environment, id, remote, persistentKeepaliveMs, endpoint)
    this.#allowedAddresses.assign(tunnel, options.allowedAddresses)
    this.#byId.set(id, tunnel)
    this.#byPublicKey.set(bytesKey(publicKey), tunnel)
    tunnel.start(now)
    this.#schedule(tunnel)
  }

  /** Forgets a peer and its keys. What it already has to send or tell stays to be polled. Idempotent. */
  removePeer(_now: number, id: string): void {
    const tunnel = this.#byId.get(id)
    if (tunnel === undefined) return
    tunnel.close()
    this.#wakes.schedule(tunnel, undefined)
    this.#allowedAddresses.remove(tunnel)
    this.#byId.delete(id)
    this.#byPublicKey.delete(bytesKey(tunnel.remote.publicKey))
  }

  /**
   * Replaces a peer's allowed addresses; those that another peer had move. Nothing happens for unknown peers.
   * @throws UsageError `allowed-address`; then nothing has changed
   */
  setAllowedAddresses(id: string, allowedAddresses: readonly string[]): void {
    const tunnel = this.#byId.get(id)
    if (tunnel !== undefined) this.#allowedAddresses.assign(tunnel, allowedAddresses)
  }

  /**
   * Starts a handshake now, even where the last initiation was sent less than RekeyTimeout ago: only the
   * caller knows that it had no way then. Until it is answered it is repeated after FirstRekeyTimeouts, and then as
   * any other. Nothing happens for unknown peers.
   */
  initiate(now: number, id: string): void {
    const tunnel = this.#byId.get(id)
    if (tunnel === undefined) return
    this.#noticeSleep(now)
    tunnel.initiate(now)
    this.#schedule(tunnel)
  }

  /**
   * Sends an inner IP packet to the peer whose allowed addresses hold its destination. While that peer has no
   * session the packet is staged (the last 128 are), and a handshake is under way.
   * @param packet kept until it is sent: must not change
   * @returns false where it is no IP packet or nobody's; counted
   */
  send(now: number, packet: Uint8Array): boolean {
    const header = readInnerHeader(packet)
    if (header === undefined) {
      this.#counters.malformedPacket++
      return false
    }
    const tunnel = this.#allowedAddresses.lookup(packet, header.destinationOffset, header.addressLength)
    if (tunnel === undefined) {
      this.#counters.unroutable++
      return false
    }
    this.#noticeSleep(now)
    tunnel.send(now, packet)
    this.#schedule(tunnel)
    return true
  }

  /** The peer whose allowed addresses hold the destination of an inner IP packet; undefined where it is nobody's. */
  peerFor(packet: Uint8Array): string | undefined {
    const header = readInnerHeader(packet)
    if (header === undefined) return undefined
    return this.#allowedAddresses.lookup(packet, header.destinationOffset, header.addressLength)?.id
  }

  /**
   * Whether a datagram is for this device and no other: it names one of its indices, or is a handshake to its
   * public key. Nothing changes, and nothing is counted.
   */
  claims(bytes: Uint8Array): boolean {
    switch (bytes[0]) {
      case MessageType.Initiation:
        return bytes.length === InitiationLength && this.#cookies.verifyMac1(bytes)
      case MessageType.Response:
        return bytes.length === ResponseLength && this.#byIndex.has(readUint32(bytes, 8))
      case MessageType.CookieReply:
        return bytes.length === CookieReplyLength && this.#byIndex.has(readUint32(bytes, 4))
      case MessageType.Transport:
        return bytes.length > TransportHeaderLength && this.#byIndex.has(readUint32(bytes, 4))
      default:
        return false
    }
  }

  /**
   * Takes any datagram; what is not authentic is dropped and counted.
   * @param bytes may be reused after the call
   */
  handleDatagram(now: number, source: Endpoint, bytes: Uint8Array): void {
    let message: Message
    try {
      message = decodeMessage(bytes)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.malformed++
      return
    }
    this.#noticeSleep(now)
    switch (message.type) {
      case MessageType.Initiation:
      case MessageType.Response:
        this.#handleHandshake(now, source, message, bytes)
        break
      case MessageType.CookieReply:
        this.#receiverOf(message)?.handleCookieReply(now, source, message)
        break
      case MessageType.Transport: {
        const tunnel = this.#receiverOf(message)
        if (tunnel === undefined) return
        tunnel.handleTransport(now, source, message)
        this.#schedule(tunnel)
        break
      }
    }
  }

  handleTimeout(now: number): void {
    this.#noticeSleep(now)
    for (let tunnel = this.#wakes.due(now); tunnel !== undefined; tunnel = this.#wakes.due(now)) {
      tunnel.handleTimeout(now)
      this.#schedule(tunnel)
    }
  }

  pollTransmit(): DeviceTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): DeviceEvent | undefined {
    const event = this.#events.shift()
    if (event?.type === 'authenticated') this.#byId.get(event.peer)?.authenticatedPolled()
    return event
  }

  pollTimeout(): number | undefined {
    return this.#wakes.next
  }

  /** Removes all peers and forgets their keys. Idempotent. */
  close(): void {
    for (const tunnel of this.#byId.values()) {
      tunnel.close()
      this.#allowedAddresses.remove(tunnel)
    }
    this.#byId.clear()
    this.#byPublicKey.clear()
    this.#wakes.clear()
  }

  #handleHandshake(now: number, source: Endpoint, message: Initiation | Response, bytes: Uint8Array): void {
    if (!this.#cookies.verifyMac1(bytes)) {
      this.#counters.invalidMac1++
      return
    }
    // Before the load is looked at: a response that nobody waits for costs no more than this, and gets no cookie.
    if (message.type === MessageType.Response && this.#receiverOf(message) === undefined) return
    if (this.#load.isUnderLoad(now) && !this.#isAllowedUnderLoad(now, source, message, bytes)) return
    try {
      if (message.type === MessageType.Initiation) this.#handleInitiation(now, source, message)
      else this.#handleResponse(now, source, message)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.#counters.forgedHandshake++
    }
  }

  /** Asks for a cookie where there is none. Nothing is kept of whoever has not brought one. */
  #isAllowedUnderLoad(
    now: number,
    source: Endpoint,
    message: Initiation | Response,
    bytes: Uint8Array,
  ): boolean {
    if (!this.#cookies.verifyMac2(now, source, bytes)) {
      this.#counters.underLoad++
      const reply = this.#cookies.createReply(now, source, message.sender, bytes)
      this.#transmits.push({ peer: Nobody, bytes: reply, replyTo: source })
      return false
    }
    if (!this.#rateLimiter.allow(now, source.address)) {
      this.#counters.rateLimited++
      return false
    }
    return true
  }

  #handleInitiation(now: number, source: Endpoint, message: Initiation): void {
    const opened = openInitiation(this.#crypto, this.#privateKey, message)
    const tunnel = this.#byPublicKey.get(bytesKey(opened.publicKey))
    if (tunnel === undefined) {
      this.#counters.unknownPeer++
      return
    }
    tunnel.handleInitiation(now, source, opened)
    this.#schedule(tunnel)
  }

  #handleResponse(now: number, source: Endpoint, message: Response): void {
    const tunnel = this.#receiverOf(message)
    if (tunnel === undefined) return
    tunnel.handleResponse(now, source, message)
    this.#schedule(tunnel)
  }

  #receiverOf({ receiver }: { readonly receiver: number }): Tunnel | undefined {
    const tunnel = this.#byIndex.get(receiver)
    if (tunnel === undefined) this.#counters.unknownReceiver++
    return tunnel
  }

  #reserveIndex(tunnel: Tunnel): number {
    for (;;) {
      const index = readUint32(this.#random.bytes(4), 0)
      if (this.#byIndex.has(index)) continue
      this.#byIndex.set(index, tunnel)
      return index
    }
  }

  #schedule(tunnel: Tunnel): void {
    this.#wakes.schedule(tunnel, tunnel.pollTimeout())
  }

  /**
   * Wall time that went by without monotonic time is a machine's sleep, and ages keys all the same. A clock that
   * is set forward looks like it, and costs a handshake; one that is set back changes nothing.
   */
  #noticeSleep(now: number): void {
    const ahead = this.#wall.unixMs() - now
    const slept = ahead - this.#wallAhead
    this.#wallAhead = ahead
    if (slept < SleepMs) return
    for (const tunnel of this.#byId.values()) {
      tunnel.handleSleep(slept)
      this.#schedule(tunnel)
    }
  }
}

function bytesKey(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
