/** A running room, as the control socket sees it, and a folder for the socket. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../../src/core/errors.js'
import type { Clock, Logger } from '../../src/core/ports.js'
import type { NewInvite } from '../../src/room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../src/room/admission/invite-register.js'
import type { RoomEvent } from '../../src/room/events.js'
import { findMember, type Named } from '../../src/room/find-member.js'
import type { Room } from '../../src/room/room.js'
import type { LeaveOptions } from '../../src/room/room-machine.js'

export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export class FakeRoom implements Room {
  readonly namespace = undefined
  readonly id: string
  readonly ready: Promise<void> = Promise.resolve()
  readonly events: AsyncIterable<RoomEvent> = none()
  readonly messages: AsyncIterable<never> = none()
  readonly asking: readonly Named[] = [{ name: 'cleo', key: 'cleos key' }]
  readonly bans: Room['bans'] = []
  readonly invites: Invite[] = []
  readonly sent: string[] = []
  readonly acts: string[] = []
  readonly undelivered = 0
  leaves = 0
  isClosed = false

  constructor(id = 'cf83e1357eefb8bdf154') {
    this.id = id
  }

  readonly members: Room['members'] = ['anna', 'bob'].map((name, index) => {
    const [address, address6] = [`10.0.0.${index + 1}`, `fd00::${index + 1}`]
    return { name, key: `${name}s key`, address, address6, online: true, host: index === 0 }
  })

  send(text: string): string {
    if (text === '')
      throw new UsageError('message-invalid', 'An empty message', { advice: 'Write something' })
    this.sent.push(text)
    return `id ${this.sent.length}`
  }

  administer(act: string, who: string): Named {
    this.acts.push(`${act} ${who}`)
    return { name: who, key: 'their key' }
  }

  invite({ once = false, name }: InviteOptions = {}): NewInvite {
    const id = `0000000${this.invites.length}`
    const made = { id, state: 'open', once, expiresAtMs: undefined, name, usedBy: [] } as const
    this.invites.push(made)
    return { ...made, link: `gonet://join/${this.id}?invite=${id}` }
  }

  revokeInvite(id: string): Invite {
    const index = this.invites.findIndex((each) => each.id === id)
    const invite = this.invites[index]
    if (invite === undefined) throw new UsageError('invite-unknown', `There is no invite ${id}`)
    this.invites[index] = { ...invite, state: 'revoked' }
    return { ...invite, state: 'revoked' }
  }

  ping(who: string): ReturnType<Room['ping']> {
    return Promise.resolve({
      member: findMember(this.members, who),
      rttMs: who === 'bob' ? 1.2345 : undefined,
    })
  }

  leave({ close = false }: LeaveOptions = {}): Promise<void> {
    this.leaves += 1
    this.isClosed ||= close
    return Promise.resolve()
  }
}

/** Time that passes when it is told to. */
export class ManualClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>()

  now(): number {
    return this.#now
  }

  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  pass(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now || !this.#timers.delete(timer)) continue
      timer.callback()
    }
  }
}

export class StateFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'gonet-control-'))

  get run(): string {
    return join(this.path, 'run')
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

async function* none(): AsyncGenerator<never, void, undefined> {
  // Nothing happens.
}
