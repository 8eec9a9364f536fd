/**
 * A guest of a room, whole, as one machine (docs/protocol.md): it finds the host, joins, keeps one tunnel to
 * it, and joins again whenever the host has begun anew or has fallen silent.
 */
import { fromBase64, fromUtf8, toBase64, utf8 } from '../core/encoding.js'
import { type ErrorDetails, GonetError, RefusedError, UsageError } from '../core/errors.js'
import { Guest, type GuestEvent } from '../core/guest.js'
import { formatKey } from '../core/identity.js'
import type { InviteSecrets, RoomReference } from '../core/invite.js'
import { earliest } from '../core/machine.js'
import type { Beacon, Welcome } from '../core/messages.js'
import {
  hostAddress,
  memberAddress6,
  PrefixLength6,
  parseSubnet,
  roomNetwork6,
  subnetContains,
} from '../core/overlay.js'
import type { PasswordAnswer } from '../core/password-proof.js'
import type { Store } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import type { RosterMember } from '../core/roster.js'
import type { AdapterState } from '../core/signalling-adapter.js'
import { formatCredentials, type IceCredentials } from '../transports/path/credentials.js'
import type { Device } from '../transports/wireguard/device.js'
import { GuestAdmission, type GuestAdmissionEvent } from './admission/guest-admission.js'
import type { Invite } from './admission/invite-register.js'
import { writeAdmission } from './admission/message.js'
import type { Ban } from './admission/register.js'
import { storeFailed } from './chat-events.js'
import type { ControlMessage, RosterFragment, RosterStep } from './control.js'
import type { Named } from './find-member.js'
import { GuestRoster } from './guest-roster.js'
import { MemberMachine } from './member-machine.js'
import { PathEvents } from './path-events.js'
import { readReachability } from './reachability.js'
import type { Member } from './room.js'
import { noBackend, notTheHost, type RoomMachineOptions } from './room-machine.js'
import { keepRoomSecret, RoomSecretName, readRoomSecret } from './room-secret.js'
import type { PeerEvent } from './underlay.js'

/** The host answers every state; it counts as gone after this. */
const HostSilenceMs = 25_000
/** A join that has brought no tunnel is made anew after this, which doubles up to the limit. */
const RejoinMs = 10_000
/** Join and answer, and as much again for backends that are slower than they should be. */
const RejoinLatencies = 4
const RejoinLimitMs = 60_000
/** What the host says in the chat before its first roster has come waits for it; the host repeats the rest. */
const EarlyChatLimit = 64
const PinName = 'host'
/** A host that says so means it: a guest that was in the room does not try again. */
const FinalRefusals: ReadonlySet<string> = new Set(['banned', 'kicked', 'not-allowed', 'invite-needed'])

export interface GuestRoomOptions extends RoomMachineOptions {
  /** Whether there is a password for this room. Default: no, though one may be typed when it is asked for. */
  readonly hasPassword?: boolean
  /** What the guest was told of the host's key. */
  readonly host?: Pick<RoomReference, 'hostKey' | 'hostDigits'>
  /** What the guest was invited by. Where it has been in the room by an earlier one, none is needed. */
  readonly invite?: InviteSecrets | undefined
}

/** One join, and the tunnel that it brings. */
interface Attempt {
  /** The host's WireGuard peer. */
  readonly id: string
  readonly beacon: Beacon
  readonly device: Device
  readonly ice: IceCredentials
  welcome: Welcome | undefined
  readonly paths: PathEvents
  /** Once the tunnel is up. */
  admission: GuestAdmission | undefined
  isIn: boolean
}

export class GuestRoom extends MemberMachine {
  readonly role = 'guest'
  readonly #options: GuestRoomOptions
  readonly #isPinned: boolean
  /** The room's secret, where the guest has it. */
  readonly #secret: Uint8Array | undefined
  readonly #guest: Guest
  readonly #roster: GuestRoster
  /** The newest beacon that no join has answered yet: the join waits for candidates. */
  #beacon: Beacon | undefined
  /** The latest beacon of all. */
  #host: Beacon | undefined
  /** The join under way, and the tunnel in use: the latter is given up only for one that is up. */
  #attempt: Attempt | undefined
  #current: Attempt | undefined
  #attempts = 0
  #rejoinAt: number | undefined
  #addressedHost: { readonly key: Uint8Array; readonly address: string } | undefined
  readonly #rejoinMs: number
  #rejoinAfterMs: number
  #wasWelcomed = false
  #joined = false
  #earlyChat: Uint8Array[] = []
  #hostOnline = false
  #heardAt = 0
  #isUp = false
  /** What was left of the time to get in, while a person is waited for. */
  #remainingMs: number | undefined

  constructor(options: GuestRoomOptions) {
    const { identity, room, name, crypto, random, store, invite } = options
    const pinnedKey = readPin(store)
    const expected = { ...options.host, pinnedKey }
    const secret = invite?.roomSecret ?? readRoomSecret(store)
    const guest = new Guest({ identity, room, username: name, crypto, random, expected, secret, invite })
    super(options, {
      signalling: guest,
      addresses: [memberAddress6(crypto, room, identity.publicKey)],
      // The host lets in only what members wrote; their signatures are checked here all the same.
      chat: { accepts: () => true, hub: false },
      forwards: false,
    })
    this.#options = options
    this.#isPinned = pinnedKey !== undefined
    this.#secret = secret
    this.#rejoinMs = RejoinMs + RejoinLatencies * (options.signallingLatencyMs ?? 0)
    this.#rejoinAfterMs = this.#rejoinMs
    this.#guest = guest
    this.#roster = new GuestRoster({
      crypto,
      room,
      self: identity.publicKey,
      counters: this.counters,
      store,
      send: (now, message) => this.#sendToHost(now, message),
      tell: (event) => this.events.push(event),
    })
  }

  get members(): readonly Member[] {
    return this.#roster.members
  }

  handleAdapterState(_now: number, adapter: string, state: AdapterState): void {
    this.#isUp ||= state.state === 'up'
    this.events.push({ event: 'signalling', adapter, ...state })
  }

  get asking(): readonly Named[] {
    return []
  }

  get bans(): readonly Ban[] {
    return []
  }

  get invites(): readonly Invite[] {
    return []
  }

  administer(): never {
    throw notTheHost()
  }

  invite(): never {
    throw notTheHost()
  }

  revokeInvite(): never {
    throw notTheHost()
  }

  handlePassword(now: number, id: string, answer: PasswordAnswer): void {
    if (this.#current?.id === id) this.#current.admission?.handlePassword(now, answer)
    this.collect(now)
  }

  protected mayReach(peer: string): boolean {
    return this.#current?.id === peer && this.#current.isIn
  }

  protected startSignalling(): void {
    this.#guest.start()
  }

  protected handleOwnTimeout(now: number): void {
    if (this.#isHostThere && now >= this.#heardAt + HostSilenceMs) this.#hostLeft(now)
    if (now >= (this.#joinAt ?? Infinity)) this.#join(now)
    this.#roster.handleTimeout(now)
    this.#current?.admission?.handleTimeout(now)
  }

  protected pollOwnTimeout(): number | undefined {
    return earliest(
      this.#joinAt,
      this.#roster.pollTimeout(),
      this.#current?.admission?.pollTimeout(),
      this.#isHostThere ? this.#heardAt + HostSilenceMs : undefined,
      this.#beacon && this.underlay.gatheringEndsAt,
    )
  }

  protected advance(now: number): boolean {
    let moved = false
    for (let event = this.#guest.pollEvent(); event !== undefined; event = this.#guest.pollEvent()) {
      moved = true
      this.#handleGuest(now, event)
    }
    moved = this.#collectAdmission(now) || moved
    if (this.#beacon === undefined || !this.underlay.gathered(now) || this.ended !== undefined) return moved
    this.#join(now)
    return true
  }

  protected handleUnderlay(now: number, event: PeerEvent): void {
    if (event.type === 'candidates') {
      this.#guest.update(this.underlay.candidates)
      return
    }
    const attempt = [this.#attempt, this.#current].find((each) => each?.id === event.peer)
    if (attempt === undefined) return
    switch (event.type) {
      case 'packet':
        if (this.mayReach(event.peer) && this.router.handleFromRoom(now, event.bytes)) break
        for (const { from, message } of this.control.handlePacket(now, event.bytes)) {
          const isHost = from === this.#hostAddress6(attempt.beacon.publicKey)
          if (attempt === this.#current && isHost) this.#handleControl(now, attempt, message)
        }
        break
      case 'session':
        if (attempt === this.#attempt) this.#tunnelUp(now, attempt)
        break
      case 'search':
        if (attempt === this.#current) this.#sendToHost(now, { type: 'search' })
        break
      case 'expired':
        if (attempt === this.#current) this.#hostLeft(now)
        break
      case 'path': {
        const told = attempt.paths.next(attempt.beacon.username, event)
        if (told !== undefined) this.events.push(told)
      }
    }
  }

  protected sendChat(now: number, _neighbour: string, payload: Uint8Array): void {
    this.#sendToHost(now, { type: 'chat', payload })
  }

  protected memberOf(author: Uint8Array): RosterMember | undefined {
    return this.#roster.member(author)
  }

  protected get isFarewellHeard(): boolean {
    return !this.#isHostThere
  }

  protected sayFarewell(now: number): void {
    this.#sendToHost(now, { type: 'leave' })
  }

  protected whyNot(): GonetError {
    if (!this.#isUp) return noBackend()
    const here = 'that the host is up and uses the same signalling backends'
    const file = `joined/${this.#options.room}/data/${RoomSecretName}`
    const advice =
      this.#secret === undefined
        ? `Check the room id, and ${here}. Some rooms are found by an invite only`
        : `Check ${here}. If it has lost its invites, remove ${file} in the state folder, and join by the room id`
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

  /** Whether there is a tunnel that the host has neither left nor let fall silent. */
  get #isHostThere(): boolean {
    return this.#current !== undefined && (this.#hostOnline || this.#rejoinAt === undefined)
  }

  /** When to join again: who leaves does not, though a join may be under way yet. */
  get #joinAt(): number | undefined {
    return this.isLeaving ? undefined : this.#rejoinAt
  }

  #handleGuest(now: number, event: GuestEvent): void {
    if (this.ended !== undefined || this.isLeaving) return
    switch (event.type) {
      case 'host':
        this.#beacon = event.beacon
        this.#host = event.beacon
        this.#rejoinAfterMs = this.#rejoinMs
        break
      case 'welcome':
        this.#welcomed(now, event.welcome, event.presharedKey)
        break
      case 'refused':
        if (this.#joined && !FinalRefusals.has(event.code))
          this.events.push({ event: 'refused', code: event.code, message: event.text })
        else this.end(now, new RefusedError(event.code, `The host refused: ${event.text}`))
        break
      case 'distrusted':
        this.end(now, new RefusedError(event.code, event.text, adviceFor(event.code, this.#options.room)))
    }
  }

  /** Joins the host of the latest beacon, with everything fresh. */
  #join(now: number): void {
    const beacon = this.#host
    this.#beacon = undefined
    if (beacon === undefined || this.isLeaving) return
    const { crypto, random } = this.#options
    this.#abandon(now, this.#attempt)
    this.#attempts += 1
    const keyPair = crypto.boxKeyPair(random.bytes(32))
    const device = this.underlay.addDevice(keyPair)
    const ice = this.underlay.credentials()
    this.#attempt = {
      id: `host-${this.#attempts}`,
      beacon,
      device,
      ice,
      welcome: undefined,
      paths: new PathEvents(),
      admission: undefined,
      isIn: false,
    }
    this.#guest.join(now, {
      wireguard: keyPair.publicKey,
      ice: formatCredentials(ice),
      candidates: this.underlay.candidates,
    })
    this.#rejoinAt = now + this.#rejoinAfterMs * (0.75 + 0.25 * random.fraction())
    this.#rejoinAfterMs = Math.min(2 * this.#rejoinAfterMs, RejoinLimitMs)
  }

  #welcomed(now: number, welcome: Welcome, presharedKey: Uint8Array): void {
    const attempt = this.#attempt
    const remote = readReachability(welcome.ice, welcome.candidates)
    if (attempt === undefined || remote === undefined || !this.#addressFits(welcome)) {
      this.counters.count('welcome-unusable')
      return
    }
    const local = { device: attempt.device, ice: attempt.ice, initiator: true }
    const peer = { wireguard: welcome.wireguard, presharedKey, ...remote }
    // Whoever else is in the room is reached through the host, which vouches for where packets come from.
    const addresses = [welcome.subnet, roomNetwork6(this.#options.crypto, this.#options.room)]
    if (!this.underlay.addPeer(now, attempt.id, local, peer, addresses)) return
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

  /** Asked for with every packet. */
  #hostAddress6(hostKey: Uint8Array): string {
    if (this.#addressedHost?.key !== hostKey) {
      const { crypto, room } = this.#options
      this.#addressedHost = { key: hostKey, address: memberAddress6(crypto, room, hostKey) }
    }
    return this.#addressedHost.address
  }

  #tunnelUp(now: number, attempt: Attempt): void {
    const { crypto, identity, room } = this.#options
    this.#abandon(now, this.#current)
    this.#current = attempt
    this.#attempt = undefined
    this.#rejoinAt = undefined
    this.#rejoinAfterMs = this.#rejoinMs
    this.#heardAt = now
    const peer = attempt.welcome?.peer ?? ''
    const addresses = [peer, memberAddress6(crypto, room, identity.publicKey)]
    this.control.setAddresses(addresses)
    this.router.setAddresses(addresses)
    this.#roster.pause()
    attempt.admission = this.#admissionOf(attempt)
    attempt.admission.start(now)
  }

  #admissionOf({ id, beacon, device, welcome }: Attempt): GuestAdmission {
    const { crypto, hasPassword = false, identity } = this.#options
    return new GuestAdmission({
      crypto,
      kind: beacon.admission,
      hasPassword,
      id,
      binding: {
        hostKey: beacon.publicKey,
        guestKey: identity.publicKey,
        hostWireguard: welcome?.wireguard ?? new Uint8Array(),
        guestWireguard: device.publicKey,
        epoch: beacon.epoch,
      },
    })
  }

  #collectAdmission(now: number): boolean {
    const attempt = this.#current
    const admission = attempt?.admission
    if (attempt === undefined || admission === undefined) return false
    let moved = false
    for (let sent = admission.pollTransmit(); sent !== undefined; sent = admission.pollTransmit()) {
      moved = true
      if (sent.type === 'password') this.transmits.push(sent)
      else this.#sendToHost(now, { type: 'admission', payload: writeAdmission(sent.message) })
    }
    for (let event = admission.pollEvent(); event !== undefined; event = admission.pollEvent()) {
      moved = true
      this.#handleAdmission(now, attempt, event)
    }
    return moved
  }

  #handleAdmission(now: number, attempt: Attempt, event: GuestAdmissionEvent): void {
    switch (event.type) {
      case 'waiting':
        // However long a person takes is not the network's time.
        this.#remainingMs ??= this.giveUpAt && this.giveUpAt - now
        this.giveUpAt = undefined
        if (event.for === 'approval') this.events.push({ event: 'waiting', for: event.for })
        break
      case 'refused':
        this.end(now, new RefusedError(event.code, event.text, adviceFor(event.code, this.#options.room)))
        break
      case 'admitted':
        if (!this.#joined && this.#remainingMs !== undefined) this.giveUpAt = now + this.#remainingMs
        this.#remainingMs = undefined
        attempt.isIn = true
        this.#tellInterface(attempt)
        this.chat.addNeighbour(now, toBase64(attempt.beacon.publicKey), attempt.beacon.publicKey)
        this.#roster.sendState(now)
    }
  }

  #tellInterface({ welcome }: Attempt): void {
    const { crypto, hasInterface, identity, room } = this.#options
    if (hasInterface !== true || welcome === undefined) return
    const { prefixLength } = parseSubnet(welcome.subnet)
    const address6 = memberAddress6(crypto, room, identity.publicKey)
    const addresses = [
      { address: welcome.peer, prefixLength },
      { address: address6, prefixLength: PrefixLength6 },
    ]
    this.transmits.push({ type: 'interface', addresses })
  }

  #hostLeft(now: number): void {
    this.#rejoinAt ??= now
    if (!this.#hostOnline) return
    this.#hostOnline = false
    const { host } = this.#roster
    if (host !== undefined) this.#announce(host, 'left')
  }

  #hostReturned(): void {
    if (this.#hostOnline) return
    this.#hostOnline = true
    const { host } = this.#roster
    if (this.#joined && host !== undefined) this.#announce(host, 'joined')
  }

  #announce(member: RosterMember, state: 'joined' | 'left'): void {
    this.events.push(this.#roster.eventOf(state, member))
  }

  #handleControl(now: number, attempt: Attempt, message: ControlMessage): void {
    this.#heardAt = now
    if (message.type === 'admission') attempt.admission?.handleMessage(now, message.payload)
    // A host that has not proved to be the one has nothing to say.
    else if (attempt.isIn || message.type === 'leave-ack') this.#handleMemberControl(now, message)
  }

  #handleMemberControl(now: number, message: Exclude<ControlMessage, { readonly type: 'admission' }>): void {
    switch (message.type) {
      case 'chat':
        if (this.#joined) this.#takeChat(now, message.payload)
        else if (this.#earlyChat.length < EarlyChatLimit) this.#earlyChat.push(message.payload)
        break
      case 'roster':
      case 'roster-change':
        this.#takeRoster(now, message)
        for (const payload of this.#joined ? this.#earlyChat.splice(0) : []) this.#takeChat(now, payload)
        break
      case 'state':
        if (this.#joined) this.#hostReturned()
        this.#roster.handleState(now, message.number)
        break
      case 'leave':
        this.#sendToHost(now, { type: 'leave-ack' })
        this.#hostLeft(now)
        break
      case 'close':
        this.#sendToHost(now, { type: 'leave-ack' })
        this.end(now, new GonetError('room-closed', 'The host has closed the room'))
        break
      case 'search':
        if (this.#current !== undefined) this.underlay.handleSearch(now, this.#current.id)
        break
      case 'leave-ack':
        if (this.isLeaving) this.end(now)
        break
      case 'roster-receipt':
        this.counters.count('receipt-from-host')
    }
  }

  #takeChat(now: number, payload: Uint8Array): void {
    if (this.#current === undefined) return
    this.chat.handlePayload(now, toBase64(this.#current.beacon.publicKey), payload)
  }

  #takeRoster(now: number, message: RosterFragment | RosterStep): void {
    const { name, room } = this.#options
    const hostKey = this.#current?.beacon.publicKey
    const changed = hostKey && this.#roster.take(now, hostKey, message)
    if (hostKey === undefined || changed === undefined) return
    const { host } = this.#roster
    if (!this.#joined) {
      this.#joined = true
      // Not before: until the host has shown that the guest is in, it may forget that it was.
      this.#guest.forgetInvite()
      this.giveUpAt = undefined
      this.#hostOnline = true
      const address = this.#current?.welcome?.peer ?? ''
      this.events.push({ event: 'joined', room, address, host: host?.name ?? '' })
      this.#pin(hostKey)
    }
    this.#hostReturned()
    for (const member of changed) {
      // Whether the host is there shows by its tunnel.
      if (member !== host) this.#announce(member, member.online ? 'joined' : 'left')
    }
    this.#roster.warn(now, name, changed)
  }

  /** Remembers the host's key, as ssh does: another one is not taken later. And where the room is found. */
  #pin(hostKey: Uint8Array): void {
    const { store } = this.#options
    try {
      if (this.#secret !== undefined) keepRoomSecret(store, this.#secret)
      if (!this.#isPinned) store.write(PinName, utf8(`${formatKey(hostKey)}\n`))
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      this.events.push(storeFailed(error))
    }
  }

  #sendToHost(now: number, message: ControlMessage): void {
    if (this.#current === undefined) return
    this.control.send(now, this.#hostAddress6(this.#current.beacon.publicKey), message)
  }

  #abandon(now: number, attempt: Attempt | undefined): void {
    if (attempt !== undefined) this.underlay.removeDevice(now, attempt.device)
  }
}

/** The key that the host of this room had before, base64. */
function readPin(store: Store): Uint8Array | undefined {
  const bytes = store.read(PinName)
  if (bytes === undefined) return undefined
  const pinned = fromBase64(fromUtf8(bytes)?.trim() ?? '', 32)
  if (pinned !== undefined) return pinned
  throw new UsageError('pin-invalid', "What is kept of the host's key in the state folder is broken", {
    advice: `Restore the file joined/<room>/data/${PinName}, or remove it to trust the host that answers`,
  })
}

function adviceFor(code: string, room: RoomId): ErrorDetails {
  if (code === 'password-needed') return { advice: 'Give it with --password-file FILE or GONET_PASSWORD' }
  if (code !== 'host-key-changed') return {}
  const file = `joined/${room}/data/${PinName}`
  return {
    advice: `If the host says that its key has changed, remove ${file} in the state folder, and join again`,
  }
}
