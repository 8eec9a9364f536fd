/**
 * The state folder: who this machine is, to guests and in the rooms it hosts, and what it keeps for each room.
 *
 *     identity                    the guest's
 *     rooms/<room id>/identity    a hosted room's
 *     rooms/<room id>/data/…      what the host keeps for it
 *     joined/<room id>/data/…     what a guest keeps for it
 *     last-room                   the id of the room that was hosted last
 */
import { timingSafeEqual } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { fromUtf8, utf8 } from '../core/encoding.js'
import { UsageError } from '../core/errors.js'
import { identityFromSeed } from '../core/identity.js'
import type { Crypto, Random, Store } from '../core/ports.js'
import { roomIdMatches } from '../core/room-id.js'
import { FileStore, hasCode, onDisk } from './file-store.js'
import {
  createIdentityFile,
  formatIdentity,
  type IdentityText,
  parseIdentity,
  readIdentityFile,
} from './identity-file.js'
import { acquireLock, type Lock } from './lock.js'

const SeedBytes = 32

/**
 * `--state`, or `gonet` in the XDG state folder.
 * @param state as it was given, relative to `cwd`; undefined for the default
 */
export function stateFolder(
  state: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  if (state !== undefined) return resolve(cwd, state)
  const { HOME: home, XDG_STATE_HOME: xdg } = environment
  // The XDG specification has relative paths and empty variables ignored.
  if (xdg?.startsWith('/') === true) return join(xdg, 'gonet')
  return join(home === undefined || home === '' ? homedir() : home, '.local', 'state', 'gonet')
}

/**
 * What the state folder holds. Room ids are canonical: lower-case hex.
 *
 * Every method throws GonetError `store-failed` where the disk fails, and those that read identities throw
 * UsageError `identity-invalid` or `identity-exposed` where one is not to be used. No identity is ever
 * overwritten.
 */
export class State {
  readonly directory: string

  /** @param directory an absolute path; made at the first write, with mode 0700 */
  constructor(directory: string) {
    this.directory = directory
  }

  /** The guest's seed; undefined where there is none yet. */
  readGuest(): Uint8Array | undefined {
    return this.#readAs(this.#guestFile, undefined)?.seed
  }

  /** The guest's seed, made on first use. */
  loadGuest(random: Pick<Random, 'bytes'>): Uint8Array {
    const seed = this.readGuest()
    if (seed !== undefined) return seed
    const fresh = random.bytes(SeedBytes)
    if (createIdentityFile(this.#guestFile, { seed: fresh, room: undefined })) return fresh
    // Another process was quicker.
    return this.loadGuest(random)
  }

  /** The ids of the rooms that have an identity here, in order. */
  hostedRooms(): string[] {
    const rooms = join(this.directory, 'rooms')
    return onDisk(`cannot read ${rooms}`, () => {
      try {
        return readdirSync(rooms)
          .filter(isRoomId)
          .filter((room) => this.#hasIdentity(room))
          .sort()
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return []
        throw error
      }
    })
  }

  /** A hosted room's seed; undefined where the room is not hosted here. */
  readRoom(room: string): Uint8Array | undefined {
    return this.#readAs(this.#roomFile(room), room)?.seed
  }

  /**
   * Keeps a new room's identity.
   * @param seed 32 bytes, whose key's hash contains the id
   * @throws UsageError `identity-exists` where the room has another one
   */
  createRoom(room: string, seed: Uint8Array): void {
    this.#keep(this.#roomFile(room), { seed, room })
  }

  /** The id of the room that was hosted last, if its identity is still there. */
  lastRoom(): string | undefined {
    const bytes = this.#top.read('last-room')
    const room = bytes && fromUtf8(bytes)?.trim()
    return room !== undefined && isRoomId(room) && this.hostedRooms().includes(room) ? room : undefined
  }

  rememberLastRoom(room: string): void {
    this.#top.write('last-room', utf8(`${room}\n`))
  }

  /** What the host keeps for a room. */
  roomStore(room: string): Store {
    return new FileStore(join(this.#folder('rooms', room), 'data'))
  }

  /** What a guest keeps for a room. */
  guestStore(room: string): Store {
    return new FileStore(join(this.#folder('joined', room), 'data'))
  }

  /** @throws UsageError `locked` where another process hosts the room from this folder */
  lockRoom(room: string): Lock {
    return acquireLock(join(this.#folder('rooms', room), 'lock'), `room ${room}`)
  }

  /** @throws UsageError `locked` where another process is in the room as this guest */
  lockGuest(room: string): Lock {
    return acquireLock(join(this.#folder('joined', room), 'lock'), `a guest of room ${room}`)
  }

  /**
   * An identity as text, to carry elsewhere: a secret.
   * @param room a hosted room's id, or undefined for the guest's
   * @throws UsageError `identity-missing`
   */
  exportIdentity(room: string | undefined): string {
    const seed = room === undefined ? this.readGuest() : this.readRoom(room)
    if (seed !== undefined) return formatIdentity({ seed, room })
    const whose = room === undefined ? 'a guest identity' : `an identity for room ${room}`
    throw new UsageError('identity-missing', `${this.directory} does not have ${whose}`)
  }

  /**
   * Keeps an exported identity: a room's where the text names a room, else the guest's. Importing what is
   * there already is fine.
   * @param source what to call the text in errors
   * @returns whose it is
   * @throws UsageError `identity-invalid`; `identity-exists` where there is another one
   */
  importIdentity(text: string, source: string, crypto: Crypto): { readonly room: string | undefined } {
    const identity = parseIdentity(text, source)
    const { room, seed } = identity
    if (room !== undefined && !roomIdMatches(crypto, room, identityFromSeed(crypto, seed).publicKey)) {
      throw new UsageError('identity-invalid', `${source} has a key that cannot host room ${room}`)
    }
    this.#keep(room === undefined ? this.#guestFile : this.#roomFile(room), identity)
    return { room }
  }

  get #guestFile(): string {
    return join(this.directory, 'identity')
  }

  get #top(): FileStore {
    return new FileStore(this.directory)
  }

  #roomFile(room: string): string {
    return join(this.#folder('rooms', room), 'identity')
  }

  /** Ids become folder names: only canonical ones, whoever asks. */
  #folder(kind: 'rooms' | 'joined', room: string): string {
    if (!isRoomId(room)) throw new TypeError(`not a canonical room id: ${JSON.stringify(room)}`)
    return join(this.directory, kind, room)
  }

  #hasIdentity(room: string): boolean {
    return existsSync(this.#roomFile(room))
  }

  /** A file in the wrong place must not make a guest act with a room's key, or a room with another's. */
  #readAs(path: string, room: string | undefined): IdentityText | undefined {
    const identity = readIdentityFile(path)
    if (identity === undefined || identity.room === room) return identity
    const whose = identity.room === undefined ? "a guest's" : `room ${identity.room}'s`
    throw new UsageError('identity-invalid', `${path} is not a usable identity here: it is ${whose}`, {
      advice: 'Nothing was changed. Move the file to where it belongs',
    })
  }

  #keep(path: string, identity: IdentityText): void {
    if (createIdentityFile(path, identity)) return
    const found = this.#readAs(path, identity.room)
    if (found !== undefined && timingSafeEqual(found.seed, identity.seed)) return
    throw new UsageError('identity-exists', `${path} holds another identity, which stays as it is`, {
      advice: 'Export it and move it away first, or give another folder with --state',
    })
  }
}

function isRoomId(text: string): boolean {
  return /^[0-9a-f]{6,128}$/.test(text)
}
