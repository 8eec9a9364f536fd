/**
 * The host of a room, whole, as one machine (docs/protocol.md): it welcomes guests, keeps their tunnels and
 * the roster, and is the hub of the chat.
 */
import { ChatReplica } from '../chat/replica.js'
import { Counters } from '../core/bounded.js'
import { toBase64, toHex } from '../core/encoding.js'
import type { GonetError } from '../core/errors.js'
import { Host, type JoinRequest } from '../core/host.js'
import { formatKey } from '../core/identity.js'
import { earliest, formatSocketAddress, type SocketAddress } from '../core/machine.js'
import { AddressPool, formatSubnet, hostAddress, memberAddress6, type Subnet } from '../core/overlay.js'
import { MaxRosterMembers, type RosterMember } from '../core/roster.js'
import type { AdapterState, SignalRecord, Topic } from '../core/signalling-adapter.js'
import type { Device } from '../transports/wireguard/device.js'
import { roomEventOf } from './chat-events.js'
import type { ControlMessage } from './control.js'
import { ControlChannel } from './control-channel.js'
import type { RoomEvent } from './events.js'
import type { Member } from './room.js'
import { noBackend, type RoomMachine, type RoomMachineOptions, type RoomTransmit } from './room-machine.js'
import { RosterPublisher } from './roster-publisher.js'
import {
  formatCredentials,
  parseCandidates,
  readReachability,
  Underlay,
  type UnderlayEvent,
} from './underlay.js'

/** A guest says at least every 5 s that it lives; it counts as gone after this. */
const MemberSilenceMs = 20_000
/** A welcomed guest whose tunnel does not come up in this time is forgotten: it can join again. */
const TunnelSetupMs = 60_000
/** Tunnels that are being set up. Where there are more, the oldest gives way: its guest joins again. */
const MaxPendingTunnels = 512
/** How long `leave` waits for the guests to acknowledge, and how often it tells them. */
const LeaveMs = 1000
const LeaveRepeatMs = 100

export interface HostRoomOptions extends RoomMachineOptions {
  readonly subnet: Subnet
  /** The link that the host shows. */
  readonly invite: string
}

interface HostMember {
  readonly key: string
  readonly publicKey: Uint8Array
  name: string
  address: string
  readonly address6: string
  /** The tunnel in use; undefined while the member is away. */
  tunnel: Tunnel | undefined
  heardAt: number
}

/** A guest's WireGuard peer: one a join, so that a rejoin stands beside the tunnel that it will replace. */
interface Tunnel {
  readonly id: string
  readonly publicKey: Uint8Array
  readonly name: string
  readonly address: string
  readonly device: Device
  /** Until the session is up. */
  expiresAt: number | undefined
  /** Its path, in words, as last reported. */
  path: string
}

export class HostRoom implements RoomMachine {
  readonly role = 'host'
  readonly #options: HostRoomOptions
  readonly #counters = new Counters()
  readonly #host: Host
  readonly #underlay: Underlay
  readonly #control: ControlChannel
  readonly #chat: ChatReplica
  readonly #pool: AddressPool
  readonly #roster: RosterPublisher
  readonly #members = new Map<string, HostMember>()
  readonly #byAddress6 = new Map<string, HostMember>()
  readonly #tunnels = new Map<string, Tunnel>()
  /** Joins that came before it was known where this machine can be reached. */
  readonly #waiting: JoinRequest[] = []
  readonly #transmits: RoomTransmit[] = []
  readonly #events: RoomEvent[] = []
  readonly #address: string
  #device: Device | undefined
  /** Devices of earlier epochs, kept for as long as they have tunnels. */
  readonly #oldDevices = new Set<Device>()
  #announced = false
  #giveUpAt: number | undefined
  #leaving: { readonly until: number; nextAt: number; readonly waiting: Set<string> } | undefined
  #ended: { readonly failure?: GonetError } | undefined

  constructor(options: HostRoomOptions) {
    this.#options = options
    const { identity, room, name, crypto, random, wall, store, subnet, mtu } = options
    this.#host = new Host({ identity, room, username: name, crypto, random, store })
    this.#underlay = new Underlay(options)
    this.#address = hostAddress(subnet)
    const addresses = [this.#address, memberAddress6(crypto, room, identity.publicKey)]
    this.#control = new ControlChannel({ underlay: this.#underlay, random, addresses, mtu })
    this.#pool = new AddressPool(subnet, store)
    const sign = crypto.signer(identity.secretKey)
    this.#roster = new RosterPublisher({
      sign,
      room,
      members: () => this.#rosterMembers(),
      send: (at, key, fragment) => this.#sendTo(at, key, fragment),
    })
    this.#chat = new ChatReplica({
      room,
      author: { publicKey: identity.publicKey, sign },
      name,
      crypto,
      random,
      wall,
      store,
      accepts: (author) => this.#members.has(toBase64(author)),
      hub: true,
      historyLimit: options.historyLimit,
    })
  }

  get topic(): Topic {
    return this.#host.topic
  }

  get ended(): { readonly failure?: GonetError } | undefined {
    return this.#ended
  }

  get undelivered(): number {
    return this.#chat.undelivered
  }

  get members(): readonly Member[] {
    const { crypto, identity, name, room } = this.#options
    const host: Member = {
      name,
      key: formatKey(identity.publicKey),
      address: this.#address,
      address6: memberAddress6(crypto, room, identity.publicKey),
      online: true,
      host: true,
    }
    const guests = Array.from(this.#members.values(), ({ name: guest, key, address, address6, tunnel }) => {
      return { name: guest, key, address, address6, online: tunnel !== undefined, host: false }
    })
    return [host, ...guests]
  }

  start(now: number): void {
    const { timeoutMs } = this.#options
    this.#giveUpAt = timeoutMs === undefined ? undefined : now + timeoutMs
    this.#underlay.start(now)
    this.#host.start(now)
    this.#collect(now)
  }

  handleRecord(now: number, adapter: string, record: SignalRecord): void {
    this.#host.handleRecord(now, adapter, record)
    this.#collect(now)
  }

  handleAdapterState(_now: number, adapter: string, state: AdapterState): void {
    this.#events.push({ event: 'signalling', adapter, ...state })
    if (state.state === 'down' || this.#announced) return
    this.#announced = true
    this.#giveUpAt = undefined
    const { identity, invite, room } = this.#options
    const key = formatKey(identity.publicKey)
    this.#events.push({ event: 'room', room, key, invite, address: this.#address })
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
    this.#host.stop()
    const waiting = new Set(this.#online().map((member) => member.key))
    this.#leaving = { until: now + LeaveMs, nextAt: now, waiting }
    this.#continueLeaving(now)
    this.#collect(now)
  }

  handleTimeout(now: number): void {
    if (this.#ended !== undefined) return
    if (this.#giveUpAt !== undefined && now >= this.#giveUpAt) {
      this.#end(noBackend())
      return
    }
    this.#host.handleTimeout(now)
    this.#underlay.handleTimeout(now)
    this.#control.handleTimeout(now)
    this.#chat.handleTimeout(now)
    for (const tunnel of this.#tunnels.values()) {
      if (tunnel.expiresAt !== undefined && now >= tunnel.expiresAt) this.#removeTunnel(now, tunnel)
    }
    for (const member of this.#online()) {
      if (now >= member.heardAt + MemberSilenceMs) this.#memberLeft(now, member)
    }
    this.#roster.handleTimeout(now)
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
      this.#host.pollTimeout(),
      this.#underlay.pollTimeout(),
      this.#control.pollTimeout(),
      this.#chat.pollTimeout(),
      ...Array.from(this.#tunnels.values(), (tunnel) => tunnel.expiresAt),
      ...this.#online().map((member) => member.heardAt + MemberSilenceMs),
      this.#roster.pollTimeout(),
      this.#waiting.length > 0 ? this.#underlay.gatheringEndsAt : undefined,
      this.#leaving && Math.min(this.#leaving.nextAt, this.#leaving.until),
    )
  }

  dropped(): readonly (readonly [reason: string, count: number])[] {
    const { counters: ofHost } = this.#host
    const parts = [
      this.#counters,
      ofHost,
      this.#underlay.counters,
      this.#control.counters,
      this.#chat.counters,
    ]
    return parts.flatMap((counters) => counters.entries())
  }

  /** Moves what the machines inside have to say to where it belongs, until all are silent. */
  #collect(now: number): void {
    for (let moved = true; moved; ) {
      moved = false
      for (let event = this.#host.pollEvent(); event !== undefined; event = this.#host.pollEvent()) {
        moved = true
        if (event.type === 'epoch') this.#beginEpoch(now, event.epoch, event.wireguard)
        else if (event.type === 'join') this.#waiting.push(event.request)
        else this.#update(now, event.join, event.candidates)
      }
      for (let event = this.#underlay.pollEvent(); event !== undefined; event = this.#underlay.pollEvent()) {
        moved = true
        this.#handleUnderlay(now, event)
      }
      for (let sent = this.#chat.pollTransmit(); sent !== undefined; sent = this.#chat.pollTransmit()) {
        moved = true
        this.#sendTo(now, sent.neighbour, { type: 'chat', payload: sent.payload })
      }
      moved = this.#answerJoins(now) || moved
    }
    this.#collectChat()
    this.#drain()
  }

  /** Answers joins, once it is known where this machine can be reached. */
  #answerJoins(now: number): boolean {
    if (this.#waiting.length === 0 || !this.#underlay.gathered(now)) return false
    for (const request of this.#waiting.splice(0)) this.#welcome(now, request)
    return true
  }

  #drain(): void {
    for (let signal = this.#host.pollTransmit(); signal !== undefined; signal = this.#host.pollTransmit()) {
      this.#transmits.push({ type: 'signal', signal })
    }
    for (let sent = this.#underlay.pollTransmit(); sent !== undefined; sent = this.#underlay.pollTransmit()) {
      this.#transmits.push({ type: 'datagram', datagram: sent })
    }
  }

  #collectChat(): void {
    for (let event = this.#chat.pollEvent(); event !== undefined; event = this.#chat.pollEvent()) {
      const told = roomEventOf(event, (author) => this.#members.get(toBase64(author))?.address)
      if (told !== undefined) this.#events.push(told)
    }
  }

  #beginEpoch(now: number, epoch: string, wireguard: Parameters<Underlay['addDevice']>[0]): void {
    if (this.#device !== undefined) this.#oldDevices.add(this.#device)
    this.#device = this.#underlay.addDevice(wireguard)
    if (this.#roster.number.term === 0) this.#roster.start(now, Number.parseInt(epoch.slice(0, 8), 16))
  }

  #welcome(now: number, request: JoinRequest): void {
    const { crypto, subnet } = this.#options
    const { join } = request
    const remote = readReachability(join.ice, join.candidates)
    const device = this.#device
    if (remote === undefined || device === undefined || crypto.equal(join.publicKey, join.host)) {
      this.#counters.count('join-unusable')
      this.#host.dismiss(request)
      return
    }
    const key = toBase64(join.publicKey)
    const isFull = !this.#members.has(key) && this.#members.size >= MaxRosterMembers - 1
    const address = isFull
      ? undefined
      : this.#pool.allocate(now, join.publicKey, (other) => this.#isOnline(other))
    if (address === undefined) {
      this.#host.refuse(request, 'room-full', 'The room has no address left to give')
      return
    }
    const ice = this.#underlay.credentials()
    const presharedKey = this.#host.welcome(request, {
      peer: address,
      subnet: formatSubnet(subnet),
      address: this.#underlay.address,
      ice: formatCredentials(ice),
      candidates: this.#underlay.candidates,
    })
    if (presharedKey === undefined) return
    const id = toHex(request.hash)
    const { publicKey, username: name } = join
    // While an older tunnel of this member carries its addresses, the new one gets them only once it is up.
    const addresses = this.#isOnline(key) ? [] : [address, this.#address6(publicKey)]
    this.#limitPendingTunnels(now)
    const peer = { wireguard: join.wireguard, presharedKey, ...remote }
    if (!this.#underlay.addPeer(now, id, { device, ice, initiator: false }, peer, addresses)) return
    const expiresAt = now + TunnelSetupMs
    this.#tunnels.set(id, { id, publicKey, name, address, device, expiresAt, path: '' })
  }

  #limitPendingTunnels(now: number): void {
    const pending = Array.from(this.#tunnels.values()).filter(({ expiresAt }) => expiresAt !== undefined)
    const [oldest] = pending
    if (oldest !== undefined && pending.length >= MaxPendingTunnels) this.#removeTunnel(now, oldest)
  }

  #update(now: number, join: string, text: string): void {
    const candidates = parseCandidates(text)
    if (candidates === undefined) this.#counters.count('update-unusable')
    else this.#underlay.addRemoteCandidates(now, join, candidates)
  }

  #handleUnderlay(now: number, event: UnderlayEvent): void {
    if (event.type === 'candidates') return
    const tunnel = this.#tunnels.get(event.peer)
    if (tunnel === undefined) return
    switch (event.type) {
      case 'packet':
        for (const { from, message } of this.#control.handlePacket(now, event.bytes)) {
          const member = this.#byAddress6.get(from)
          if (member?.tunnel === tunnel) this.#handleControl(now, member, message)
        }
        break
      case 'session':
        this.#tunnelUp(now, tunnel)
        break
      case 'expired':
        this.#tunnelDown(now, tunnel)
        break
      case 'path': {
        const { kind, address } = event.candidate
        const remote = formatSocketAddress(address)
        if (tunnel.path === `${kind} ${remote}`) break
        tunnel.path = `${kind} ${remote}`
        const rttMs = Math.round(event.rttMs * 10) / 10
        this.#events.push({ event: 'path', member: tunnel.name, kind, remote, rttMs })
      }
    }
  }

  #tunnelUp(now: number, tunnel: Tunnel): void {
    if (tunnel.expiresAt === undefined) return
    tunnel.expiresAt = undefined
    const key = toBase64(tunnel.publicKey)
    const address6 = this.#address6(tunnel.publicKey)
    let member = this.#members.get(key)
    if (member === undefined) {
      const { publicKey, name, address } = tunnel
      member = { key, publicKey, name, address, address6, tunnel, heardAt: now }
      this.#members.set(key, member)
      this.#byAddress6.set(address6, member)
    }
    const before = member.tunnel
    if (before !== undefined && before !== tunnel) this.#removeTunnel(now, before)
    const wasOnline = before !== undefined && before !== tunnel
    Object.assign(member, {
      tunnel,
      name: tunnel.name,
      address: tunnel.address,
      heardAt: now,
    })
    this.#underlay.assignAddresses(tunnel.id, [tunnel.address, address6])
    this.#pool.commit(now, tunnel.publicKey)
    // A rejoined member may have lost what it had: it is a new neighbour.
    this.#chat.removeNeighbour(now, key)
    this.#chat.addNeighbour(now, key, tunnel.publicKey)
    this.#roster.change(now)
    if (!wasOnline) {
      const { name, address } = tunnel
      this.#events.push({ event: 'member', state: 'joined', name, address, key })
    }
  }

  #tunnelDown(now: number, tunnel: Tunnel): void {
    const member = this.#members.get(toBase64(tunnel.publicKey))
    if (member?.tunnel === tunnel) this.#memberLeft(now, member)
    else this.#removeTunnel(now, tunnel)
  }

  #memberLeft(now: number, member: HostMember): void {
    const { tunnel, key, name, address } = member
    if (tunnel === undefined) return
    member.tunnel = undefined
    this.#chat.removeNeighbour(now, key)
    this.#removeTunnel(now, tunnel)
    this.#leaving?.waiting.delete(key)
    this.#roster.change(now)
    this.#events.push({ event: 'member', state: 'left', name, address, key })
  }

  #removeTunnel(now: number, tunnel: Tunnel): void {
    this.#tunnels.delete(tunnel.id)
    this.#underlay.removePeer(now, tunnel.id)
    const { device } = tunnel
    const isUsed = Array.from(this.#tunnels.values()).some((other) => other.device === device)
    if (this.#oldDevices.has(device) && !isUsed) {
      this.#oldDevices.delete(device)
      this.#underlay.removeDevice(now, device)
    }
  }

  #handleControl(now: number, member: HostMember, message: ControlMessage): void {
    member.heardAt = now
    switch (message.type) {
      case 'chat':
        this.#roster.introduce(now, member.key)
        this.#chat.handlePayload(now, member.key, message.payload)
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
      case 'leave-ack':
        this.#leaving?.waiting.delete(member.key)
        this.#continueLeaving(now)
        break
      case 'roster':
        this.#counters.count('roster-from-guest')
    }
  }

  #rosterMembers(): readonly RosterMember[] {
    const { identity, name } = this.#options
    const host = { publicKey: identity.publicKey, name, address: this.#address, online: true }
    const guests = Array.from(this.#members.values(), (member) => {
      const { publicKey, name: guest, address, tunnel } = member
      return { publicKey, name: guest, address, online: tunnel !== undefined }
    })
    return [host, ...guests]
  }

  #sendTo(now: number, key: string, message: ControlMessage): void {
    const member = this.#members.get(key)
    if (member !== undefined) this.#control.send(now, member.address6, message)
  }

  #continueLeaving(now: number): void {
    const leaving = this.#leaving
    if (leaving === undefined) return
    if (leaving.waiting.size === 0 || now >= leaving.until) {
      this.#end()
    } else if (now >= leaving.nextAt) {
      leaving.nextAt = now + LeaveRepeatMs
      for (const key of leaving.waiting) this.#sendTo(now, key, { type: 'leave' })
    }
  }

  #end(failure?: GonetError): void {
    if (this.#ended !== undefined) return
    this.#host.stop()
    this.#chat.flush()
    this.#drain()
    this.#ended = failure === undefined ? {} : { failure }
    if (failure === undefined) this.#events.push({ event: 'left' })
  }

  #address6(publicKey: Uint8Array): string {
    return memberAddress6(this.#options.crypto, this.#options.room, publicKey)
  }

  #isOnline(key: string): boolean {
    return this.#members.get(key)?.tunnel !== undefined
  }

  #online(): readonly HostMember[] {
    return Array.from(this.#members.values()).filter((member) => member.tunnel !== undefined)
  }
}
