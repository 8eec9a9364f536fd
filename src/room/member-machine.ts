/** What a host and a guest have in common: the machines inside a member, what flows between them, and its end. */

import { ChatReplica, type ChatReplicaOptions } from '../chat/replica.js'
import { Counters } from '../core/bounded.js'
import { GonetError, UsageError } from '../core/errors.js'
import { formatKey } from '../core/identity.js'
import { type Endpoint, earliest, type Machine, type SocketAddress } from '../core/machine.js'
import type { PasswordAnswer } from '../core/password-proof.js'
import type { SignalTransmit } from '../core/signal.js'
import type { AdapterState, SignalRecord, Topic } from '../core/signalling-adapter.js'
import type { TurnFailure } from '../transports/turn/events.js'
import type { NewInvite } from './admission/host-invites.js'
import type { Invite, InviteOptions } from './admission/invite-register.js'
import type { Ban } from './admission/register.js'
import { roomEventOf } from './chat-events.js'
import { ControlChannel, type Echo } from './control-channel.js'
import type { RoomEvent } from './events.js'
import { Farewell } from './farewell.js'
import { findMember, type Named } from './find-member.js'
import { OverlayRouter } from './overlay-router.js'
import type { RelayInput, RelayServer } from './relays.js'
import type { Member } from './room.js'
import {
  type AdministrativeAct,
  type LeaveOptions,
  notTheHost,
  type PingedMember,
  type RoomMachine,
  type RoomMachineOptions,
  type RoomTransmit,
} from './room-machine.js'
import { type PeerEvent, Underlay } from './underlay.js'

/** The side of signalling that a member is on. */
interface Signalling extends Machine<unknown, SignalTransmit> {
  readonly topics: readonly Topic[]
  readonly counters: Counters
  handleRecord(now: number, adapter: string, record: SignalRecord): void
  stop(): void
}

export abstract class MemberMachine implements RoomMachine {
  abstract readonly role: 'host' | 'guest'
  protected readonly counters: Counters = new Counters()
  protected readonly underlay: Underlay
  protected readonly control: ControlChannel
  protected readonly router: OverlayRouter
  protected readonly chat: ChatReplica
  protected readonly events: RoomEvent[] = []
  /** When to give up; undefined for never, and from the time on when the room is up. */
  protected giveUpAt: number | undefined
  readonly #timeoutMs: number | undefined
  readonly #signalling: Signalling
  protected readonly transmits: RoomTransmit[] = []
  /** Whether the goodbye is the room's end. */
  protected isClosing = false
  readonly #key: string
  #farewell: Farewell | undefined
  /** Why each TURN server has failed last. */
  readonly #relayFailures = new Map<string, string>()
  #ended: { readonly failure?: GonetError } | undefined

  /** @param addresses this member's overlay addresses */
  constructor(
    options: RoomMachineOptions,
    parts: {
      readonly signalling: Signalling
      readonly addresses: readonly string[]
      readonly chat: Pick<ChatReplicaOptions, 'accepts' | 'hub'>
      /** Whether what a member sends to another goes through this one. */
      readonly forwards: boolean
    },
  ) {
    const { identity, room, name, crypto, random, wall, store, mtu, historyLimit, timeoutMs } = options
    const { signalling, addresses, chat, forwards } = parts
    this.#timeoutMs = timeoutMs
    this.#key = formatKey(identity.publicKey)
    this.#signalling = signalling
    this.underlay = new Underlay(options)
    this.control = new ControlChannel({ underlay: this.underlay, random, addresses, mtu })
    const deliver = (bytes: Uint8Array): void => void this.transmits.push({ type: 'packet', bytes })
    this.router = new OverlayRouter({
      underlay: this.underlay,
      control: this.control,
      counters: this.counters,
      addresses,
      deliver: options.hasInterface === true ? deliver : undefined,
      forwards,
      mayReach: (peer) => this.mayReach(peer),
    })
    const author = { publicKey: identity.publicKey, sign: crypto.signer(identity.secretKey) }
    this.chat = new ChatReplica({ room, author, name, crypto, random, wall, store, historyLimit, ...chat })
  }

  abstract get members(): readonly Member[]

  abstract get asking(): readonly Named[]
  abstract get bans(): readonly Ban[]
  abstract administer(now: number, act: AdministrativeAct, who: string): Named
  abstract readonly invites: readonly Invite[]
  abstract invite(now: number, options: InviteOptions): NewInvite
  abstract revokeInvite(now: number, id: string): Invite
  abstract handlePassword(now: number, id: string, answer: PasswordAnswer): void

  get topics(): readonly Topic[] {
    return this.#signalling.topics
  }

  get ended(): { readonly failure?: GonetError } | undefined {
    return this.#ended
  }

  get undelivered(): number {
    return this.chat.undelivered
  }

  start(now: number): void {
    this.giveUpAt = this.#timeoutMs === undefined ? undefined : now + this.#timeoutMs
    this.underlay.start(now)
    this.startSignalling(now)
    this.collect(now)
  }

  handleRecord(now: number, adapter: string, record: SignalRecord): void {
    this.#signalling.handleRecord(now, adapter, record)
    this.collect(now)
  }

  abstract handleAdapterState(now: number, adapter: string, state: AdapterState): void

  handleDatagram(now: number, source: Endpoint, bytes: Uint8Array): void {
    this.underlay.handleDatagram(now, source, bytes)
    this.collect(now)
  }

  handlePackets(now: number, packets: readonly Uint8Array[]): void {
    if (this.ended !== undefined) return
    for (const packet of packets) this.router.handleFromPrograms(now, packet)
    this.collect(now)
  }

  handleSockets(now: number, ids: readonly string[]): void {
    this.underlay.handleSockets(now, ids)
    this.collect(now)
  }

  addStunServer(now: number, server: SocketAddress | undefined): void {
    this.underlay.addStunServer(now, server)
    this.collect(now)
  }

  addRelay(now: number, server: RelayServer | undefined): void {
    this.underlay.addRelay(now, server)
    this.collect(now)
  }

  handleRelayStream(now: number, relay: string, input: RelayInput): void {
    this.underlay.handleRelayStream(now, relay, input)
    this.collect(now)
  }

  setMappedAddress(now: number, address: SocketAddress | undefined): void {
    this.underlay.setMappedAddress(now, address)
    this.collect(now)
  }

  setLocalAddresses(now: number, addresses: readonly SocketAddress[]): void {
    this.underlay.setLocalAddresses(now, addresses)
    this.collect(now)
  }

  post(now: number, text: string): string {
    const id = this.chat.post(now, text)
    this.collect(now)
    return id
  }

  leave(now: number, { close = false }: LeaveOptions = {}): void {
    if (close && this.role !== 'host') throw notTheHost()
    if (this.isLeaving || this.#ended !== undefined) return
    this.isClosing = close
    this.#signalling.stop()
    this.#farewell = new Farewell(now)
    this.continueLeaving(now)
    this.collect(now)
  }

  ping(now: number, who: string): PingedMember {
    const member = findMember(this.members, who)
    const { address, address6, key, name, online } = member
    if (key === this.#key) throw new UsageError('member-self', `${name} (${address}) is this member itself`)
    if (!online) throw new GonetError('member-away', `${name} (${address}) is not online`)
    const handle = this.control.ping(now, address6)
    this.collect(now)
    return { member, handle }
  }

  pollEcho(): Echo | undefined {
    return this.control.pollEcho()
  }

  handleTimeout(now: number): void {
    if (this.#ended !== undefined) return
    if (this.giveUpAt !== undefined && now >= this.giveUpAt) {
      this.end(now, this.whyNot())
      return
    }
    this.#signalling.handleTimeout(now)
    this.underlay.handleTimeout(now)
    this.control.handleTimeout(now)
    this.chat.handleTimeout(now)
    this.handleOwnTimeout(now)
    this.continueLeaving(now)
    this.collect(now)
  }

  pollTransmit(): RoomTransmit | undefined {
    return this.transmits.shift()
  }

  pollEvent(): RoomEvent | undefined {
    return this.events.shift()
  }

  pollTimeout(): number | undefined {
    if (this.#ended !== undefined) return undefined
    return earliest(
      this.giveUpAt,
      this.#signalling.pollTimeout(),
      this.underlay.pollTimeout(),
      this.control.pollTimeout(),
      this.chat.pollTimeout(),
      this.#farewell?.pollTimeout(),
      this.pollOwnTimeout(),
    )
  }

  dropped(): readonly (readonly [reason: string, count: number])[] {
    const all = new Counters()
    const parts = [this.counters, this.#signalling.counters, this.control.counters, this.chat.counters]
    for (const part of parts) all.addAll(part.entries())
    all.addAll(this.underlay.dropped())
    return all.entries()
  }

  protected get isLeaving(): boolean {
    return this.#farewell !== undefined
  }

  protected abstract startSignalling(now: number): void
  /** Runs what is due of this side's own. */
  protected abstract handleOwnTimeout(now: number): void
  protected abstract pollOwnTimeout(): number | undefined
  /** Takes what signalling has to say, and what has waited for candidates. @returns whether there was anything */
  protected abstract advance(now: number): boolean
  protected abstract handleUnderlay(now: number, event: PeerEvent): void
  /** @param neighbour the receiver's public key, base64 */
  protected abstract sendChat(now: number, neighbour: string, payload: Uint8Array): void
  /** Whether a peer is in the room, so that IP packets may go to it. */
  protected abstract mayReach(peer: string): boolean
  /** Who an author is by the roster; undefined where it is not on it. */
  protected abstract memberOf(author: Uint8Array): Pick<Member, 'name' | 'address'> | undefined
  /** Whether nobody is left to say goodbye to. */
  protected abstract get isFarewellHeard(): boolean
  protected abstract sayFarewell(now: number): void
  /** Why the room was not up in time. */
  protected abstract whyNot(): GonetError

  /** Moves what the machines inside have to say to where it belongs, until all are silent. */
  protected collect(now: number): void {
    for (let moved = true; moved; ) {
      moved = this.advance(now)
      for (let event = this.underlay.pollEvent(); event !== undefined; event = this.underlay.pollEvent()) {
        moved = true
        if (event.type === 'relay-failed') this.#tellFailure(event.relay, event.failure)
        else this.handleUnderlay(now, event)
      }
      for (let sent = this.chat.pollTransmit(); sent !== undefined; sent = this.chat.pollTransmit()) {
        moved = true
        this.sendChat(now, sent.neighbour, sent.payload)
      }
    }
    this.#tell()
    this.#drain()
  }

  protected continueLeaving(now: number): void {
    if (this.#farewell === undefined) return
    if (this.isFarewellHeard || this.#farewell.isOver(now)) this.end(now)
    else if (this.#farewell.isDue(now)) this.sayFarewell(now)
  }

  protected end(now: number, failure?: GonetError): void {
    if (this.#ended !== undefined) return
    this.underlay.close(now)
    this.#signalling.stop()
    this.chat.flush()
    this.#tell()
    this.#drain()
    this.#ended = failure === undefined ? {} : { failure }
    if (failure === undefined) this.events.push({ event: 'left' })
  }

  /** A server that fails again and again for one reason is told of once. */
  #tellFailure(relay: string, { code, reason }: TurnFailure): void {
    if (this.#relayFailures.get(relay) === code) return
    this.#relayFailures.set(relay, code)
    const advice = code === 'turn-unauthorized' ? '. Check its credentials in transport.turn' : ''
    this.events.push({ event: 'error', code, message: `TURN server ${relay}: ${reason}${advice}` })
  }

  #tell(): void {
    if (!this.chat.isKept) return
    for (let event = this.chat.pollEvent(); event !== undefined; event = this.chat.pollEvent()) {
      const told = roomEventOf(event, {
        memberOf: (author) => this.memberOf(author),
        names: () => this.members.map(({ name }) => name),
      })
      if (told !== undefined) this.events.push(told)
    }
  }

  #drain(): void {
    const { underlay, transmits } = this
    const signalling = this.#signalling
    for (let signal = signalling.pollTransmit(); signal !== undefined; signal = signalling.pollTransmit()) {
      transmits.push({ type: 'signal', signal })
    }
    for (let sent = underlay.pollTransmit(); sent !== undefined; sent = underlay.pollTransmit()) {
      transmits.push(sent)
    }
  }
}
