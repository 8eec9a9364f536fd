/**
 * One peer: its handshakes, sessions, staged packets and timers (WireGuard paper, section 6). Driven by its
 * device, which finds the peer that a datagram or packet belongs to.
 */
import type { Endpoint } from '../../core/machine.js'
import { KeepaliveTimeoutMs, RejectAfterTimeMs, RekeyAfterTimeMs, RekeyTimeoutMs } from './constants.js'
import { CookieGenerator } from './cookie.js'
import {
  authenticateInitiation,
  createResponse,
  type OpenedInitiation,
  type RemoteStatic,
} from './handshake.js'
import { HandshakeAttempt, newEphemeral } from './handshake-attempt.js'
import { InitiationGuard } from './initiation-guard.js'
import { readInnerHeader } from './inner-packet.js'
import { Liveness } from './liveness.js'
import type { CookieReply, Response, Transport } from './messages.js'
import { Session } from './session.js'
import { Sessions } from './sessions.js'
import { StagedPackets } from './staged-packets.js'
import { type TimerName, Timers } from './timers.js'
import type { TunnelEnvironment } from './tunnel-environment.js'

export class Tunnel {
  readonly id: string
  readonly remote: RemoteStatic
  readonly #environment: TunnelEnvironment
  readonly #keepsAlive: boolean
  readonly #timers = new Timers()
  readonly #liveness: Liveness
  readonly #attempt: HandshakeAttempt
  readonly #initiations = new InitiationGuard()
  readonly #sessions: Sessions
  readonly #cookies: CookieGenerator
  readonly #staged: StagedPackets
  #endpoint: Endpoint | undefined
  #renewedBeforeRejection = false
  #reportedSource: Endpoint | undefined

  constructor(
    environment: TunnelEnvironment,
    id: string,
    remote: RemoteStatic,
    persistentKeepaliveMs: number | undefined,
    endpoint: Endpoint | undefined,
  ) {
    this.#environment = environment
    this.id = id
    this.remote = remote
    this.#keepsAlive = persistentKeepaliveMs !== undefined
    this.#endpoint = endpoint
    this.#liveness = new Liveness(this.#timers, environment.random, persistentKeepaliveMs)
    this.#attempt = new HandshakeAttempt({
      environment,
      remote,
      timers: this.#timers,
      reserveIndex: () => environment.reserveIndex(this),
      transmit: (now, bytes) => this.#transmitHandshake(now, bytes, undefined),
    })
    this.#sessions = new Sessions((index) => environment.releaseIndex(index))
    this.#cookies = new CookieGenerator(environment.crypto, remote.publicKey)
    this.#staged = new StagedPackets(environment.counters)
  }

  /** Opens the NAT's mapping that persistent keepalives are to keep open, where it is known where to. */
  start(now: number): void {
    if (this.#keepsAlive && this.#endpoint !== undefined) this.#sendKeepalive(now)
  }

  /** Sends an initiation now, whenever the last one was. */
  initiate(now: number): void {
    this.#attempt.start(now)
  }

  /** Seals and sends an inner packet, or stages it and sees to a handshake. */
  send(now: number, packet: Uint8Array): void {
    this.#attempt.prolong(now)
    this.#staged.add(packet)
    this.#sendStaged(now)
  }

  /** @throws DecodeError for a forged one */
  handleInitiation(now: number, source: Endpoint, opened: OpenedInitiation): void {
    const { counters, crypto } = this.#environment
    const verdict = this.#initiations.accept(now, authenticateInitiation(opened, this.remote))
    if (verdict !== 'accepted') {
      counters[verdict]++
      return
    }
    const index = this.#environment.reserveIndex(this)
    const { bytes, keys } = createResponse(
      crypto,
      this.remote,
      opened,
      newEphemeral(this.#environment),
      index,
    )
    this.#sessions.addAsResponder(new Session(crypto, keys, false, now, this.#unixMs()))
    this.#liveness.sessionDerived(now)
    this.#authenticatedReceived(now, source)
    this.#transmitHandshake(now, bytes, source)
  }

  /** @throws DecodeError for a forged one */
  handleResponse(now: number, source: Endpoint, message: Response): void {
    const { counters, crypto } = this.#environment
    const keys = this.#attempt.consume(message)
    if (keys === undefined) {
      counters.unknownReceiver++
      return
    }
    this.#sessions.addAsInitiator(new Session(crypto, keys, true, now, this.#unixMs()))
    this.#liveness.sessionDerived(now)
    this.#authenticatedReceived(now, source)
    this.#sessionConfirmed()
    // The responder may not send before it has heard from us (section 5.4.6).
    this.#staged.addKeepaliveIfEmpty()
    this.#sendStaged(now)
  }

  /** Not authentic in the sense of the timers: it proves no session. */
  handleCookieReply(now: number, source: Endpoint, message: CookieReply): void {
    if (!this.#cookies.consumeReply(now, source, message)) this.#environment.counters.forgedCookieReply++
  }

  handleTransport(now: number, source: Endpoint, message: Transport): void {
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
      this.#attempt.abandon()
      this.#sendStaged(now)
    }
    this.#keepKeyFreshReceiving(now)
    if (packet.length > 0) {
      this.#liveness.dataReceived(now)
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
    this.#attempt.abandon()
    this.#staged.drop()
    this.#timers.clearAll()
    this.remote.presharedKey.fill(0)
    this.remote.staticStatic.fill(0)
  }

  #expire(now: number, name: TimerName): void {
    switch (name) {
      case 'retransmitHandshake':
        if (!this.#attempt.retry(now)) this.#giveUp()
        break
      case 'sendKeepalive':
        this.#sendKeepalive(now)
        this.#liveness.keepaliveSent(now)
        break
      case 'newHandshake':
        this.#attempt.request(now)
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

  #giveUp(): void {
    this.#attempt.abandon()
    this.#staged.drop()
    // A keepalive to nobody would only start the next attempt.
    this.#timers.clear('sendKeepalive')
    this.#environment.emit({ type: 'expired', peer: this.id })
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
      this.#attempt.request(now)
      return
    }
    while (session.sent < this.#environment.rejectAfterMessages) {
      const packet = this.#staged.take()
      if (packet === undefined) break
      this.#transmit(now, session.seal(packet), undefined)
      if (packet.length > 0) this.#liveness.dataSent(now)
    }
    this.#keepKeyFreshSending(now, session)
  }

  #sendKeepalive(now: number): void {
    this.#staged.addKeepaliveIfEmpty()
    this.#sendStaged(now)
  }

  #transmitHandshake(now: number, bytes: Uint8Array, answers: Endpoint | undefined): void {
    this.#cookies.addMac2(now, this.#endpoint ?? this.#environment.routeOf(this.id, answers), bytes)
    this.#transmit(now, bytes, answers)
  }

  #transmit(now: number, bytes: Uint8Array, answers: Endpoint | undefined): void {
    this.#liveness.authenticatedSent(now)
    this.#environment.transmit({ peer: this.id, bytes, replyTo: this.#endpoint ?? answers })
  }

  // Receiving

  #authenticatedReceived(now: number, source: Endpoint): void {
    this.#liveness.authenticatedReceived(now)
    if (this.#endpoint !== undefined) this.#endpoint = source
    const reported = this.#reportedSource
    const isSame = reported?.address === source.address && reported.port === source.port
    if (isSame && reported.via === source.via) return
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

  // Renewing

  /** Only the initiator renews by time, so that the two do not collide (section 6.2). */
  #keepKeyFreshSending(now: number, session: Session): void {
    const byTime = session.initiator && this.#age(now, session) >= RekeyAfterTimeMs
    if (byTime || session.sent >= this.#environment.rekeyAfterMessages) this.#attempt.request(now)
  }

  /** A session that only receives is renewed just before it would be rejected (section 6.2). */
  #keepKeyFreshReceiving(now: number): void {
    const session = this.#sessions.current
    if (session === undefined || !session.initiator || this.#renewedBeforeRejection) return
    if (this.#age(now, session) < RejectAfterTimeMs - KeepaliveTimeoutMs - RekeyTimeoutMs) return
    this.#renewedBeforeRejection = true
    this.#attempt.request(now)
  }

  #age(now: number, session: Session): number {
    return session.age(now, this.#unixMs())
  }

  #unixMs(): number {
    return this.#environment.wall.unixMs()
  }
}
