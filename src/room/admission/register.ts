/**
 * Whom a host knows, and whom it keeps out: kept in the room's store, so that it holds across restarts. Every change
 * is on disk before it takes effect.
 */
import { fromBase64, fromUtf8, utf8 } from '../../core/encoding.js'
import { GonetError } from '../../core/errors.js'
import { nameProblem } from '../../core/identity.js'
import type { Store, Wall } from '../../core/ports.js'

/** How a member was let in: by a person, or by the password. */
export type AdmittedBy = 'approval' | 'password'

export interface KnownMember {
  /** Public key, base64. */
  readonly key: string
  readonly name: string
  readonly by: AdmittedBy
}

export interface Ban {
  readonly key: string
  /** What the member was called. */
  readonly name: string
  /** When it ends, in ms since 1970; undefined for never. */
  readonly untilMs: number | undefined
}

const StoreName = 'admission'
const Version = 1
/** More of one kind are not kept: the oldest known member is forgotten, a ban too many is refused. */
const MaxKnown = 10_000
const MaxBans = 10_000

interface Saved {
  readonly version: number
  readonly known: readonly KnownMember[]
  readonly bans: readonly { readonly key: string; readonly name: string; readonly untilMs?: number }[]
}

export class AdmissionRegister {
  readonly #store: Store
  readonly #wall: Wall
  /** By key; the first is the first to be forgotten. */
  #known: ReadonlyMap<string, KnownMember>
  #bans: ReadonlyMap<string, Ban>

  /** @throws GonetError `admission-unreadable` where what is kept cannot be trusted: then nobody may be let in */
  constructor(store: Store, wall: Wall) {
    this.#store = store
    this.#wall = wall
    const saved = readSaved(store.read(StoreName))
    this.#known = new Map(saved.known.map((member) => [member.key, member]))
    this.#bans = new Map(saved.bans.map(({ key, name, untilMs }) => [key, { key, name, untilMs }]))
  }

  isKnown(key: string, by: AdmittedBy): boolean {
    return this.#known.get(key)?.by === by
  }

  /** Those that are kept out now. */
  get bans(): readonly Ban[] {
    return Array.from(this.#bans.values()).filter((ban) => !this.#isOver(ban))
  }

  /** What keeps a key out, if anything does. */
  banOf(key: string): Ban | undefined {
    const ban = this.#bans.get(key)
    return ban === undefined || this.#isOver(ban) ? undefined : ban
  }

  /** @throws GonetError `store-failed` */
  know(member: KnownMember): void {
    const before = this.#known.get(member.key)
    if (before?.by === member.by && before.name === member.name) return
    const known = new Map(this.#known)
    known.delete(member.key)
    known.set(member.key, member)
    const [oldest] = known.keys()
    if (known.size > MaxKnown && oldest !== undefined) known.delete(oldest)
    this.#save(known, this.#bans)
  }

  /**
   * Keeps a key out, and forgets that it was let in before.
   * @throws GonetError `store-failed`, `too-many-bans`
   */
  ban(ban: Ban): void {
    const known = new Map(this.#known)
    known.delete(ban.key)
    const bans = new Map(this.bans.map((each) => [each.key, each]))
    bans.set(ban.key, ban)
    if (bans.size > MaxBans) {
      throw new GonetError('too-many-bans', `There are ${MaxBans} bans already`, {
        advice: 'Lift one with gonet unban, or let in by invitation only',
      })
    }
    this.#save(known, bans)
  }

  /**
   * Lets a key in again, as far as this rule goes.
   * @throws GonetError `store-failed`
   */
  unban(key: string): void {
    if (!this.#bans.has(key)) return
    const bans = new Map(this.#bans)
    bans.delete(key)
    this.#save(this.#known, bans)
  }

  #isOver({ untilMs }: Ban): boolean {
    return untilMs !== undefined && this.#wall.unixMs() >= untilMs
  }

  #save(known: ReadonlyMap<string, KnownMember>, bans: ReadonlyMap<string, Ban>): void {
    const saved = { version: Version, known: Array.from(known.values()), bans: Array.from(bans.values()) }
    this.#store.write(StoreName, utf8(`${JSON.stringify(saved)}\n`))
    this.#known = known
    this.#bans = bans
  }
}

function readSaved(bytes: Uint8Array | undefined): Saved {
  if (bytes === undefined) return { version: Version, known: [], bans: [] }
  let saved: unknown
  try {
    saved = JSON.parse(fromUtf8(bytes) ?? '')
  } catch {
    // Told of below, as any other form.
  }
  if (isSaved(saved)) return saved
  throw new GonetError('admission-unreadable', `The file ${StoreName} of this room is not what gonet wrote`, {
    advice: 'It says who is banned: put a copy back, or move it away to begin without bans',
  })
}

function isSaved(value: unknown): value is Saved {
  if (typeof value !== 'object' || value === null) return false
  const { version, known, bans } = value as Record<string, unknown>
  return (
    version === Version &&
    Array.isArray(known) &&
    Array.isArray(bans) &&
    known.every((each) => isEntry(each) && (each['by'] === 'approval' || each['by'] === 'password')) &&
    bans.every(
      (each) => isEntry(each) && (each['untilMs'] === undefined || Number.isSafeInteger(each['untilMs'])),
    )
  )
}

function isEntry(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const { key, name } = value as Record<string, unknown>
  const isKey = typeof key === 'string' && fromBase64(key, 32) !== undefined
  return isKey && typeof name === 'string' && nameProblem(name) === undefined
}
