/**
 * A guest of a room, whole, as one machine (docs/protocol.md): it finds the host, joins, keeps one tunnel to
 * it, and joins again whenever the host has begun anew or has fallen silent.
 */
import { ChatReplica } from '../chat/replica.js'
import { Counters } from '../core/bounded.js'
import { toBase64 } from '../core/encoding.js'
import { GonetError, RefusedError } from '../core/errors.js'
import { Guest, type GuestEvent } from '../core/guest.js'
import { formatKey } from '../core/identity.js'
import { earliest, formatSocketAddress, type SocketAddress } from '../core/machine.js'
import type { Beacon, Welcome } from '../core/messages.js'
import { hostAddress, memberAddress6, parseSubnet, subnetContains } from '../core/overlay.js'
import { isNewer, type RosterMember } from '../core/roster.js'
import type { AdapterState, SignalRecord, Topic } from '../core/signalling-adapter.js'
import type { IceCredentials } from '../transports/path/credentials.js'
import type { Device } from '../transports/wireguard/device.js'
import { roomEventOf } from './chat-events.js'
import type { ControlMessage, RosterFragment } from './control.js'
import { ControlChannel } from './control-channel.js'
import type { RoomEvent } from './events.js'
import type { Member } from './room.js'
import { noBackend, type RoomMachine, type RoomMachineOptions, type RoomTransmit } from './room-machine.js'
import { RosterReader } from './roster-reader.js'
import { formatCredentials, readReachability, Underlay, type UnderlayEvent } from './underlay.js'

/** How often a guest says that it lives, and asks for what it lacks. */
const StateIntervalMs = 5000
/** Before the first roster has come, it asks this often. */
const StateRepeatMs = 250
/** The host answers every state; it counts as gone after this. */
const HostSilenceMs = 15_000
/** A join that has brought no tunnel is made anew after this, which doubles up to the limit. */
const RejoinMs = 10_000
const RejoinLimitMs = 60_000
const LeaveMs = 1000
const LeaveRepeatMs = 100

export interface GuestRoomOptions extends RoomMachineOptions {
  /** The only host key to accept, where the guest knows it. */
  readonly hostKey?: Uint8Array
}

/** One join, and the tunnel that it brings. */
interface Attempt {
  /** The host's WireGuard peer. */
  readonly id: string
  readonly beacon: Beacon
  readonly device: Device
  readonly ice: IceCredentials
  welcome: Welcome | undefined
  /** Its path, in words, as last reported. */
  path: string
}

export class GuestRoom implements RoomMachine {
  readonly role = 'guest'
  readonly #options: GuestRoomOptions
  readonly #counters = new Counters()
  readonly #guest: Guest
  readonly #underlay: Underlay
  readonly #control: ControlChannel
  readonly #chat: ChatReplica
  readonly #transmits: RoomTransmit[] = []
  readonly #events: RoomEvent[] = []
  readonly #roster: RosterReader
  /** The newest beacon that no join has answered yet: the join waits for candidates. */
  #beacon: Beacon | undefined
  /** The latest beacon of all. */
  #host: Beacon | undefined
  /** The join under way, and the tunnel in use: the latter is given up only for one that is up. */
  #attempt: Attempt | undefined
  #current: Attempt | undefined
  #attempts = 0
  #rejoinAt: number | undefined
  #rejoinAfterMs = RejoinMs
  #wasWelcomed = false
  #joined = false
  #hostOnline = false
  #heardAt = 0
  #stateAt: number | undefined
  #isUp = false
  #giveUpAt: number | undefined
  #leaving: { readonly until: number; nextAt: number } | undefined
  #ended: { readonly failure?: GonetError } | undefined

  constructor(options: GuestRoomOptions) {
    this.#options = options
    const { identity, room, name, crypto, random, wall, store, mtu, hostKey } = options
    this.#guest = new Guest({ identity, room, username: name, crypto, random, ...(hostKey && { hostKey }) })
    this.#underlay = new Underlay(options)
    this.#roster = new RosterReader({ crypto, room, counters: this.#counters })
    const addresses = [memberAddress6(crypto, room, identity.publicKey)]
    this.#control = new ControlChannel({ underlay: this.#underlay, random, addresses, mtu })
    this.#chat = new ChatReplica({
      room,
      author: { publicKey: identity.publicKey, sign: crypto.signer(identity.secretKey) },
      name,
      crypto,
      random,
      wall,
      store,
      // The host lets in only what members wrote; their signatures are checked here all the same.
      accepts: () => true,
      hub: false,
      historyLimit: options.historyLimit,
    })
  }

  get topic(): Topic {
    return this.#guest.topic
  }

  get ended(): { readonly failure?: GonetError } | undefined {
    return this.#ended
  }

  get undelivered(): number {
    return this.#chat.undelivered
  }

  get members(): readonly Member[] {
    const { crypto, room } = this.#options
    return this.#roster.members.map(({ publicKey, name, address, online }, index) => {
      const address6 = memberAddress6(crypto, room, publicKey)
      return { name, key: formatKey(publicKey), address, address6, online, host: index === 0 }
    })
  }

  start(now: number): void {
    const { timeoutMs } = this.#options
    this.#giveUpAt = timeoutMs === undefined ? undefined : now + timeoutMs
    this.#underlay.start(now)
    this.#guest.start()
    this.#collect(now)
  }

  handleRecord(now: number, adapter: string, record: SignalRecord): void {
    this.#guest.handleRecord(now, adapter, record)
    this.#collect(now)
  }

  handleAdapterState(_now: number, adapter: string, state: AdapterState): void {
    this.#isUp ||= state.state === 'up'
    this.#events.push({ event: 'signalling', adapter, ...state })
  }

  handleDatagram(now: number, source: SocketAddress, bytes: Uint8Array): void {
    this.#underlay.handleDatagram(now, source, bytes)
    this.#collect(now)
  }

  addStunServer(now: number, server: SocketAddress | undefined): void {
    this.#underlay.addStunServer(now, server)
    this.#collect(now)
  }

  post(now: number, text: string): string {
    const id = this.#chat.post(now, text)
    this.#collect(now)
    return id
  }

  leave(now: number): void {
    if (this.#leaving !== undefined || this.#ended !== undefined) return
    this.#guest.stop()
    this.#leaving = { until: now + LeaveMs, nextAt: now }
    this.#continueLeaving(now)
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    if (this.#ended !== undefined) return
    if (this.#giveUpAt !== undefined && now >= this.#giveUpAt) {
      this.#end(this.#whyNot())
      return
    }
    this.#guest.handleTimeout(now)
    this.#underlay.handleTimeout(now)
    this.#control.handleTimeout(now)
    this.#chat.handleTimeout(now)
    if (this.#current !== undefined && this.#hostOnline && now >= this.#heardAt + HostSilenceMs)
      this.#hostLeft(now)
    if (this.#rejoinAt !== undefined && now >= this.#rejoinAt) this.#join(now)
    if (this.#stateAt !== undefined && now >= this.#stateAt) this.#sendState(now)
    this.#continueLeaving(now)
    this.#collect(now)
  }

  pollTransmit(): RoomTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): RoomEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    if (this.#ended !== undefined) return undefined
    return earliest(
      this.#giveUpAt,
      this.#guest.pollTimeout(),
      this.#underlay.pollTimeout(),
      this.#control.pollTimeout(),
      this.#chat.pollTimeout(),
      this.#rejoinAt,
      this.#stateAt,
      this.#hostOnline ? this.#heardAt + HostSilenceMs : undefined,
      this.#beacon && this.#underlay.gatheringEndsAt,
      this.#leaving && Math.min(this.#leaving.nextAt, this.#leaving.until),
    )
  }

  dropped(): readonly (readonly [reason: string, count: number])[] {
    const { counters: ofGuest } = this.#guest
    const parts = [
      this.#counters,
      ofGuest,
      this.#underlay.counters,
      this.#control.counters,
      this.#chat.counters,
    ]
    return parts.flatMap((counters) => counters.entries())
  }

  #collect(now: number): void {
    for (let moved = true; moved; ) {
      moved = false
      for (let event = this.#guest.pollEvent(); event !== undefined; event = this.#guest.pollEvent()) {
        moved = true
        this.#handleGuest(now, event)
      }
      for (let event = this.#underlay.pollEvent(); event !== undefined; event = this.#underlay.pollEvent()) {
        moved = true
        this.#handleUnderlay(now, event)
      }
      for (let sent = this.#chat.pollTransmit(); sent !== undefined; sent = this.#chat.pollTransmit()) {
        moved = true
        this.#sendToHost(now, { type: 'chat', payload: sent.payload })
      }
      if (this.#beacon !== undefined && this.#underlay.gathered(now) && this.#ended === undefined) {
        moved = true
        this.#join(now)
      }
    }
    this.#collectChat()
    this.#drain()
  }

  #collectChat(): void {
    for (let event = this.#chat.pollEvent(); event !== undefined; event = this.#chat.pollEvent()) {
      const told = roomEventOf(event, (author) => this.#roster.member(author)?.address)
      if (told !== undefined) this.#events.push(told)
    }
  }

  #drain(): void {
    for (let signal = this.#guest.pollTransmit(); signal !== undefined; signal = this.#guest.pollTransmit()) {
      this.#transmits.push({ type: 'signal', signal })
    }
    for (let sent = this.#underlay.pollTransmit(); sent !== undefined; sent = this.#underlay.pollTransmit()) {
      this.#transmits.push({ type: 'datagram', datagram: sent })
    }
  }

  #handleGuest(now: number, event: GuestEvent): void {
    if (this.#ended !== undefined || this.#leaving !== undefined) return
    switch (event.type) {
      case 'host':
        this.#beacon = event.beacon
        this.#host = event.beacon
        this.#rejoinAfterMs = RejoinMs
        break
      case 'welcome':
        this.#welcomed(now, event.welcome, event.presharedKey)
        break
      case 'refused':
        if (this.#joined) this.#events.push({ event: 'refused', code: event.code, message: event.text })
        else this.#end(new RefusedError(event.code, `The host refused: ${event.text}`))
    }
  }

  /** Joins the host of the latest beacon, with everything fresh. */
  #join(now: number): void {
    const beacon = this.#host
    this.#beacon = undefined
    if (beacon === undefined || this.#leaving !== undefined) return
    const { crypto, random } = this.#options
    this.#abandon(now, this.#attempt)
    this.#attempts += 1
    const keyPair = crypto.boxKeyPair(random.bytes(32))
    const device = this.#underlay.addDevice(keyPair)
    const ice = this.#underlay.credentials()
    this.#attempt = { id: `host-${this.#attempts}`, beacon, device, ice, welcome: undefined, path: '' }
    this.#guest.join(now, {
      wireguard: keyPair.publicKey,
      ice: formatCredentials(ice),
      candidates: this.#underlay.candidates,
    })
    this.#rejoinAt = now + this.#rejoinAfterMs * (0.75 + 0.25 * random.fraction())
    this.#rejoinAfterMs = Math.min(2 * this.#rejoinAfterMs, RejoinLimitMs)
  }

  #welcomed(now: number, welcome: Welcome, presharedKey: Uint8Array): void {
    const attempt = this.#attempt
    const remote = readReachability(welcome.ice, welcome.candidates)
    if (attempt === undefined || remote === undefined || !this.#addressFits(welcome)) {
      this.#counters.count('welcome-unusable')
      return
    }
    const local = { device: attempt.device, ice: attempt.ice, initiator: true }
    const peer = { wireguard: welcome.wireguard, presharedKey, ...remote }
    if (!this.#underlay.addPeer(now, attempt.id, local, peer, this.#hostAddresses(welcome))) return
    attempt.welcome = welcome
    this.#wasWelcomed = true
  }

  #addressFits(welcome: Welcome): boolean {
    try {
      const subnet = parseSubnet(welcome.subnet)
      return subnetContains(subnet, welcome.peer) && welcome.peer !== hostAddress(subnet)
    } catch {
      return false
    }
  }

  #hostAddresses(welcome: Welcome): readonly string[] {
    return [hostAddress(parseSubnet(welcome.subnet)), this.#hostAddress6(welcome.publicKey)]
  }

  #hostAddress6(hostKey: Uint8Array): string {
    return memberAddress6(this.#options.crypto, this.#options.room, hostKey)
  }

  #handleUnderlay(now: number, event: UnderlayEvent): void {
    if (event.type === 'candidates') {
      this.#guest.update(this.#underlay.candidates)
      return
    }
    const attempt = [this.#attempt, this.#current].find((each) => each?.id === event.peer)
    if (attempt === undefined) return
    switch (event.type) {
      case 'packet':
        for (const { from, message } of this.#control.handlePacket(now, event.bytes)) {
          const isHost = from === this.#hostAddress6(attempt.beacon.publicKey)
          if (attempt === this.#current && isHost) this.#handleControl(now, message)
        }
        break
      case 'session':
        if (attempt === this.#attempt) this.#tunnelUp(now, attempt)
        break
      case 'expired':
        if (attempt === this.#current) this.#hostLeft(now)
        break
      case 'path': {
        const { kind, address } = event.candidate
        const remote = formatSocketAddress(address)
        if (attempt.path === `${kind} ${remote}`) break
        attempt.path = `${kind} ${remote}`
        const rttMs = Math.round(event.rttMs * 10) / 10
        this.#events.push({ event: 'path', member: attempt.beacon.username, kind, remote, rttMs })
      }
    }
  }

  #tunnelUp(now: number, attempt: Attempt): void {
    const { crypto, identity, room } = this.#options
    this.#abandon(now, this.#current)
    this.#current = attempt
    this.#attempt = undefined
    this.#rejoinAt = undefined
    this.#rejoinAfterMs = RejoinMs
    this.#giveUpAt = undefined
    this.#heardAt = now
    const peer = attempt.welcome?.peer ?? ''
    this.#control.setAddresses([peer, memberAddress6(crypto, room, identity.publicKey)])
    const hostKey = toBase64(attempt.beacon.publicKey)
    this.#chat.removeNeighbour(now, hostKey)
    this.#chat.addNeighbour(now, hostKey, attempt.beacon.publicKey)
    this.#sendState(now)
  }

  #hostLeft(now: number): void {
    this.#rejoinAt ??= now
    if (!this.#hostOnline) return
    this.#hostOnline = false
    const host = this.#roster.members[0]
    if (host !== undefined) this.#announce(host, 'left')
  }

  #hostReturned(): void {
    if (this.#hostOnline) return
    this.#hostOnline = true
    const host = this.#roster.members[0]
    if (this.#joined && host !== undefined) this.#announce(host, 'joined')
  }

  #announce(member: RosterMember, state: 'joined' | 'left'): void {
    const { name, address, publicKey } = member
    this.#events.push({ event: 'member', state, name, address, key: formatKey(publicKey) })
  }

  #handleControl(now: number, message: ControlMessage): void {
    this.#heardAt = now
    switch (message.type) {
      case 'chat':
        if (this.#current !== undefined) {
          this.#chat.handlePayload(now, toBase64(this.#current.beacon.publicKey), message.payload)
        }
        break
      case 'roster':
        this.#takeRoster(now, message)
        break
      case 'state':
        if (this.#joined) this.#hostReturned()
        if (isNewer(message.number, this.#roster.number)) this.#sendState(now)
        break
      case 'leave':
        this.#sendToHost(now, { type: 'leave-ack' })
        this.#hostLeft(now)
        break
      case 'leave-ack':
        if (this.#leaving !== undefined) this.#end()
    }
  }

  #takeRoster(now: number, fragment: RosterFragment): void {
    const { crypto, identity, room } = this.#options
    const hostKey = this.#current?.beacon.publicKey
    const changed = hostKey && this.#roster.add(hostKey, fragment)
    if (changed === undefined) return
    this.#stateAt = now + StateIntervalMs
    if (!this.#joined) {
      this.#joined = true
      this.#hostOnline = true
      const host = this.#roster.members[0]?.name ?? ''
      this.#events.push({ event: 'joined', room, address: this.#current?.welcome?.peer ?? '', host })
    }
    this.#hostReturned()
    for (const member of changed) {
      // Whether the host is there shows by its tunnel.
      const isNews = member !== this.#roster.members[0] && !crypto.equal(member.publicKey, identity.publicKey)
      if (isNews) this.#announce(member, member.online ? 'joined' : 'left')
    }
  }

  #sendState(now: number): void {
    const { term, version } = this.#roster.number
    this.#sendToHost(now, { type: 'state', number: { term, version } })
    this.#stateAt = now + (this.#roster.members.length === 0 ? StateRepeatMs : StateIntervalMs)
  }

  #sendToHost(now: number, message: ControlMessage): void {
    if (this.#current === undefined) return
    this.#control.send(now, this.#hostAddress6(this.#current.beacon.publicKey), message)
  }

  #abandon(now: number, attempt: Attempt | undefined): void {
    if (attempt !== undefined) this.#underlay.removeDevice(now, attempt.device)
  }

  #continueLeaving(now: number): void {
    const leaving = this.#leaving
    if (leaving === undefined) return
    if (this.#current === undefined || !this.#hostOnline || now >= leaving.until) {
      this.#end()
    } else if (now >= leaving.nextAt) {
      leaving.nextAt = now + LeaveRepeatMs
      this.#sendToHost(now, { type: 'leave' })
    }
  }

  /** Why there is no tunnel yet. */
  #whyNot(): GonetError {
    if (!this.#isUp) return noBackend()
    const advice = 'Check the room id, and that the host is up and uses the same signalling backends'
    if (this.#host === undefined) {
      return new GonetError('room-not-found', `Nobody hosts room ${this.#options.room} here`, { advice })
    }
    if (!this.#wasWelcomed) {
      return new GonetError('room-not-found', `The host of room ${this.#options.room} does not answer`, {
        advice,
      })
    }
    return new GonetError('no-path', 'The host was found, but no path to it through the network', {
      advice: 'A firewall between here and the host may block UDP',
    })
  }

  #end(failure?: GonetError): void {
    if (this.#ended !== undefined) return
    this.#guest.stop()
    this.#chat.flush()
    this.#drain()
    this.#ended = failure === undefined ? {} : { failure }
    if (failure === undefined) this.#events.push({ event: 'left' })
  }
}
