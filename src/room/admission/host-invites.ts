/**
 * Invites at the host: who may join by one, and who is let in (docs/protocol.md, Invites). An invite for one guest is
 * reserved at its join, and used up once its tunnel is up.
 */
import { toBase64 } from '../../core/encoding.js'
import { formatLink } from '../../core/invite.js'
import { proveInvite } from '../../core/invite-proof.js'
import type { AdmissionKind, Join } from '../../core/messages.js'
import type { Crypto, Random, Store, Wall } from '../../core/ports.js'
import type { RoomId } from '../../core/room-id.js'
import { makeRoomSecret, readRoomSecret } from '../room-secret.js'
import type { Refusal } from './host-admission.js'
import { type Invite, type InviteOptions, InviteRegister } from './invite-register.js'

const Refusals = {
  needed: { code: 'invite-needed', text: 'The host lets in by invite only' },
  unknown: { code: 'invite-unknown', text: 'The host does not know this invite' },
  expired: { code: 'invite-expired', text: 'The invite has expired' },
  used: { code: 'invite-used', text: 'The invite was for one guest, and somebody else has used it' },
  revoked: { code: 'invite-revoked', text: 'The host has revoked the invite' },
  busy: { code: 'invite-busy', text: 'Somebody else is joining by this invite: try again in a minute' },
} as const
/** A tunnel that does not come up in this time leaves the invite to others. */
const ReservedMs = 60_000

export interface NewInvite extends Invite {
  /** What to give to the guest: whoever has it can use it. */
  readonly link: string
}

export interface HostInvitesOptions {
  readonly crypto: Pick<Crypto, 'equal' | 'hkdfSha256' | 'hmacSha256'>
  readonly random: Random
  readonly store: Store
  readonly wall: Wall
  readonly admission: AdmissionKind
  readonly room: RoomId
  readonly hostKey: Uint8Array
  /** Names of signalling backends. */
  readonly signal: readonly string[]
}

export class HostInvites {
  readonly #options: HostInvitesOptions
  readonly #register: InviteRegister
  /** By an invite's id: whose join has it, and until when. */
  readonly #reserved = new Map<string, { readonly key: string; readonly untilMs: number }>()
  #secret: Uint8Array | undefined

  /** @throws UsageError `room-secret-invalid`; GonetError `invites-unreadable`, `store-failed` */
  constructor(options: HostInvitesOptions) {
    const { admission, random, store, wall } = options
    this.#options = options
    this.#register = new InviteRegister(store, wall)
    this.#secret = readRoomSecret(store)
    if (admission === 'invite') this.#secret ??= makeRoomSecret(store, random)
  }

  /** The room's, once there is one. */
  get secret(): Uint8Array | undefined {
    return this.#secret
  }

  get all(): readonly Invite[] {
    return this.#register.all
  }

  /** Throws as Room's `invite` does. */
  create(options: InviteOptions): NewInvite {
    const { hostKey, random, room, signal, store } = this.#options
    this.#secret ??= makeRoomSecret(store, random)
    const { invite, secret } = this.#register.create(random, options)
    const secrets = { id: invite.id, secret, roomSecret: this.#secret }
    return { ...invite, link: formatLink({ room, hostKey, signal, invite: secrets }) }
  }

  /** @throws UsageError `invite-unknown`; GonetError `store-failed` */
  revoke(id: string): Invite {
    return this.#register.revoke(id)
  }

  /**
   * A member is kept out from now on, and so is whoever has the invite that it came by.
   * @throws GonetError `store-failed`
   */
  expel(key: string): void {
    this.#register.expel(key)
  }

  isAdmitted(key: string): boolean {
    return this.#register.isAdmitted(key)
  }

  /** Why a join gets no tunnel, as far as invites go. Only who has an invite's secret hears what has become of it. */
  refusal(now: number, join: Join): Refusal | undefined {
    const { invite, publicKey, username } = join
    const key = toBase64(publicKey)
    if (invite === undefined) return this.#isNeeded(key) ? Refusals.needed : undefined
    if (this.secretOf(join) === undefined) return Refusals.unknown
    if (this.#register.isAdmitted(key)) return undefined
    const problem = this.#problem(invite.id, key, username)
    if (problem !== undefined || !this.#register.isForOne(invite.id)) return problem
    const reserved = this.#reserved.get(invite.id)
    if (reserved !== undefined && reserved.key !== key && now < reserved.untilMs) return Refusals.busy
    this.#reserved.set(invite.id, { key, untilMs: now + ReservedMs })
    return undefined
  }

  /** The secret of the invite that a join proves: the tunnel's preshared key comes from it. */
  secretOf(join: Join): Uint8Array | undefined {
    const { crypto } = this.#options
    const { invite } = join
    if (invite === undefined) return undefined
    const secret = this.#register.secretOf(invite.id)
    // An invite that there is not takes as long as one that there is.
    const { proof } = proveInvite(crypto, { id: invite.id, secret: secret ?? new Uint8Array(16) }, join)
    return crypto.equal(proof, invite.proof) ? secret : undefined
  }

  /**
   * Lets a guest in whose tunnel is up, for good: what it was invited by is used, on disk.
   * @param invite the id of the one that its join has proved
   * @returns why it is not let in, as far as invites go
   * @throws GonetError `store-failed`: then it is not let in
   */
  admit(guest: {
    readonly key: string
    readonly name: string
    readonly invite: string | undefined
  }): Refusal | undefined {
    const { key, name, invite } = guest
    if (invite === undefined || this.#register.isAdmitted(key))
      return this.#isNeeded(key) ? Refusals.needed : undefined
    const problem = this.#problem(invite, key, name)
    if (problem !== undefined) return problem
    this.#register.admit({ key, name, invite })
    this.#reserved.delete(invite)
    return undefined
  }

  #isNeeded(key: string): boolean {
    return this.#options.admission === 'invite' && !this.#register.isAdmitted(key)
  }

  #problem(id: string, key: string, name: string): Refusal | undefined {
    const problem = this.#register.problem(id, key)
    if (problem !== undefined) return Refusals[problem]
    const only = this.#register.nameOf(id)
    if (only === undefined || only === name) return undefined
    return { code: 'invite-name', text: `The invite is for ${only}, and you are ${name}` }
  }
}
