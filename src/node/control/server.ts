/**
 * The control socket of a running room (docs/control.md). It is there while the room's lock is held, so that a room
 * that runs later never finds it gone, or has its own taken away.
 */
import { randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import { UsageError } from '../../core/errors.js'
import type { Clock, Logger } from '../../core/ports.js'
import type { RoomEvent } from '../../room/events.js'
import type { Room } from '../../room/room.js'
import { ControlConnection } from './connection.js'
import { requests } from './requests/index.js'
import { RoomView } from './room-view.js'
import { RunFolder, type RunningRoom } from './run-folder.js'

const ConnectionsMax = 32

export interface ControlServerOptions {
  /** The state folder. */
  readonly state: string
  readonly clock: Clock
  readonly logger: Logger
}

/** Serves one room. */
export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #folder: RunFolder
  readonly #view = new RoomView()
  readonly #connections = new Set<ControlConnection>()
  #server: Server | undefined
  #running: RunningRoom | undefined
  #isWithdrawn = false
  #isClosed: (() => void) | undefined

  constructor(options: ControlServerOptions) {
    this.#options = options
    this.#folder = new RunFolder(options.state)
  }

  /**
   * Listens. Call it once, while the room is locked.
   * @throws UsageError `control-unavailable`, `control-exposed`; GonetError `store-failed`
   */
  async open(room: Room, role: 'host' | 'guest'): Promise<void> {
    const { clock, logger } = this.#options
    const path = this.#folder.prepare(role, room.id)
    const running = { role, room: room.id, token: randomBytes(32).toString('hex'), pid: process.pid }
    const options = { running, requests, room, role, view: this.#view, clock, logger }
    const server = createServer((socket) => {
      const connection = new ControlConnection(socket, options, () => {
        this.#connections.delete(connection)
        if (this.#connections.size === 0) this.#isClosed?.()
      })
      this.#connections.add(connection)
    })
    server.maxConnections = ConnectionsMax
    this.#server = server
    await listen(server, path)
    // The room may have ended meanwhile.
    if (this.#isWithdrawn) return
    this.#running = running
    this.#folder.announce(running)
  }

  handleEvent(event: RoomEvent): void {
    this.#view.handleEvent(event)
  }

  /** Lets nobody in any more, and takes the socket away: before the room's lock is released. Idempotent. */
  withdraw(): void {
    this.#isWithdrawn = true
    // This removes the socket, too.
    this.#server?.close()
    if (this.#running !== undefined) this.#folder.withdraw(this.#running)
    this.#running = undefined
  }

  /** The room has ended: clients hear of it, and are let go. Resolves when they are gone. Idempotent. */
  async close(failure?: Error): Promise<void> {
    this.withdraw()
    this.#view.end(failure)
    const closed = new Promise<void>((resolve) => {
      this.#isClosed = resolve
    })
    for (const connection of this.#connections) connection.end()
    if (this.#connections.size > 0) await closed
  }
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) =>
      reject(new UsageError('control-unavailable', `Cannot listen on ${path}`, { cause: error })),
    )
    server.once('close', resolve)
    server.listen(path, resolve)
  })
}
