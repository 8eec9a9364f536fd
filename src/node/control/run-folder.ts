/**
 * Where a running room can be reached: `<state>/run/<name>.sock`, and `<name>.json`, which says whose it is and holds
 * the token that a client must have read. Whoever can read that file is this user, or root (docs/decisions/0013).
 */
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'
import { UsageError } from '../../core/errors.js'
import { FileStore, hasCode, onDisk } from '../file-store.js'

/** The kernel has 108 bytes for a socket's path, others 104, with a zero at the end. */
const SocketPathBytesMax = 103
const NoteBytesMax = 4096
/** Rooms that are looked at. */
const RoomsMax = 256

export interface RunningRoom {
  readonly role: 'host' | 'guest'
  /** Canonical room id. */
  readonly room: string
  /** Secret, 32 bytes in hex: different for each run. */
  readonly token: string
  readonly pid: number
}

export class RunFolder {
  readonly #directory: string

  /** @param state the state folder */
  constructor(state: string) {
    this.#directory = join(state, 'run')
  }

  /**
   * Makes the folder, and the place for a socket in it: what a run before has left is removed. Call it while the
   * room is locked.
   * @returns the socket's path
   * @throws UsageError `control-unavailable`, `control-exposed`; GonetError `store-failed`
   */
  prepare(role: 'host' | 'guest', room: string): string {
    if (process.getuid === undefined) {
      throw new UsageError('control-unavailable', 'This system has no users that could be told apart')
    }
    const socket = join(this.#directory, `${nameOf(role, room)}.sock`)
    if (Buffer.byteLength(socket) > SocketPathBytesMax) {
      throw new UsageError('control-unavailable', `The path ${socket} is too long for a socket`, {
        advice: 'Give a state folder with a shorter path by --state',
      })
    }
    onDisk(`cannot write ${this.#directory}`, () => {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 })
      checkOwn(this.#directory, lstatSync(this.#directory), 'isDirectory')
      rmSync(this.#notePath(role, room), { force: true })
      rmSync(socket, { force: true })
    })
    return socket
  }

  /** Tells of a room whose socket is there. @throws GonetError `store-failed` */
  announce(running: RunningRoom): void {
    const { role, room } = running
    chmodSync(this.socketPath(running), 0o600)
    const note = Buffer.from(`${JSON.stringify(running)}\n`)
    new FileStore(this.#directory).write(`${nameOf(role, room)}.json`, note)
  }

  /** Takes back what `announce` told, and the socket. Never throws: what stays is replaced by the next run. */
  withdraw({ role, room }: Pick<RunningRoom, 'role' | 'room'>): void {
    for (const path of [this.#notePath(role, room), this.socketPath({ role, room })]) {
      try {
        rmSync(path, { force: true })
      } catch {
        // A folder that has gone, or is not ours any more.
      }
    }
  }

  socketPath({ role, room }: Pick<RunningRoom, 'role' | 'room'>): string {
    return join(this.#directory, `${nameOf(role, room)}.sock`)
  }

  /**
   * The rooms that told of themselves, those of dead processes among them.
   * @throws UsageError `control-exposed` where the folder is not this user's alone
   */
  announced(): readonly RunningRoom[] {
    return onDisk(`cannot read ${this.#directory}`, () => {
      let names: string[]
      try {
        checkOwn(this.#directory, lstatSync(this.#directory), 'isDirectory')
        names = readdirSync(this.#directory)
      } catch (error) {
        if (hasCode(error, 'ENOENT')) return []
        throw error
      }
      const notes = names.filter((name) => /^[0-9a-f]{16}\.json$/.test(name)).sort()
      return notes.slice(0, RoomsMax).flatMap((name) => this.#read(name))
    })
  }

  #read(name: string): readonly RunningRoom[] {
    const text = readOwn(join(this.#directory, name))
    const running = text === undefined ? undefined : parseNote(text)
    // A note lies under its own name, or leads to another's socket.
    if (running === undefined || name !== `${nameOf(running.role, running.room)}.json`) return []
    try {
      const socket = this.socketPath(running)
      checkOwn(socket, lstatSync(socket), 'isSocket')
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return []
      throw error
    }
    return [running]
  }

  #notePath(role: 'host' | 'guest', room: string): string {
    return join(this.#directory, `${nameOf(role, room)}.json`)
  }
}

/** Short, however long the room id is, and different for a host and a guest of one room. */
function nameOf(role: string, room: string): string {
  return createHash('sha256').update(`${role} ${room}`).digest('hex').slice(0, 16)
}

function readOwn(path: string): string | undefined {
  let descriptor: number
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    // It went in this moment.
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const stats = fstatSync(descriptor)
    checkOwn(path, stats, 'isFile')
    return stats.size > NoteBytesMax ? undefined : readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

function parseNote(text: string): RunningRoom | undefined {
  let note: unknown
  try {
    note = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof note !== 'object' || note === null) return undefined
  const { role, room, token, pid } = note as Partial<Record<keyof RunningRoom, unknown>>
  if (role !== 'host' && role !== 'guest') return undefined
  if (typeof room !== 'string' || !/^[0-9a-f]{6,128}$/.test(room)) return undefined
  if (typeof token !== 'string' || !/^[0-9a-f]{64}$/.test(token)) return undefined
  return typeof pid === 'number' && Number.isInteger(pid) ? { role, room, token, pid } : undefined
}

/** Root may talk to everybody's rooms. */
function checkOwn(path: string, stats: Stats, kind: 'isDirectory' | 'isFile' | 'isSocket'): void {
  const user = process.geteuid?.()
  const isOwn = stats.uid === user || user === 0
  if (isOwn && stats[kind]() && (stats.mode & 0o077) === 0) return
  throw new UsageError('control-exposed', `${path} is not this user's alone`, {
    advice: `Remove it where you did not open it to others on purpose; folders need mode 700, files 600`,
  })
}
