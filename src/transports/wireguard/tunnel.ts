/**
 * One peer: its handshakes, sessions, staged packets and timers (WireGuard paper, section 6). Driven by its
 * device, which finds the peer that a datagram or packet belongs to.
 */
import type { SocketAddress } from '../../core/machine.js'
import type { Random, Wall } from '../../core/ports.js'
import {
  HandshakeInitiationIntervalMs,
  KeepaliveTimeoutMs,
  MaxStagedPackets,
  RejectAfterTimeMs,
  RekeyAfterTimeMs,
  RekeyAttemptTimeMs,
  RekeyTimeoutJitterMaxMs,
  RekeyTimeoutMs,
} from './constants.js'
import { CookieGenerator } from './cookie.js'
import type { DeviceCounters } from './counters.js'
import type { NoiseCrypto, PrivateKey } from './crypto.js'
import type { DeviceEvent, DeviceTransmit } from './device-events.js'
import {
  authenticateInitiation,
  consumeResponse,
  createInitiation,
  createResponse,
  type OpenedInitiation,
  type PendingInitiation,
  type RemoteStatic,
} from './handshake.js'
import { readInnerHeader } from './inner-packet.js'
import type { CookieReply, Response, Transport } from './messages.js'
import { Session } from './session.js'
import { Sessions } from './sessions.js'
import { isLater, TimestampLength, type TimestampSource } from './tai64n.js'
import { type TimerName, Timers } from './timers.js'

/** What a tunnel needs of its device. */
export interface TunnelEnvironment {
  readonly crypto: NoiseCrypto
  readonly random: Random
  readonly wall: Wall
  readonly timestamps: TimestampSource
  readonly privateKey: PrivateKey
  readonly counters: DeviceCounters
  readonly rekeyAfterMessages: number
  readonly rejectAfterMessages: number
  /** Where a message to a peer without an endpoint is going to be sent; undefined where nobody knows. */
  routeOf(peer: string, replyTo: SocketAddress | undefined): SocketAddress | undefined
  /** A random index, unique in the device, that from now on leads to this tunnel. */
  reserveIndex(tunnel: Tunnel): number
  releaseIndex(index: number): void
  /** The peer whose allowed addresses hold this one. */
  ownerOf(packet: Uint8Array, offset: number, addressLength: 4 | 16): Tunnel | undefined
  transmit(transmit: DeviceTransmit): void
  emit(event: DeviceEvent): void
}

const Keepalive = new Uint8Array(0)

export class Tunnel {
  readonly id: string
  readonly remote: RemoteStatic
  readonly #environment: TunnelEnvironment
  readonly #persistentKeepaliveMs: number | undefined
  readonly #timers = new Timers()
  readonly #sessions: Sessions
  readonly #cookies: CookieGenerator
  readonly #staged: Uint8Array[] = []
  #endpoint: SocketAddress | undefined
  #pending: PendingInitiation | undefined
  #attemptStartedAt = 0
  #initiationSentAt = Number.NEGATIVE_INFINITY
  #initiationReceivedAt = Number.NEGATIVE_INFINITY
  #greatestTimestamp: Uint8Array = new Uint8Array(TimestampLength)
  #anotherKeepaliveDue = false
  #renewedBeforeRejection = false
  #reportedSource: SocketAddress | undefined

  constructor(
    environment: TunnelEnvironment,
    id: string,
    remote: RemoteStatic,
    persistentKeepaliveMs: number | undefined,
    endpoint: SocketAddress | undefined,
  ) {
    this.#environment = environment
    this.id = id
    this.remote = remote
    this.#persistentKeepaliveMs = persistentKeepaliveMs
    this.#endpoint = endpoint
    this.#sessions = new Sessions((index) => environment.releaseIndex(index))
    this.#cookies = new CookieGenerator(environment.crypto, remote.publicKey)
  }

  /** Opens the NAT's mapping that persistent keepalives are to keep open, where it is known where to. */
  start(now: number): void {
    if (this.#persistentKeepaliveMs !== undefined && this.#endpoint !== undefined) this.#sendKeepalive(now)
  }

  /** Sends an initiation now, whenever the last one was. */
  initiate(now: number): void {
    this.#attemptStartedAt = now
    this.#sendInitiation(now)
  }

  /** Seals and sends an inner packet, or stages it and sees to a handshake. */
  send(now: number, packet: Uint8Array): void {
    // Someone still wants to get through (section 6.4): the attempt's time starts again.
    this.#attemptStartedAt = now
    this.#stage(packet)
    this.#sendStaged(now)
  }

  /** @throws DecodeError for a forged one */
  handleInitiation(now: number, source: SocketAddress, opened: OpenedInitiation): void {
    const { counters, crypto } = this.#environment
    const timestamp = authenticateInitiation(opened, this.remote)
    if (!isLater(timestamp, this.#greatestTimestamp)) {
      counters.replayedInitiation++
      return
    }
    if (now < this.#initiationReceivedAt + HandshakeInitiationIntervalMs) {
      counters.floodedInitiation++
      return
    }
    this.#greatestTimestamp = timestamp
    this.#initiationReceivedAt = now

    const index = this.#environment.reserveIndex(this)
    const { bytes, keys } = createResponse(crypto, this.remote, opened, this.#newEphemeral(), index)
    this.#sessions.addAsResponder(new Session(crypto, keys, false, now, this.#unixMs()))
    this.#sessionDerived(now)
    this.#authenticatedReceived(now, source)
    this.#transmitHandshake(now, bytes, source)
  }

  /** @throws DecodeError for a forged one */
  handleResponse(now: number, source: SocketAddress, message: Response): void {
    const { counters, crypto, privateKey } = this.#environment
    const pending = this.#pending
    if (pending?.sender !== message.receiver) {
      counters.unknownReceiver++
      return
    }
    const keys = consumeResponse(privateKey, this.remote, pending, message)
    pending.state.wipe()
    this.#pending = undefined
    this.#sessions.addAsInitiator(new Session(crypto, keys, true, now, this.#unixMs()))
    this.#sessionDerived(now)
    this.#authenticatedReceived(now, source)
    this.#sessionConfirmed()
    // The responder may not send before it has heard from us (section 5.4.6).
    if (this.#staged.length === 0) this.#stage(Keepalive)
    this.#sendStaged(now)
  }

  /** Not authentic in the sense of the timers: it proves no session. */
  handleCookieReply(now: number, source: SocketAddress, message: CookieReply): void {
    if (!this.#cookies.consumeReply(now, source, message)) this.#environment.counters.forgedCookieReply++
  }

  handleTransport(now: number, source: SocketAddress, message: Transport): void {
    const { counters } = this.#environment
    const session = this.#sessions.find(message.receiver)
    if (session === undefined) {
      counters.unknownReceiver++
      return
    }
    if (this.#age(now, session) >= RejectAfterTimeMs) {
      counters.expiredSession++
      return
    }
    const packet = session.open(message)
    if (typeof packet === 'string') {
      counters[packet]++
      return
    }
    this.#authenticatedReceived(now, source)
    if (this.#sessions.confirm(session)) {
      this.#sessionConfirmed()
      this.#abandonPending()
      this.#sendStaged(now)
    }
    this.#keepKeyFreshReceiving(now)
    if (packet.length > 0) {
      this.#dataReceived(now)
      this.#deliver(packet)
    }
  }

  handleTimeout(now: number): void {
    for (let name = this.#timers.takeExpired(now); name !== undefined; name = this.#timers.takeExpired(now)) {
      this.#expire(now, name)
    }
  }

  /** The machine slept, unseen by `now`: what was to happen in that time is due. */
  handleSleep(ms: number): void {
    this.#timers.advance(ms)
  }

  pollTimeout(): number | undefined {
    return this.#timers.next()
  }

  /** The source was reported: report it again when something more comes. */
  authenticatedPolled(): void {
    this.#reportedSource = undefined
  }

  /** Forgets all keys and stops all timers. */
  close(): void {
    this.#sessions.wipe()
    this.#abandonPending()
    this.#dropStaged()
    this.#timers.clearAll()
    this.remote.presharedKey.fill(0)
    this.remote.staticStatic.fill(0)
  }

  #expire(now: number, name: TimerName): void {
    switch (name) {
      case 'retransmitHandshake':
        if (now >= this.#attemptStartedAt + RekeyAttemptTimeMs) this.#giveUp()
        else this.#sendInitiationWhenDue(now)
        break
      case 'sendKeepalive':
        this.#sendKeepalive(now)
        if (this.#anotherKeepaliveDue) {
          this.#anotherKeepaliveDue = false
          this.#timers.set('sendKeepalive', now + KeepaliveTimeoutMs)
        }
        break
      case 'newHandshake':
        this.#requestHandshake(now)
        break
      case 'zeroKeyMaterial':
        if (!this.#sessions.isEmpty) this.#environment.emit({ type: 'expired', peer: this.id })
        this.#sessions.wipe()
        break
      case 'persistentKeepalive':
        this.#sendKeepalive(now)
        break
    }
  }

  // Handshakes

  /** Starts an attempt unless one is under way. */
  #requestHandshake(now: number): void {
    if (this.#timers.isSet('retransmitHandshake')) return
    this.#attemptStartedAt = now
    this.#sendInitiationWhenDue(now)
  }

  #sendInitiationWhenDue(now: number): void {
    const due = this.#initiationSentAt + RekeyTimeoutMs
    if (now < due) this.#timers.set('retransmitHandshake', due)
    else this.#sendInitiation(now)
  }

  #sendInitiation(now: number): void {
    const { crypto, privateKey, random, timestamps } = this.#environment
    this.#abandonPending()
    const { bytes, pending } = createInitiation(
      crypto,
      privateKey,
      this.remote,
      this.#newEphemeral(),
      this.#environment.reserveIndex(this),
      timestamps.next(),
    )
    this.#pending = pending
    this.#initiationSentAt = now
    const retryAt = now + RekeyTimeoutMs + random.fraction() * RekeyTimeoutJitterMaxMs
    const giveUpAt = this.#attemptStartedAt + RekeyAttemptTimeMs
    this.#timers.set('retransmitHandshake', Math.min(retryAt, giveUpAt))
    this.#transmitHandshake(now, bytes, undefined)
  }

  #giveUp(): void {
    this.#abandonPending()
    this.#dropStaged()
    // A keepalive to nobody would only start the next attempt.
    this.#timers.clear('sendKeepalive')
    this.#environment.emit({ type: 'expired', peer: this.id })
  }

  #abandonPending(): void {
    if (this.#pending === undefined) return
    this.#pending.state.wipe()
    this.#environment.releaseIndex(this.#pending.sender)
    this.#pending = undefined
  }

  #newEphemeral(): PrivateKey {
    const secretKey = this.#environment.random.bytes(32)
    const ephemeral = this.#environment.crypto.privateKey(secretKey)
    secretKey.fill(0)
    return ephemeral
  }

  #sessionDerived(now: number): void {
    this.#timers.set('zeroKeyMaterial', now + 3 * RejectAfterTimeMs)
  }

  #sessionConfirmed(): void {
    this.#timers.clear('retransmitHandshake')
    this.#renewedBeforeRejection = false
    this.#environment.emit({ type: 'session', peer: this.id })
  }

  // Sending

  #sendStaged(now: number): void {
    const session = this.#sessions.current
    if (session === undefined || this.#age(now, session) >= RejectAfterTimeMs) {
      this.#requestHandshake(now)
      return
    }
    while (session.sent < this.#environment.rejectAfterMessages) {
      const packet = this.#staged.shift()
      if (packet === undefined) break
      this.#transmit(now, session.seal(packet), undefined)
      if (packet.length > 0) this.#dataSent(now)
    }
    this.#keepKeyFreshSending(now, session)
  }

  #sendKeepalive(now: number): void {
    if (this.#staged.length === 0) this.#stage(Keepalive)
    this.#sendStaged(now)
  }

  #stage(packet: Uint8Array): void {
    if (this.#staged.length >= MaxStagedPackets) {
      this.#staged.shift()
      this.#environment.counters.stagedDropped++
    }
    this.#staged.push(packet)
  }

  #dropStaged(): void {
    this.#environment.counters.stagedDropped += this.#staged.length
    this.#staged.length = 0
  }

  #transmitHandshake(now: number, bytes: Uint8Array, answers: SocketAddress | undefined): void {
    this.#cookies.addMac2(now, this.#endpoint ?? this.#environment.routeOf(this.id, answers), bytes)
    this.#transmit(now, bytes, answers)
  }

  /** Everything that leaves is authenticated, and so serves as a keepalive. */
  #transmit(now: number, bytes: Uint8Array, answers: SocketAddress | undefined): void {
    this.#timers.clear('sendKeepalive')
    this.#authenticatedTraversal(now)
    this.#environment.transmit({ peer: this.id, bytes, replyTo: this.#endpoint ?? answers })
  }

  // Receiving

  #authenticatedReceived(now: number, source: SocketAddress): void {
    this.#timers.clear('newHandshake')
    this.#authenticatedTraversal(now)
    if (this.#endpoint !== undefined) this.#endpoint = source
    const reported = this.#reportedSource
    if (reported?.address === source.address && reported.port === source.port) return
    this.#reportedSource = source
    this.#environment.emit({ type: 'authenticated', peer: this.id, source })
  }

  #deliver(packet: Uint8Array): void {
    const { counters } = this.#environment
    const header = readInnerHeader(packet)
    if (header === undefined) {
      counters.malformedPacket++
    } else if (this.#environment.ownerOf(packet, header.sourceOffset, header.addressLength) !== this) {
      counters.spoofedSource++
    } else {
      this.#environment.emit({ type: 'packet', peer: this.id, bytes: packet.subarray(0, header.length) })
    }
  }

  // Timers

  #dataSent(now: number): void {
    if (this.#timers.isSet('newHandshake')) return
    const jitter = this.#environment.random.fraction() * RekeyTimeoutJitterMaxMs
    this.#timers.set('newHandshake', now + KeepaliveTimeoutMs + RekeyTimeoutMs + jitter)
  }

  #dataReceived(now: number): void {
    if (this.#timers.isSet('sendKeepalive')) this.#anotherKeepaliveDue = true
    else this.#timers.set('sendKeepalive', now + KeepaliveTimeoutMs)
  }

  #authenticatedTraversal(now: number): void {
    if (this.#persistentKeepaliveMs === undefined) return
    this.#timers.set('persistentKeepalive', now + this.#persistentKeepaliveMs)
  }

  /** Only the initiator renews by time, so that the two do not collide (section 6.2). */
  #keepKeyFreshSending(now: number, session: Session): void {
    const byTime = session.initiator && this.#age(now, session) >= RekeyAfterTimeMs
    if (byTime || session.sent >= this.#environment.rekeyAfterMessages) this.#requestHandshake(now)
  }

  /** A session that only receives is renewed just before it would be rejected (section 6.2). */
  #keepKeyFreshReceiving(now: number): void {
    const session = this.#sessions.current
    if (session === undefined || !session.initiator || this.#renewedBeforeRejection) return
    if (this.#age(now, session) < RejectAfterTimeMs - KeepaliveTimeoutMs - RekeyTimeoutMs) return
    this.#renewedBeforeRejection = true
    this.#requestHandshake(now)
  }

  #age(now: number, session: Session): number {
    return session.age(now, this.#unixMs())
  }

  #unixMs(): number {
    return this.#environment.wall.unixMs()
  }
}
