import { describe, expect, it } from 'vitest'
import type { InputLine } from '../../src/cli/input-lines.js'
import type { Output } from '../../src/cli/output/output.js'
import { runSession, type SessionOptions } from '../../src/cli/session.js'
import { GonetError, UsageError } from '../../src/core/errors.js'
import { EventQueue } from '../../src/node/event-queue.js'
import type { NewInvite } from '../../src/room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../src/room/admission/invite-register.js'
import type { RoomEvent } from '../../src/room/events.js'

const joined: RoomEvent = { event: 'joined', room: 'cf83e1357eefb8bdf154', address: '10.0.0.2', host: 'bob' }

/** Enough turns of the event loop for everything that waits for nothing else. */
async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}

class FakeRoom {
  readonly queue = new EventQueue<RoomEvent>()
  readonly sent: string[] = []
  readonly acts: string[] = []
  readonly asking = []
  readonly bans = []
  readonly invites = []
  undelivered = 0
  leaves = 0

  get events(): AsyncIterable<RoomEvent> {
    return this.queue
  }

  send(text: string): string {
    if (text === 'invalid') throw new UsageError('message-invalid', 'No')
    this.sent.push(text)
    this.undelivered += 1
    return String(this.sent.length)
  }

  administer(act: string, who: string): { readonly name: string; readonly key: string } {
    this.acts.push(`${act} ${who}`)
    if (who === 'nobody') throw new UsageError('member-unknown', 'There is nobody here called nobody')
    return { name: who, key: 'their key' }
  }

  invite(options: InviteOptions): NewInvite {
    const { once = false, expiresInMs: expiresAtMs, name } = options
    this.acts.push(`invite ${String(once)} ${String(expiresAtMs)} ${String(name)}`)
    return { id: '1234abcd', link: 'gonet://link', state: 'open', once, expiresAtMs, name, usedBy: [] }
  }

  revokeInvite(id: string): Invite {
    this.acts.push(`revoke ${id}`)
    return { id, state: 'revoked', once: true, expiresAtMs: undefined, name: undefined, usedBy: [] }
  }

  deliverAll(): void {
    this.undelivered = 0
    this.queue.push({ event: 'delivered', id: String(this.sent.length) })
  }

  leave(): Promise<void> {
    this.leaves += 1
    this.queue.push({ event: 'left' })
    this.queue.end()
    return Promise.resolve()
  }
}

class FakeOutput implements Output {
  readonly events: RoomEvent[] = []
  readonly notices: string[] = []
  full = false

  event(event: RoomEvent): void {
    this.events.push(event)
  }

  notice(text: string): void {
    this.notices.push(text)
  }

  drained(signal: AbortSignal): Promise<void> {
    if (!this.full || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
  }

  close(): void {
    // Nothing to restore.
  }
}

function start(overrides: Partial<SessionOptions> = {}) {
  const room = new FakeRoom()
  const output = new FakeOutput()
  const lines = new EventQueue<InputLine>()
  const timers = new Map<number, () => void>()
  const leave = new AbortController()
  const session = runSession({
    room,
    role: 'guest',
    output,
    lines,
    interactive: false,
    stay: false,
    clock: {
      after: (delayMs, callback) => {
        timers.set(delayMs, callback)
        return () => timers.delete(delayMs)
      },
    },
    leave: leave.signal,
    ...overrides,
  })
  let isOver = false
  const over = session.then(
    () => {
      isOver = true
    },
    () => {
      isOver = true
    },
  )
  const type = (...texts: string[]): void => {
    for (const text of texts) lines.push({ text })
  }
  return { room, output, lines, timers, leave, session, type, over, isOver: () => isOver }
}

describe('a session', () => {
  it('keeps lines until the room is joined, then sends them in order', async () => {
    const { room, type } = start()
    type('one', 'two')
    await settled()
    expect(room.sent).toEqual([])
    room.queue.push(joined)
    await settled()
    type('three')
    await settled()
    expect(room.sent).toEqual(['one', 'two', 'three'])
  })

  it('holds 1,000 lines before it is joined, and loses none beyond', async () => {
    const { room, type, lines } = start()
    type(...Array.from({ length: 1500 }, (_, index) => String(index)))
    lines.end()
    await settled()
    room.queue.push(joined)
    await settled(1100)
    expect(room.sent).toHaveLength(1000)
    room.deliverAll()
    await settled(600)
    expect(room.sent).toEqual(Array.from({ length: 1500 }, (_, index) => String(index)))
  })

  it('says which lines it refuses, and goes on', async () => {
    const { room, output, lines, type } = start()
    room.queue.push(joined)
    lines.push({ refused: 'line 1 was not sent: odd' })
    type('invalid', 'fine')
    await settled()
    expect(room.sent).toEqual(['fine'])
    expect(output.notices).toEqual(['gonet: line 1 was not sent: odd', 'gonet: a message was not sent: No'])
  })

  it('as guest leaves when stdin has ended and all is delivered', async () => {
    const { room, lines, type, session, timers, isOver } = start()
    type('one')
    lines.end()
    room.queue.push(joined)
    await settled()
    expect([room.leaves, isOver(), timers.size]).toEqual([0, false, 1])
    room.deliverAll()
    await session
    expect([room.leaves, timers.size]).toEqual([1, 0])
  })

  it('as guest leaves at once where there was nothing to send', async () => {
    const { room, lines, session } = start()
    lines.end()
    await settled()
    expect(room.leaves).toBe(0)
    room.queue.push(joined)
    await session
    expect(room.leaves).toBe(1)
  })

  it('as guest gives up on delivery after 10 s, and says so', async () => {
    const { room, lines, type, session, timers } = start()
    type('one', 'two')
    lines.end()
    room.queue.push(joined)
    await settled()
    timers.get(10_000)!()
    await expect(session).rejects.toMatchObject({
      code: 'undelivered',
      message: '2 messages were not delivered to every member in time',
    })
  })

  it('stays with --stay, and as host, until it is told to leave', async () => {
    for (const overrides of [{ stay: true }, { role: 'host' as const }]) {
      const { room, lines, type, session, leave, timers, isOver } = start(overrides)
      type('one')
      lines.end()
      room.queue.push(joined)
      await settled()
      room.deliverAll()
      await settled()
      expect([room.sent, room.leaves, isOver(), timers.size]).toEqual([['one'], 0, false, 0])
      leave.abort()
      await session
      expect(room.leaves).toBe(1)
    }
  })

  it('leaves without complaint when told to, whatever is undelivered', async () => {
    const { room, type, session, leave } = start()
    room.queue.push(joined)
    type('one')
    await settled()
    leave.abort()
    await session
    expect(room.leaves).toBe(1)
  })

  it('leaves when told to before the room is joined, or before it began', async () => {
    const first = start()
    await settled()
    first.leave.abort()
    await first.session
    const second = start({ leave: AbortSignal.abort() })
    await second.session
    expect([first.room.leaves, second.room.leaves]).toEqual([1, 1])
  })

  it('leaves when told to although nobody reads its output', async () => {
    const { room, output, session, leave } = start()
    output.full = true
    room.queue.push(joined)
    room.queue.push({ event: 'error', code: 'late', message: 'unseen so far' })
    await settled()
    expect(output.events).toEqual([joined])
    leave.abort()
    await session
    expect(output.events.at(-1)).toEqual({ event: 'left' })
  })

  it('ends where whoever types has nothing more to say', async () => {
    const host = start({ role: 'host', interactive: true })
    host.room.queue.push(joined)
    host.lines.end()
    await host.session
    const guest = start({ interactive: true })
    guest.lines.end()
    await guest.session
    expect([host.room.leaves, guest.room.leaves]).toEqual([1, 1])
  })

  it('throws what ended the room', async () => {
    const { room, session } = start()
    room.queue.end(new GonetError('no-path', 'No path'))
    await expect(session).rejects.toMatchObject({ code: 'no-path' })
  })

  it('leaves, and throws, where sending fails in a way nobody expects', async () => {
    const { room, type, session } = start()
    room.send = () => {
      throw new TypeError('a bug')
    }
    room.queue.push(joined)
    type('one')
    await expect(session).rejects.toThrow('a bug')
    expect(room.leaves).toBe(1)
  })
})

describe('lines that invite', () => {
  const said = async (
    line: string,
  ): Promise<{ readonly acts: readonly string[]; readonly notices: readonly string[] }> => {
    const { room, output, type } = start({ role: 'host', interactive: true })
    room.queue.push(joined)
    type(line)
    await settled()
    return { acts: room.acts, notices: output.notices }
  }

  it.each([
    ['/invite', 'invite false undefined undefined'],
    ['/invite once', 'invite true undefined undefined'],
    ['/invite 90m', 'invite false 5400000 undefined'],
    ['/invite once 1h for Anna Maria', 'invite true 3600000 Anna Maria'],
    ['/invite for once', 'invite false undefined once'],
    ['/revoke 1234abcd', 'revoke 1234abcd'],
  ])('%s', async (line, act) => {
    expect((await said(line)).acts).toEqual([act])
  })

  it('say the link, and what was not understood', async () => {
    expect((await said('/invite once')).notices[0]).toContain("gonet join 'gonet://link'")
    for (const line of ['/invite twice', '/invite 1w', '/invite 0h', '/invite once for', '/invite 1h once']) {
      const { acts, notices } = await said(line)
      expect([line, acts]).toEqual([line, []])
      expect(notices[0]).toContain('that was not done')
    }
  })
})
