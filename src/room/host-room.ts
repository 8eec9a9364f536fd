/**
 * The host of a room, whole, as one machine (docs/protocol.md): it welcomes guests, keeps their tunnels and
 * the roster, and is the hub of the chat.
 */

import { carriesEntry } from '../chat/payload.js'
import type { AddressAnswer } from '../core/address-allocator.js'
import { toBase64, toHex } from '../core/encoding.js'
import { GonetError } from '../core/errors.js'
import { Host, type HostEvent, type JoinRequest } from '../core/host.js'
import { formatKey } from '../core/identity.js'
import { formatLink } from '../core/invite.js'
import { earliest, formatSocketAddress } from '../core/machine.js'
import type { AdmissionKind } from '../core/messages.js'
import {
  AddressPool,
  formatSubnet,
  hostAddress,
  memberAddress6,
  PrefixLength6,
  type Subnet,
} from '../core/overlay.js'
import type { PasswordAnswer } from '../core/password-proof.js'
import { MaxRosterMembers, type RosterMember } from '../core/roster.js'
import type { AdapterState } from '../core/signalling-adapter.js'
import { parseCandidates } from '../transports/path/candidate.js'
import { formatCredentials } from '../transports/path/credentials.js'
import { AddressRequests } from './address-requests.js'
import { HostAdmission, type HostAdmissionEvent, type Refusal } from './admission/host-admission.js'
import { HostInvites, type NewInvite } from './admission/host-invites.js'
import type { Invite, InviteOptions } from './admission/invite-register.js'
import { writeAdmission } from './admission/message.js'
import { AdmissionRegister, type Ban } from './admission/register.js'
import { storeFailed } from './chat-events.js'
import { type ControlMessage, isControlPacket } from './control.js'
import { findMember, type Named } from './find-member.js'
import { type HostMember, HostMembers } from './host-members.js'
import { HostTunnels, type Tunnel } from './host-tunnels.js'
import { memberEvent, memberList, namesake } from './member-list.js'
import { MemberMachine } from './member-machine.js'
import { MemberNames } from './member-names.js'
import { readReachability } from './reachability.js'
import type { Member } from './room.js'
import {
  type AdministrativeAct,
  noBackend,
  type RoomMachineOptions,
  type RoomTransmit,
} from './room-machine.js'
import { RosterPublisher } from './roster-publisher.js'
import type { PeerEvent } from './underlay.js'

/** A guest says at least every 5 s that it lives; it counts as gone after this. */
const MemberSilenceMs = 30_000
/** On the roster, those that are away included. */
/** How long who is kicked stays out. */
const KickMs = 10 * 60_000
const MaxGuests = MaxRosterMembers - 1

export interface HostRoomOptions extends RoomMachineOptions {
  /** Who may enter. Default open. */
  readonly admission?: AdmissionKind
  /** The keys to let in, base64, where admission is `allow`. */
  readonly allow?: readonly string[]
  readonly subnet: Subnet
  /** Names of signalling backends, for links to the room. */
  readonly signal: readonly string[]
  /** Whether a store that hosts share gives out the addresses: it is asked by `address` transmits. */
  readonly allocates?: boolean
}

export class HostRoom extends MemberMachine {
  readonly role = 'host'
  readonly #options: HostRoomOptions
  readonly #host: Host
  readonly #pool: AddressPool
  readonly #names: MemberNames
  readonly #requests: AddressRequests | undefined
  readonly #register: AdmissionRegister
  readonly #admission: HostAdmission
  readonly #invites: HostInvites
  readonly #roster: RosterPublisher
  readonly #members: HostMembers
  readonly #tunnels: HostTunnels
  /** Joins that came before it was known where this machine can be reached, by their hash in hex. */
  readonly #waiting = new Map<string, JoinRequest>()
  /** Candidates that were found after such a join, by the same. */
  readonly #waitingUpdates = new Map<string, string>()
  readonly #address: string
  #announced = false
  /** No member has been silent for too long before. */
  #silenceAt: number | undefined
  /** Who has heard that the host leaves. */
  readonly #farewellHeard = new Set<string>()

  constructor(options: HostRoomOptions) {
    const {
      admission = 'open',
      allow = [],
      identity,
      room,
      name,
      crypto,
      random,
      signal,
      store,
      subnet,
      wall,
    } = options
    const hostKey = identity.publicKey
    const invites = new HostInvites({ crypto, random, store, wall, admission, room, hostKey, signal })
    const { secret } = invites
    const host = new Host({ identity, room, username: name, admission, secret, crypto, random, store })
    const members = new HostMembers(MaxGuests)
    const address = hostAddress(subnet)
    super(options, {
      signalling: host,
      addresses: [address, memberAddress6(crypto, room, identity.publicKey)],
      chat: { accepts: (author) => members.get(toBase64(author)) !== undefined, hub: true },
      forwards: true,
    })
    this.#options = options
    this.#host = host
    this.#members = members
    this.#address = address
    this.#tunnels = new HostTunnels(this.underlay)
    this.#pool = new AddressPool(subnet, store)
    this.#names = new MemberNames(store, name)
    this.#register = new AdmissionRegister(store, wall)
    this.#admission = new HostAdmission({ crypto, kind: admission, allow, register: this.#register })
    this.#invites = invites
    if (options.allocates === true) {
      this.#requests = new AddressRequests({ topic: host.topic, identity, crypto, random })
    }
    this.#roster = new RosterPublisher({
      crypto,
      sign: crypto.signer(identity.secretKey),
      room,
      members: () => this.#rosterMembers(),
      send: (at, key, message) => this.#sendTo(at, key, message),
    })
  }

  get members(): readonly Member[] {
    return memberList(this.#options.crypto, this.#options.room, this.#rosterMembers())
  }

  handleAdapterState(_now: number, adapter: string, state: AdapterState): void {
    this.events.push({ event: 'signalling', adapter, ...state })
    if (state.state === 'down' || this.#announced) return
    this.#announced = true
    this.giveUpAt = undefined
    const { admission, identity, room, signal } = this.#options
    const key = formatKey(identity.publicKey)
    const invite = admission !== 'invite' && formatLink({ room, hostKey: identity.publicKey, signal })
    this.events.push({ event: 'room', room, key, ...(invite && { invite }), address: this.#address })
  }

  handleAddress(now: number, id: string, answer: AddressAnswer): void {
    const request = this.#requests?.take(id)
    if (request === undefined || this.ended !== undefined) return
    this.#answer(now, request, this.#chosen(now, request, answer))
    this.collect(now)
  }

  handlePassword(now: number, id: string, answer: PasswordAnswer): void {
    this.#admission.handlePassword(now, id, answer)
    this.collect(now)
  }

  /** Those that ask to be let in. */
  get asking(): readonly Named[] {
    return this.#admission.waiting.map(({ name, key }) => ({ name, key }))
  }

  get bans(): readonly Ban[] {
    return this.#register.bans
  }

  administer(now: number, act: AdministrativeAct, who: string): Named {
    const { name, key } = findMember(this.#candidatesFor(act), who)
    if (act === 'approve') this.#admission.approve(key)
    else if (act === 'deny') this.#admission.deny(now, key)
    else if (act === 'unban') this.#register.unban(key)
    else this.#expel(now, act, { name, key })
    this.collect(now)
    return { name, key }
  }

  get invites(): readonly Invite[] {
    return this.#invites.all
  }

  invite(now: number, options: InviteOptions): NewInvite {
    const made = this.#invites.create(options)
    if (this.#invites.secret !== undefined) this.#host.addSecret(now, this.#invites.secret)
    this.collect(now)
    return made
  }

  revokeInvite(_now: number, id: string): Invite {
    return this.#invites.revoke(id)
  }

  override pollTransmit(): RoomTransmit | undefined {
    const sent = super.pollTransmit()
    if (sent !== undefined) return sent
    const address = this.#requests?.pollTransmit()
    return address && { type: 'address', address }
  }

  protected mayReach(peer: string): boolean {
    return this.#admission.isIn(peer)
  }

  protected startSignalling(now: number): void {
    const { crypto, hasInterface, identity, room, subnet } = this.#options
    if (hasInterface === true) {
      const addresses = [
        { address: this.#address, prefixLength: subnet.prefixLength },
        { address: memberAddress6(crypto, room, identity.publicKey), prefixLength: PrefixLength6 },
      ]
      this.transmits.push({ type: 'interface', addresses })
    }
    this.#host.start(now)
  }

  protected handleOwnTimeout(now: number): void {
    this.#tunnels.handleTimeout(now)
    this.#admission.handleTimeout(now)
    if (this.#silenceAt !== undefined && now >= this.#silenceAt) this.#dropSilent(now)
    this.#roster.handleTimeout(now)
    for (let late = this.#requests?.takeOverdue(now); late; late = this.#requests?.takeOverdue(now)) {
      this.#answer(now, late, this.#chosen(now, late, 'unavailable'))
    }
  }

  protected pollOwnTimeout(): number | undefined {
    return earliest(
      this.#tunnels.pollTimeout(),
      this.#admission.pollTimeout(),
      this.#silenceAt,
      this.#roster.pollTimeout(),
      this.#requests?.pollTimeout(),
      this.#waiting.size > 0 ? this.underlay.gatheringEndsAt : undefined,
    )
  }

  protected advance(now: number): boolean {
    let moved = false
    for (let event = this.#host.pollEvent(); event !== undefined; event = this.#host.pollEvent()) {
      moved = true
      this.#handleHost(now, event)
    }
    moved = this.#collectAdmission(now) || moved
    return this.#answerJoins(now) || moved
  }

  protected handleUnderlay(now: number, event: PeerEvent): void {
    if (event.type === 'candidates') return
    const tunnel = this.#tunnels.get(event.peer)
    if (tunnel === undefined) return
    switch (event.type) {
      case 'packet':
        this.#handlePacket(now, tunnel, event.bytes)
        break
      case 'session':
        if (this.#tunnels.establish(tunnel)) this.#tunnelUp(now, tunnel)
        break
      case 'search': {
        const member = this.#members.get(toBase64(tunnel.publicKey))
        if (member?.tunnel === tunnel) this.#sendTo(now, member.key, { type: 'search' })
        break
      }
      case 'expired':
        this.#tunnelDown(now, tunnel)
        break
      case 'path': {
        const name = this.#members.get(toBase64(tunnel.publicKey))?.name ?? tunnel.name
        const told = tunnel.paths.next(name, event)
        if (told !== undefined) this.events.push(told)
      }
    }
  }

  protected sendChat(now: number, neighbour: string, payload: Uint8Array): void {
    this.#sendTo(now, neighbour, { type: 'chat', payload })
  }

  protected memberOf(author: Uint8Array): HostMember | undefined {
    return this.#members.get(toBase64(author))
  }

  protected get isFarewellHeard(): boolean {
    return this.#members.online.every(({ key }) => this.#farewellHeard.has(key))
  }

  protected sayFarewell(now: number): void {
    for (const { key } of this.#members.online) {
      if (!this.#farewellHeard.has(key)) this.#sendTo(now, key, { type: this.isClosing ? 'close' : 'leave' })
    }
  }

  protected whyNot(): GonetError {
    return noBackend()
  }

  #handleHost(now: number, event: HostEvent): void {
    switch (event.type) {
      case 'epoch':
        this.#tunnels.beginEpoch(now, event.wireguard)
        if (this.#roster.number.term === 0)
          this.#roster.start(now, Number.parseInt(event.epoch.slice(0, 8), 16))
        break
      case 'join':
        this.#waiting.set(toHex(event.request.hash), event.request)
        break
      case 'update':
        if (this.#waiting.has(event.join) || this.#requests?.has(event.join) === true)
          this.#waitingUpdates.set(event.join, event.candidates)
        else this.#update(now, event.join, event.candidates)
        break
      case 'store-failed':
        this.events.push(storeFailed(event.error))
    }
  }

  /** Answers joins, once it is known where this machine can be reached. */
  #answerJoins(now: number): boolean {
    if (this.#waiting.size === 0 || !this.underlay.gathered(now)) return false
    for (const request of this.#waiting.values()) this.#welcome(now, request)
    this.#waiting.clear()
    this.#updateAnswered(now)
    return true
  }

  #welcome(now: number, request: JoinRequest): void {
    const { crypto, subnet } = this.#options
    const { join } = request
    const isUsable = readReachability(join.ice, join.candidates) !== undefined
    if (!isUsable || crypto.equal(join.publicKey, join.host)) {
      this.counters.count('join-unusable')
      this.#host.dismiss(request)
      return
    }
    const { publicKey } = join
    const key = toBase64(publicKey)
    const refusal = this.#admission.refusal(key) ?? this.#invites.refusal(now, join)
    if (refusal !== undefined) {
      this.#host.refuse(request, refusal.code, refusal.text)
      return
    }
    const isOnline = (other: string): boolean => this.#members.isOnline(other)
    if (!this.#members.hasPlaceFor(key)) this.#answer(now, request, undefined)
    else if (this.#requests === undefined) {
      this.#answer(now, request, this.#pool.allocate(now, publicKey, isOnline))
    } else {
      const avoid = this.#pool.numbersOf((other) => other !== key && isOnline(other))
      this.#requests.ask(now, request, { subnet, preferred: this.#pool.numberOf(publicKey), avoid })
    }
  }

  /** The address that a shared store has chosen, or, where it cannot be asked, one of our own choice. */
  #chosen(now: number, { join: { publicKey } }: JoinRequest, answer: AddressAnswer): string | undefined {
    if (answer === 'none') return undefined
    const isOther = (other: string): boolean => other !== toBase64(publicKey) && this.#members.isOnline(other)
    // The store's word does not count against what is in use here.
    if (answer === 'unavailable' || this.#pool.numbersOf(isOther).has(answer)) {
      return this.#pool.allocate(now, publicKey, (other) => this.#members.isOnline(other))
    }
    return this.#pool.assign(now, publicKey, answer)
  }

  #answer(now: number, request: JoinRequest, address: string | undefined): void {
    const { subnet } = this.#options
    const { join } = request
    const { publicKey, username: name } = join
    const key = toBase64(publicKey)
    const reachability = readReachability(join.ice, join.candidates)
    if (reachability === undefined) return
    if (address === undefined) {
      this.#host.refuse(request, 'room-full', 'The room has no address left to give')
      return
    }
    const ice = this.underlay.credentials()
    const answer = {
      peer: address,
      subnet: formatSubnet(subnet),
      address: this.underlay.address,
      ice: formatCredentials(ice),
      candidates: this.underlay.candidates,
    }
    const presharedKey = this.#host.welcome(request, answer, this.#invites.secretOf(join))
    if (presharedKey === undefined) return
    const remote = { wireguard: join.wireguard, presharedKey, ...reachability }
    // While an older tunnel of this member carries its addresses, the new one gets them only once it is up.
    const addresses = this.#members.isOnline(key) ? [] : [address, this.#address6(publicKey)]
    const binding = {
      hostKey: join.host,
      guestKey: publicKey,
      hostWireguard: request.wireguard.publicKey,
      guestWireguard: join.wireguard,
      epoch: join.epoch,
    }
    const member = { publicKey, name, address, invite: join.invite?.id, binding }
    this.#tunnels.add(now, toHex(request.hash), member, { ice, remote, addresses })
    this.#updateAnswered(now)
  }

  /** Takes the late candidates of joins that wait no more. */
  #updateAnswered(now: number): void {
    for (const [join, candidates] of this.#waitingUpdates) {
      if (this.#waiting.has(join) || this.#requests?.has(join) === true) continue
      this.#waitingUpdates.delete(join)
      this.#update(now, join, candidates)
    }
  }

  #update(now: number, join: string, text: string): void {
    const candidates = parseCandidates(text)
    if (candidates === undefined) this.counters.count('update-unusable')
    else this.underlay.addRemoteCandidates(now, join, candidates)
  }

  /** In quarantine a guest reaches the host's control port, to say what gets it in, and nothing else. */
  #handlePacket(now: number, tunnel: Tunnel, packet: Uint8Array): void {
    const isIn = this.#admission.isIn(tunnel.id)
    if (!isIn && !isControlPacket(packet)) {
      this.counters.count('packet-in-quarantine')
      return
    }
    if (isIn && this.router.handleFromRoom(now, packet)) return
    for (const { from, message } of this.control.handlePacket(now, packet)) {
      const member = this.#members.at(from)
      if (message.type === 'admission') {
        if (from === this.#address6(tunnel.publicKey))
          this.#admission.handleMessage(
            now,
            tunnel.id,
            message.payload,
            this.underlay.remoteOf(tunnel.id)?.address,
          )
      } else if (isIn && member?.tunnel === tunnel) this.#handleControl(now, member, message)
      else if (!isIn && message.type === 'leave') {
        this.control.send(now, from, { type: 'leave-ack' })
        this.#removeTunnel(now, tunnel)
        return
      }
    }
  }

  #tunnelUp(now: number, tunnel: Tunnel): void {
    const { publicKey, name, binding, id } = tunnel
    const key = toBase64(publicKey)
    const refusal = this.#admission.refusal(key) ?? this.#useInvite(tunnel)
    const visitor = { id, key, name, isInvited: this.#invites.isAdmitted(key), binding }
    const isIn = this.#admission.enter(now, visitor)
    if (isIn && refusal === undefined) {
      this.#admit(now, tunnel)
      return
    }
    this.underlay.assignAddresses(id, [this.#address6(publicKey)])
    if (refusal !== undefined) this.#admission.dismiss(now, id, refusal)
  }

  #useInvite({ publicKey, name, invite }: Tunnel): Refusal | undefined {
    try {
      return this.#invites.admit({ key: toBase64(publicKey), name, invite })
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      this.events.push(storeFailed(error))
      return {
        code: 'invite-not-kept',
        text: 'The host cannot write down that the invite is used: try again later',
      }
    }
  }

  #collectAdmission(now: number): boolean {
    let moved = false
    const admission = this.#admission
    for (let sent = admission.pollTransmit(); sent !== undefined; sent = admission.pollTransmit()) {
      moved = true
      if (sent.type === 'password') this.transmits.push(sent)
      else {
        const payload = writeAdmission(sent.message)
        const to = this.#address6(sent.visitor.binding.guestKey)
        this.control.send(now, to, { type: 'admission', payload })
      }
    }
    for (let event = admission.pollEvent(); event !== undefined; event = admission.pollEvent()) {
      moved = true
      this.#handleAdmission(now, event)
    }
    return moved
  }

  #handleAdmission(now: number, event: HostAdmissionEvent): void {
    if (event.type === 'store-failed') {
      if (!(event.error instanceof GonetError)) throw event.error
      this.events.push(storeFailed(event.error))
      return
    }
    const { id, key, name } = event.visitor
    const tunnel = this.#tunnels.get(id)
    switch (event.type) {
      case 'admitted':
        if (tunnel !== undefined) this.#admit(now, tunnel)
        break
      case 'gone':
        if (tunnel !== undefined) this.#removeTunnel(now, tunnel)
        break
      case 'asks': {
        const remote = this.underlay.remoteOf(id)
        const looksLike = tunnel && namesake(name, tunnel.publicKey, this.#rosterMembers())
        this.events.push({
          event: 'asks',
          name,
          key,
          remote: remote === undefined ? '' : formatSocketAddress(remote),
          ...(looksLike && { looksLike }),
        })
        break
      }
      case 'wrong-password': {
        const message = `${name} gave a wrong password (key ${key})`
        this.events.push({ event: 'refused', code: 'password-wrong', message })
      }
    }
  }

  #candidatesFor(act: AdministrativeAct): readonly Named[] {
    if (act === 'approve' || act === 'deny') return this.asking
    if (act === 'unban') return this.bans
    return this.#members.all
  }

  /** Puts a member out, and keeps its key out: for ever, or for a while. */
  #expel(now: number, act: 'kick' | 'ban', { name, key }: Named): void {
    // First: whoever is kept out must not come back by what let them in.
    if (act === 'ban') this.#invites.expel(key)
    const untilMs = act === 'ban' ? undefined : Math.round(this.#options.wall.unixMs()) + KickMs
    this.#register.ban({ name, key, untilMs })
    const member = this.#members.get(key)
    const refusal = this.#admission.refusal(key)
    if (member === undefined || refusal === undefined) return
    const { tunnel } = member
    if (tunnel !== undefined) {
      // The tunnel stays until it has carried the reason.
      this.#admission.dismiss(now, tunnel.id, refusal)
      this.#memberGone(now, member)
    }
    this.#members.remove(member)
    this.#roster.change(now)
  }

  #admit(now: number, tunnel: Tunnel): void {
    const { publicKey, address } = tunnel
    const key = toBase64(publicKey)
    const name = this.#names.claim(key, tunnel.name, (other) => this.#members.get(other) !== undefined)
    const member = this.#members.get(key) ?? this.#members.add(now, key, this.#address6(publicKey), tunnel)
    if (member === undefined) {
      this.#removeTunnel(now, tunnel)
      return
    }
    const before = member.tunnel
    Object.assign(member, { tunnel, name, address, heardAt: now })
    if (before !== undefined) this.#removeTunnel(now, before)
    this.underlay.assignAddresses(tunnel.id, [address, member.address6])
    this.#keepMember(now, publicKey)
    const { subnet } = this.#options
    const number = this.#pool.numberOf(publicKey)
    if (number !== undefined) this.#requests?.keep(publicKey, name, { subnet, number })
    this.#silenceAt ??= now + MemberSilenceMs
    // A rejoined member may have lost what it had: sync with it begins anew.
    this.chat.addNeighbour(now, key, publicKey)
    this.#roster.change(now)
    if (before === undefined) this.events.push(memberEvent('joined', member, this.#rosterMembers()))
  }

  #tunnelDown(now: number, tunnel: Tunnel): void {
    const member = this.#members.get(toBase64(tunnel.publicKey))
    if (member?.tunnel === tunnel) this.#memberLeft(now, member)
    else this.#removeTunnel(now, tunnel)
  }

  #memberLeft(now: number, member: HostMember): void {
    const { tunnel } = member
    if (tunnel === undefined) return
    this.#memberGone(now, member)
    this.#removeTunnel(now, tunnel)
  }

  #memberGone(now: number, member: HostMember): void {
    member.tunnel = undefined
    this.#requests?.release(member.publicKey)
    this.chat.removeNeighbour(now, member.key)
    this.#roster.change(now)
    this.events.push(memberEvent('left', member, this.#rosterMembers()))
  }

  #removeTunnel(now: number, tunnel: Tunnel): void {
    this.#admission.remove(tunnel.id)
    this.#tunnels.remove(now, tunnel)
  }

  #dropSilent(now: number): void {
    this.#silenceAt = undefined
    for (const member of this.#members.online) {
      const silentAt = member.heardAt + MemberSilenceMs
      if (now >= silentAt) this.#memberLeft(now, member)
      else this.#silenceAt = earliest(this.#silenceAt, silentAt)
    }
  }

  /** A disk that fails costs the member its address and name at the next start of the host, and nobody the room. */
  #keepMember(now: number, publicKey: Uint8Array): void {
    try {
      this.#pool.commit(now, publicKey)
      this.#names.save()
    } catch (error) {
      if (!(error instanceof GonetError)) throw error
      this.events.push(storeFailed(error))
    }
  }

  #handleControl(now: number, member: HostMember, message: ControlMessage): void {
    member.heardAt = now
    switch (message.type) {
      case 'chat':
        // Who says nothing yet can wait for the next roster.
        if (carriesEntry(message.payload)) this.#roster.introduce(now, member.key)
        this.chat.handlePayload(now, member.key, message.payload)
        break
      case 'state':
        if (!this.#roster.answer(now, member.key, message.number)) {
          this.#sendTo(now, member.key, { type: 'state', number: this.#roster.number })
        }
        break
      case 'leave':
        this.#sendTo(now, member.key, { type: 'leave-ack' })
        // Out before the tunnel goes: the acknowledgement has been sealed already.
        this.#memberLeft(now, member)
        break
      case 'search':
        if (member.tunnel !== undefined) this.underlay.handleSearch(now, member.tunnel.id)
        break
      case 'leave-ack':
        if (!this.isLeaving) break
        this.#farewellHeard.add(member.key)
        this.continueLeaving(now)
        break
      case 'roster-receipt':
        this.#roster.acknowledge(member.key, message.number)
        break
      case 'roster':
      case 'roster-change':
      case 'close':
        this.counters.count(`${message.type}-from-guest`)
        break
      case 'admission':
      // Taken before: it needs no membership.
    }
  }

  #rosterMembers(): readonly RosterMember[] {
    const { identity, name } = this.#options
    const host = { publicKey: identity.publicKey, name, address: this.#address, online: true }
    const guests = this.#members.all.map((member) => {
      const { publicKey, name: guest, address, tunnel } = member
      return { publicKey, name: guest, address, online: tunnel !== undefined }
    })
    return [host, ...guests]
  }

  #sendTo(now: number, key: string, message: ControlMessage): void {
    const member = this.#members.get(key)
    // A newer tunnel of the member has its address already, and may not be in yet.
    if (member === undefined || this.#admission.isHeld(key)) return
    this.control.send(now, member.address6, message)
  }

  #address6(publicKey: Uint8Array): string {
    return memberAddress6(this.#options.crypto, this.#options.room, publicKey)
  }
}
