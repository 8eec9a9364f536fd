/** A look at a room from within: joined as this machine's guest, by the way that a join takes, and left at once. */
import { GonetError } from '../../core/errors.js'
import type { Clock, Logger, Store } from '../../core/ports.js'
import type { RoomEvent } from '../../room/events.js'
import type { Room } from '../../room/room.js'
import type { LoadedConfig } from '../config/load-config.js'
import { openGuestRoom } from '../open-room.js'
import { State } from '../state.js'
import { failed, type Row, sayDuration, thrown } from './row.js'

export interface RoomCheckOptions {
  readonly loaded: LoadedConfig
  readonly state: State
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
  /** How long the join may take. */
  readonly timeoutMs: number
}

/** A room has its path before it is joined, or soon after. */
const PathMs = 2000

type Path = Extract<RoomEvent, { readonly event: 'path' }>

/**
 * Posts nothing: not even what waits in the state folder to be sent, which stays there.
 * @param reference as `join` takes it
 * @throws what `signal` is aborted with
 */
export async function checkRoom(reference: string, options: RoomCheckOptions): Promise<readonly Row[]> {
  const { clock, signal, timeoutMs } = options
  signal.throwIfAborted()
  const startedAt = clock.now()
  const visit = new Visit(() => clock.now() - startedAt)
  let room: Room
  try {
    const state = new StateOfVisitor(options.state.directory)
    room = await openGuestRoom(reference, { ...options, state, timeoutMs, abort: signal })
  } catch (error) {
    signal.throwIfAborted()
    return [thrownByRoom(error)]
  }
  const watching = visit.watch(room)
  let patience = (): void => undefined
  try {
    await room.ready
    const late = new Promise<void>((resolve) => {
      patience = clock.after(PathMs, resolve)
    })
    await Promise.race([visit.hasPath, late, watching])
    return visit.rows
  } catch (error) {
    signal.throwIfAborted()
    return [...visit.rows, thrownByRoom(error)]
  } finally {
    patience()
    await room.leave()
    await watching
  }
}

/** Whatever keeps a guest out fails: also what passes, such as a host that is away. */
function thrownByRoom(error: unknown): Row {
  return error instanceof GonetError ? failed('room', error) : thrown('room', error)
}

/** What a visit has seen, and when. */
class Visit {
  readonly hasPath: Promise<void>
  readonly #elapsed: () => number
  #foundPath = (): void => undefined
  #signalling: { readonly adapter: string; readonly ms: number } | undefined
  #joined: { readonly host: string; readonly ms: number } | undefined
  #path: Path | undefined

  constructor(elapsed: () => number) {
    this.#elapsed = elapsed
    this.hasPath = new Promise((resolve) => {
      this.#foundPath = resolve
    })
  }

  get rows(): readonly Row[] {
    const rows: Row[] = []
    if (this.#signalling !== undefined) {
      const { adapter, ms } = this.#signalling
      const detail = `${adapter} was up first, after ${sayDuration(ms)}`
      rows.push({ what: 'room: signalling', state: 'ok', detail, ms, facts: { adapter } })
    }
    if (this.#joined !== undefined) {
      const { host, ms } = this.#joined
      const detail = `${host} has let us in after ${sayDuration(ms)}`
      rows.push({ what: 'room: join', state: 'ok', detail, ms, facts: { host } })
      rows.push(pathRow(this.#path))
    }
    return rows
  }

  /** Never rejects: what ends the room is told by `ready`. */
  async watch(room: Room): Promise<void> {
    try {
      for await (const event of room.events) this.#see(event)
    } catch {
      // `ready` has failed with it.
    }
  }

  #see(event: RoomEvent): void {
    const ms = this.#elapsed()
    if (event.event === 'signalling' && event.state === 'up') {
      this.#signalling ??= { adapter: event.adapter, ms }
    } else if (event.event === 'joined') this.#joined = { host: event.host, ms }
    else if (event.event === 'path') this.#path = event
    if (this.#joined !== undefined && this.#path?.member === this.#joined.host) this.#foundPath()
  }
}

function pathRow(path: Path | undefined): Row {
  const what = 'room: path'
  if (path === undefined) return { what, state: 'warn', detail: 'none is known yet' }
  const { kind, remote, rttMs } = path
  const detail = `${kind} ${remote}, ${rttMs} ms there and back`
  if (kind !== 'relay') return { what, state: 'ok', detail, facts: { kind, remote, rttMs } }
  const advice = 'This is where it begins: a direct path may be found later'
  return { what, state: 'ok', detail, advice, facts: { kind, remote, rttMs } }
}

/** The user's state to read from. What a visit would keep, such as a host's key, it forgets. */
export class StateOfVisitor extends State {
  override guestStore(room: string): Store {
    return new VisitorStore(super.guestStore(room))
  }
}

/** What is kept of the chat stays unseen: a guest that knew of messages of its own would send them. */
const Unseen = 'chat'

class VisitorStore implements Store {
  readonly #kept: Store
  readonly #own = new Map<string, Uint8Array>()

  constructor(kept: Store) {
    this.#kept = kept
  }

  read(name: string): Uint8Array | undefined {
    return this.#own.get(name) ?? (name === Unseen ? undefined : this.#kept.read(name))
  }

  write(name: string, bytes: Uint8Array): void {
    this.#own.set(name, bytes)
  }

  append(name: string, bytes: Uint8Array): void {
    this.#own.set(name, Buffer.concat([this.read(name) ?? new Uint8Array(), bytes]))
  }

  remove(name: string): void {
    this.#own.set(name, new Uint8Array())
  }
}
