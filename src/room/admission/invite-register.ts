/**
 * The invites of a room, and who came by them: kept in the room's store, in one value, so that using an invite and
 * being let in by it are one write. Every change is on disk before it takes effect.
 */
import { fromBase64, fromHex, fromUtf8, toHex, utf8 } from '../../core/encoding.js'
import { GonetError, UsageError } from '../../core/errors.js'
import { nameProblem } from '../../core/identity.js'
import { SecretBytes } from '../../core/invite.js'
import type { Random, Store, Wall } from '../../core/ports.js'
import type { Named } from '../find-member.js'

export interface InviteOptions {
  /** Whether one guest only may use it. Default: any number. */
  readonly once?: boolean | undefined
  /** How long it may be used, in ms, a year at most. Default: until it is revoked. */
  readonly expiresInMs?: number | undefined
  /** The only name that a guest may use it under. Default: any. */
  readonly name?: string | undefined
}

/** An invite as its host sees it. */
export interface Invite {
  /** 8 hex digits. */
  readonly id: string
  readonly state: 'open' | 'used' | 'expired' | 'revoked'
  readonly once: boolean
  /** When it ends, in ms since 1970; undefined for never. */
  readonly expiresAtMs: number | undefined
  /** The only name that a guest may use it under; undefined for any. */
  readonly name: string | undefined
  /** Who was let in by it, as far as that is remembered. */
  readonly usedBy: readonly Named[]
}

interface SavedInvite {
  readonly id: string
  /** 32 hex digits. */
  readonly secret: string
  readonly once: boolean
  readonly expiresAtMs?: number | undefined
  readonly name?: string | undefined
  readonly isRevoked?: boolean | undefined
  /** The key that has used it, base64, where it is for one. */
  readonly takenBy?: string | undefined
}

/** A member that an invite has let in. */
interface Admitted {
  /** Public key, base64. */
  readonly key: string
  readonly name: string
  readonly invite: string
}

interface Saved {
  readonly version: number
  readonly invites: readonly SavedInvite[]
  readonly admitted: readonly Admitted[]
}

const StoreName = 'invites'
const Version = 1
const YearMs = 365 * 86_400_000
/** Where there are more, the oldest of those that have ended is forgotten; where none has, no more are made. */
const MaxInvites = 1000
/** Where there are more, the oldest is forgotten of the invite that has let in most: a leaked one displaces its own. */
const MaxAdmitted = 10_000

export class InviteRegister {
  readonly #store: Store
  readonly #wall: Wall
  /** By id, the oldest first. */
  #invites: ReadonlyMap<string, SavedInvite>
  /** By key, the oldest first. */
  #admitted: ReadonlyMap<string, Admitted>

  /** @throws GonetError `invites-unreadable` */
  constructor(store: Store, wall: Wall) {
    this.#store = store
    this.#wall = wall
    const saved = readSaved(store.read(StoreName))
    this.#invites = new Map(saved.invites.map((invite) => [invite.id, invite]))
    this.#admitted = new Map(saved.admitted.map((admitted) => [admitted.key, admitted]))
  }

  /** The oldest first. */
  get all(): readonly Invite[] {
    return Array.from(this.#invites.values(), (invite) => this.#describe(invite))
  }

  /** What its guest proves to have; undefined for one that there is not. */
  secretOf(id: string): Uint8Array | undefined {
    const invite = this.#invites.get(id)
    return invite && fromHex(invite.secret, SecretBytes)
  }

  /** Whether an invite has let a key in. */
  isAdmitted(key: string): boolean {
    return this.#admitted.has(key)
  }

  /**
   * What keeps an invite from letting a key in, if anything does.
   * @param id of an invite that there is
   */
  problem(id: string, key: string): Exclude<Invite['state'], 'open'> | undefined {
    const invite = this.#invites.get(id)
    if (invite === undefined || invite.isRevoked === true) return 'revoked'
    // Whoever has taken it can come again.
    if (invite.takenBy === key) return undefined
    const state = this.#stateOf(invite)
    return state === 'open' ? undefined : state
  }

  /** The only name that an invite may be used under. */
  nameOf(id: string): string | undefined {
    return this.#invites.get(id)?.name
  }

  isForOne(id: string): boolean {
    return this.#invites.get(id)?.once === true
  }

  /** @throws UsageError `invite-name-invalid`, `invite-expiry-invalid`; GonetError `too-many-invites`, `store-failed` */
  create(
    random: Random,
    { once = false, expiresInMs, name }: InviteOptions,
  ): { readonly invite: Invite; readonly secret: Uint8Array } {
    const problem = name === undefined ? undefined : nameProblem(name)
    if (problem !== undefined)
      throw new UsageError('invite-name-invalid', `Nobody can be called that: ${problem}`)
    if (expiresInMs !== undefined && !(expiresInMs > 0 && expiresInMs <= YearMs)) {
      throw new UsageError(
        'invite-expiry-invalid',
        'An invite ends after some time, and after a year at most',
      )
    }
    const invites = new Map(this.#invites)
    if (invites.size >= MaxInvites) {
      const ended = Array.from(invites.values()).find((invite) => this.#stateOf(invite) !== 'open')
      if (ended === undefined) {
        throw new GonetError('too-many-invites', `There are ${MaxInvites} open invites already`, {
          advice: 'Revoke some, or let them expire',
        })
      }
      invites.delete(ended.id)
    }
    let id = toHex(random.bytes(4))
    while (invites.has(id)) id = toHex(random.bytes(4))
    const secret = random.bytes(SecretBytes)
    const expiresAtMs = expiresInMs === undefined ? undefined : Math.round(this.#wall.unixMs() + expiresInMs)
    const invite = { id, secret: toHex(secret), once, expiresAtMs, name }
    invites.set(id, invite)
    this.#save(invites, this.#admitted)
    return { invite: this.#describe(invite), secret }
  }

  /**
   * Nobody is let in by an invite any more; who was stays.
   * @throws UsageError `invite-unknown`; GonetError `store-failed`
   */
  revoke(id: string): Invite {
    const invite = this.#invites.get(id)
    if (invite === undefined) {
      throw new UsageError('invite-unknown', `There is no invite ${id}`, {
        advice: 'List them to see their ids',
      })
    }
    this.#save(this.#withRevoked(id), this.#admitted)
    return this.#describe({ ...invite, isRevoked: true })
  }

  /**
   * Forgets that a key was let in, and revokes what let it in.
   * @throws GonetError `store-failed`
   */
  expel(key: string): void {
    const admitted = new Map(this.#admitted)
    const id = admitted.get(key)?.invite
    if (id === undefined) return
    admitted.delete(key)
    this.#save(this.#withRevoked(id), admitted)
  }

  /**
   * Lets a key in by an invite.
   * @throws GonetError `store-failed`: then it is not let in
   */
  admit({ key, name, invite: id }: Admitted): void {
    const invite = this.#invites.get(id)
    if (invite === undefined || this.#admitted.get(key)?.invite === id) return
    const admitted = new Map(this.#admitted)
    admitted.delete(key)
    admitted.set(key, { key, name, invite: id })
    if (admitted.size > MaxAdmitted) admitted.delete(oldestOfMost(admitted))
    const invites = new Map(this.#invites)
    if (invite.once) invites.set(id, { ...invite, takenBy: key })
    this.#save(invites, admitted)
  }

  #describe(invite: SavedInvite): Invite {
    const { id, once, expiresAtMs, name } = invite
    const usedBy = Array.from(this.#admitted.values())
      .filter((admitted) => admitted.invite === id)
      .map(({ name: called, key }) => ({ name: called, key }))
    return { id, state: this.#stateOf(invite), once, expiresAtMs, name, usedBy }
  }

  #stateOf({ expiresAtMs, isRevoked, takenBy }: SavedInvite): Invite['state'] {
    if (isRevoked === true) return 'revoked'
    if (takenBy !== undefined) return 'used'
    return expiresAtMs !== undefined && this.#wall.unixMs() >= expiresAtMs ? 'expired' : 'open'
  }

  #withRevoked(id: string): ReadonlyMap<string, SavedInvite> {
    const invites = new Map(this.#invites)
    const invite = invites.get(id)
    if (invite !== undefined) invites.set(id, { ...invite, isRevoked: true })
    return invites
  }

  #save(invites: ReadonlyMap<string, SavedInvite>, admitted: ReadonlyMap<string, Admitted>): void {
    const saved: Saved = {
      version: Version,
      invites: Array.from(invites.values()),
      admitted: Array.from(admitted.values()),
    }
    this.#store.write(StoreName, utf8(`${JSON.stringify(saved)}\n`))
    this.#invites = invites
    this.#admitted = admitted
  }
}

function oldestOfMost(admitted: ReadonlyMap<string, Admitted>): string {
  const counts = new Map<string, number>()
  for (const { invite } of admitted.values()) counts.set(invite, (counts.get(invite) ?? 0) + 1)
  const most = Math.max(...counts.values())
  for (const { invite, key } of admitted.values()) if (counts.get(invite) === most) return key
  return ''
}

function readSaved(bytes: Uint8Array | undefined): Saved {
  if (bytes === undefined) return { version: Version, invites: [], admitted: [] }
  let saved: unknown
  try {
    saved = JSON.parse(fromUtf8(bytes) ?? '')
  } catch {
    // Told of below, as any other form.
  }
  if (isSaved(saved)) return saved
  throw new GonetError('invites-unreadable', `The file ${StoreName} of this room is not what gonet wrote`, {
    advice: 'It says who was invited: put a copy back, or move it away to begin without invites',
  })
}

function isSaved(value: unknown): value is Saved {
  if (!isRecord(value)) return false
  const { version, invites, admitted } = value
  return (
    version === Version &&
    Array.isArray(invites) &&
    Array.isArray(admitted) &&
    invites.every(isSavedInvite) &&
    admitted.every(isAdmitted)
  )
}

function isSavedInvite(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { id, secret, once, expiresAtMs, name, isRevoked, takenBy } = value
  return (
    isId(id) &&
    typeof secret === 'string' &&
    fromHex(secret, SecretBytes) !== undefined &&
    typeof once === 'boolean' &&
    (expiresAtMs === undefined || Number.isSafeInteger(expiresAtMs)) &&
    (name === undefined || isName(name)) &&
    (isRevoked === undefined || typeof isRevoked === 'boolean') &&
    (takenBy === undefined || isKey(takenBy))
  )
}

function isAdmitted(value: unknown): boolean {
  return isRecord(value) && isKey(value['key']) && isName(value['name']) && isId(value['invite'])
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{8}$/.test(value)
}

function isKey(value: unknown): boolean {
  return typeof value === 'string' && fromBase64(value, 32) !== undefined
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && nameProblem(value) === undefined
}
