import type { AddressAnswer, AddressTransmit } from '../core/address-allocator.js'
import { GonetError, UsageError } from '../core/errors.js'
import type { Identity } from '../core/identity.js'
import type { Endpoint, Machine, SocketAddress } from '../core/machine.js'
import type { PasswordAnswer, PasswordRequest } from '../core/password-proof.js'
import type { Crypto, InterfaceAddress, Random, Store, Wall } from '../core/ports.js'
import type { RoomId } from '../core/room-id.js'
import type { SignalTransmit } from '../core/signal.js'
import type { AdapterState, SignalRecord, Topic } from '../core/signalling-adapter.js'
import type { NoiseCrypto } from '../transports/wireguard/crypto.js'
import type { NewInvite } from './admission/host-invites.js'
import type { Invite, InviteOptions } from './admission/invite-register.js'
import type { Ban } from './admission/register.js'
import type { Echo } from './control-channel.js'
import type { RoomEvent } from './events.js'
import type { Named } from './find-member.js'
import type { RelayInput, RelayServer } from './relays.js'
import type { Member } from './room.js'
import type { UnderlayOptions, UnderlayTransmit } from './underlay.js'

/** What a member wants sent: a UDP datagram, or something on the signalling backends. */
export type RoomTransmit =
  | UnderlayTransmit
  | { readonly type: 'signal'; readonly signal: SignalTransmit }
  | { readonly type: 'address'; readonly address: AddressTransmit }
  | { readonly type: 'password'; readonly request: PasswordRequest }
  /** An IP packet for this machine's programs. */
  | { readonly type: 'packet'; readonly bytes: Uint8Array }
  /** The addresses that the programs' interface has from now on. */
  | { readonly type: 'interface'; readonly addresses: readonly InterfaceAddress[] }

/** One member of a room, host or guest, whole: signalling, paths, tunnels, overlay, chat. Sans-IO. */
export interface RoomMachine extends Machine<RoomEvent, RoomTransmit> {
  readonly role: 'host' | 'guest'
  /** Where it is on the signalling backends. */
  readonly topics: readonly Topic[]
  readonly members: readonly Member[]
  /** Messages of ours that not every member online is known to have. */
  readonly undelivered: number
  /** Set when the room has ended for this member: after its last event. `failure` says why, where it failed. */
  readonly ended: { readonly failure?: GonetError } | undefined
  /** Begins. Call it once. */
  start(now: number): void
  handleRecord(now: number, adapter: string, record: SignalRecord): void
  handleAdapterState(now: number, adapter: string, state: AdapterState): void
  /** The answer to an `address` transmit that allocates, by its id. A member that sends none has none. */
  handleAddress?(now: number, id: string, answer: AddressAnswer): void
  /** The answer to a `password` transmit, by its id. */
  handlePassword(now: number, id: string, answer: PasswordAnswer): void
  handleDatagram(now: number, source: Endpoint, bytes: Uint8Array): void
  /** IP packets of this machine's programs, which must not change any more. */
  handlePackets(now: number, packets: readonly Uint8Array[]): void
  /** Which sockets of an `open-sockets` transmit are open. */
  handleSockets(now: number, ids: readonly string[]): void
  /** One of the expected STUN servers, or undefined for one whose name could not be looked up. */
  addStunServer(now: number, server: SocketAddress | undefined): void
  /** One of the expected TURN servers, or undefined for one whose name could not be looked up. */
  addRelay(now: number, server: RelayServer | undefined): void
  /** What has become of the stream that a `connect` transmit asked for. */
  handleRelayStream(now: number, relay: string, input: RelayInput): void
  /** Where the router forwards from to this machine's port, by its word; undefined where it does not. */
  setMappedAddress(now: number, address: SocketAddress | undefined): void
  /** Where this machine is on its own networks now. */
  setLocalAddresses(now: number, addresses: readonly SocketAddress[]): void
  /**
   * Posts a chat message and returns its id.
   * @throws UsageError `message-invalid`
   */
  post(now: number, text: string): string
  /** Those that ask to be let in, and those that are kept out: at a host. */
  readonly asking: readonly Named[]
  readonly bans: readonly Ban[]
  /**
   * Lets somebody in or keeps them out, where this is the host.
   * @param who a name, an overlay address, a key or the beginning of one
   * @returns whom it concerned
   * @throws UsageError `member-unknown`, `member-ambiguous`, `not-the-host`; GonetError `store-failed`, `too-many-bans`
   */
  administer(now: number, act: AdministrativeAct, who: string): Named
  /**
   * Makes, shows and revokes invites, where this is the host.
   * @throws as those of Room do
   */
  invite(now: number, options: InviteOptions): NewInvite
  readonly invites: readonly Invite[]
  revokeInvite(now: number, id: string): Invite
  /**
   * Says goodbye; `ended` is set when the others know, or after a second. Safe to call twice: the first call counts.
   * @throws UsageError `not-the-host` where a guest would close the room
   */
  leave(now: number, options?: LeaveOptions): void
  /**
   * Sends a member an ICMP echo request through the tunnel; `pollEcho` tells what has come of it.
   * @param who a name, an overlay address, a key or the beginning of one
   * @throws UsageError `member-unknown`, `member-ambiguous`, `member-self`, `too-many-echoes`; GonetError `member-away`
   */
  ping(now: number, who: string): PingedMember
  /** The next echo request that was answered, or was not in time: oldest first. */
  pollEcho(): Echo | undefined
  /** What was dropped, by part and reason: for diagnostics. */
  dropped(): readonly (readonly [reason: string, count: number])[]
}

export interface LeaveOptions {
  /** Whether a host closes the room: its guests are told that it does not come back. */
  readonly close?: boolean
}

export interface PingedMember {
  readonly member: Member
  /** Tells echo requests apart. */
  readonly handle: number
}

/** What a host does to others. */
export type AdministrativeAct = 'approve' | 'deny' | 'kick' | 'ban' | 'unban'

export interface RoomMachineOptions
  extends Pick<UnderlayOptions, 'localAddresses' | 'stunServers' | 'relays' | 'policy' | 'loopback'> {
  readonly identity: Identity
  readonly room: RoomId
  /** This member's display name. */
  readonly name: string
  readonly crypto: Crypto
  readonly noiseCrypto: NoiseCrypto
  readonly random: Random
  readonly wall: Wall
  /** This member's own store for this room. */
  readonly store: Store
  /** Of the overlay, in bytes. */
  readonly mtu: number
  /** Chat entries kept. */
  readonly historyLimit: number
  /** How long until giving up before the room is up, in ms; undefined for never. */
  readonly timeoutMs: number | undefined
  /** Whether this machine's programs have an interface to the room. Default: no, and gonet itself answers pings. */
  readonly hasInterface?: boolean
  /** What a record takes over the fastest backend in use, in ms; 0 by default. */
  readonly signallingLatencyMs?: number
}

/** How a room ends for a member that reached no backend in time. */
export function noBackend(): GonetError {
  return new GonetError('no-backend', 'No signalling backend could be reached', {
    advice: 'Check the network, or choose another with --signal',
  })
}

export function notTheHost(): UsageError {
  return new UsageError(
    'not-the-host',
    'Only the host lets members in or puts them out, and closes the room',
    {
      advice: 'Ask who hosts the room',
    },
  )
}
