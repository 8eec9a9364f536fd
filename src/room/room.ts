import type { NewInvite } from './admission/host-invites.js'
import type { Invite, InviteOptions } from './admission/invite-register.js'
import type { Ban } from './admission/register.js'
import type { MessageEvent, RoomEvent } from './events.js'
import type { Named } from './find-member.js'
import type { AdministrativeAct, LeaveOptions } from './room-machine.js'

/** A member as the roster knows it. Addresses are overlay addresses. */
export interface Member {
  readonly name: string
  /** Ed25519 public key, base64. */
  readonly key: string
  readonly address: string
  readonly address6: string
  readonly online: boolean
  readonly host: boolean
  /** Another member's name that this one's can be taken for. */
  readonly looksLike?: string
}

export interface Ping {
  readonly member: Member
  readonly rttMs: number | undefined
}

/** A running room, as its host or as a guest. Made by `createRoom` and `joinRoom`. */
export interface Room {
  /** Canonical room id, lower-case hex. */
  readonly id: string
  /**
   * Resolves when the room is up: hosted on at least one backend, or joined.
   * @throws GonetError what ended it before, such as `no-backend`, `room-not-found`, `no-path`
   */
  readonly ready: Promise<void>
  /** Everybody on the roster, this member included. */
  readonly members: readonly Member[]
  /**
   * Everything that happens, in order. The first iterator begins with the first event, a later one with what the
   * others have not read yet; 10,000 unread events are kept. Ends after `left`.
   * It throws what ended the room where that was a failure: a GonetError.
   */
  readonly events: AsyncIterable<RoomEvent>
  /** The messages of the others, among the events: each iterator has its own place, and misses none. */
  readonly messages: AsyncIterable<MessageEvent>
  /**
   * Posts a chat message (1–4096 bytes of UTF-8); it is kept and sent as soon as there is somebody.
   * Returns its id, which a later `delivered` event names.
   * @throws UsageError `message-invalid` for an empty, too long or ill-formed text
   */
  send(text: string): string
  /** Messages of ours that not every member online is known to have. */
  readonly undelivered: number
  /** Those that ask to be let in, where this is the host and its admission is `approve`. */
  readonly asking: readonly Named[]
  /** Those that the host keeps out. */
  readonly bans: readonly Ban[]
  /**
   * Lets somebody in that asks (`approve`, `deny`), puts somebody out for ten minutes (`kick`) or for ever (`ban`),
   * or ends that (`unban`).
   * @param who a name, an overlay address, a public key or the beginning of one
   * @returns whom it concerned
   * @throws UsageError `member-unknown`, `member-ambiguous`, `not-the-host`; GonetError `room-ended`, `store-failed`
   */
  administer(act: AdministrativeAct, who: string): Named
  /**
   * Makes an invite, where this is the host: its link lets in whoever has it.
   * @throws UsageError `invite-name-invalid`, `invite-expiry-invalid`, `not-the-host`; GonetError `room-ended`,
   *   `too-many-invites`, `store-failed`
   */
  invite(options?: InviteOptions): NewInvite
  /** At a host, those that have ended included, as far as they are remembered. */
  readonly invites: readonly Invite[]
  /**
   * Nobody is let in by an invite any more; who was stays.
   * @param id 8 hex digits
   * @throws UsageError `invite-unknown`, `not-the-host`; GonetError `room-ended`, `store-failed`
   */
  revokeInvite(id: string): Invite
  /**
   * The process that holds the network namespace in which programs reach the room; undefined where they do so from
   * everywhere on this machine, or not at all.
   */
  readonly namespace: number | undefined
  /**
   * Sends a member an ICMP echo request through the tunnel.
   * @param who a name, an overlay address, a public key or the beginning of one
   * @returns the round trip in ms, undefined where no reply came in 5 s
   * @throws UsageError `member-unknown`, `member-ambiguous`, `member-self`; GonetError `member-away`, `room-ended`
   */
  ping(who: string): Promise<Ping>
  /**
   * Says goodbye, retracts what lies on backends, closes everything. Safe to call twice: the first call counts. With
   * `close` a host ends the room: guests that are in it end with `room-closed`, rather than wait for the host.
   * @throws UsageError `not-the-host` where a guest would close the room
   */
  leave(options?: LeaveOptions): Promise<void>
}
