import {
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { GonetError } from '../../src/core/errors.js'
import { ControlClient } from '../../src/node/control/client.js'
import { findRunningRoom } from '../../src/node/control/find-running-room.js'
import { requests } from '../../src/node/control/requests/index.js'
import { RunFolder, type RunningRoom } from '../../src/node/control/run-folder.js'
import { ControlServer } from '../../src/node/control/server.js'
import { FakeRoom, ManualClock, StateFolder, silent } from './control-room.js'

const Room = 'cf83e1357eefb8bdf154'

let folder: StateFolder
let clock: ManualClock
let opened: { close(): unknown }[]

beforeEach(() => {
  folder = new StateFolder()
  clock = new ManualClock()
  opened = []
})
afterEach(async () => {
  for (const each of opened.reverse()) {
    const closed = each.close()
    clock.pass(2000)
    await closed
  }
  folder.remove()
})

async function serve(room = new FakeRoom(), role: 'host' | 'guest' = 'host'): Promise<ControlServer> {
  const server = new ControlServer({ state: folder.path, clock, logger: silent })
  opened.push(server)
  await server.open(room, role)
  return server
}

async function find(wanted?: string): Promise<ControlClient> {
  const { client } = await findRunningRoom(folder.path, wanted)
  opened.push(client)
  return client
}

function announced(): { readonly running: RunningRoom; readonly path: string } {
  const runFolder = new RunFolder(folder.path)
  const [running] = runFolder.announced()
  return { running: running!, path: runFolder.socketPath(running!) }
}

/** A client that says what it is told to. */
class RawClient {
  readonly socket: Socket
  text = ''
  readonly closed: Promise<void>

  constructor(path: string) {
    this.socket = connect(path)
    opened.push({ close: () => this.socket.destroy() })
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
    })
    this.socket.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()))
  }

  say(...lines: readonly unknown[]): this {
    for (const line of lines) {
      this.socket.write(`${typeof line === 'string' ? line : JSON.stringify(line)}\n`)
    }
    return this
  }

  get lines(): readonly Record<string, unknown>[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  async next(count: number): Promise<readonly Record<string, unknown>[]> {
    while (this.lines.length < count && !this.socket.destroyed) {
      await new Promise<void>((resolve) => {
        this.socket.once('data', () => resolve())
        this.socket.once('close', () => resolve())
      })
    }
    return this.lines
  }
}

describe('the requests', () => {
  it('are the files of their folder', async () => {
    const files = fileURLToPath(new URL('../../src/node/control/requests', import.meta.url))
    const names = readdirSync(files).filter((name) => name !== 'index.ts')
    const modules = await Promise.all(
      names.map((name) => import(join(files, name)) as Promise<Record<string, { readonly name?: string }>>),
    )
    const found = modules.flatMap((module) => Object.values(module)).filter((value) => 'handle' in value)
    expect(found.map(({ name }) => name).sort()).toEqual([...requests.keys()].sort())
    const docs = readFileSync(new URL('../../docs/control.md', import.meta.url), 'utf8')
    for (const name of requests.keys()) expect(docs).toContain(`| \`${name}\` |`)
  })

  it('say how the room is, and who is in it', async () => {
    const server = await serve()
    server.handleEvent({ event: 'signalling', adapter: 'mqtt', state: 'down', reason: 'why' })
    server.handleEvent({ event: 'room', room: Room, key: 'k', invite: 'gonet://…', address: '10.0.0.1' })
    server.handleEvent({ event: 'path', member: 'bob', kind: 'host', remote: '192.0.2.1:5', rttMs: 1 })
    const client = await find()
    expect(await client.request('status')).toEqual({
      room: Room,
      role: 'host',
      up: true,
      address: '10.0.0.1',
      invite: 'gonet://…',
      signalling: [{ adapter: 'mqtt', state: 'down', reason: 'why' }],
      members: 2,
      online: 2,
      asking: 1,
      undelivered: 0,
      pid: process.pid,
    })
    expect(await client.request('members')).toMatchObject({
      members: [
        { name: 'anna', self: true },
        { name: 'bob', self: false, path: { kind: 'host', remote: '192.0.2.1:5', rttMs: 1 } },
      ],
    })
  })

  it('send, and leave', async () => {
    const room = new FakeRoom()
    await serve(room)
    const client = await find()
    expect(await client.request('send', { text: 'hello' })).toEqual({ id: 'id 1' })
    await expect(client.request('send', { text: '' })).rejects.toMatchObject({
      name: 'UsageError',
      code: 'message-invalid',
      advice: 'Write something',
    })
    expect(await client.request('leave')).toEqual({})
    expect([room.sent, room.leaves]).toEqual([['hello'], 1])
  })

  it('ping, and do what a host does to others', async () => {
    const room = new FakeRoom()
    await serve(room)
    const client = await find()
    expect(await client.request('ping', { who: 'bob' })).toMatchObject({ name: 'bob', rttMs: 1.23 })
    expect(await client.request('ping', { who: 'anna' })).toMatchObject({ name: 'anna', rttMs: null })
    await expect(client.request('ping', { who: 'x' })).rejects.toMatchObject({ code: 'member-unknown' })
    for (const act of ['approve', 'deny', 'kick', 'ban', 'unban']) {
      expect(await client.request(act, { who: 'bob' })).toEqual({ name: 'bob', key: 'their key' })
    }
    expect(room.acts).toEqual(['approve bob', 'deny bob', 'kick bob', 'ban bob', 'unban bob'])
    expect(await client.request('asking')).toEqual({ asking: [{ name: 'cleo', key: 'cleos key' }] })
    expect(await client.request('bans')).toEqual({ bans: [] })
    await client.request('leave', { close: true })
    expect(room.isClosed).toBe(true)
  })

  it('follow what happens, until the room ends', async () => {
    const server = await serve()
    const events: unknown[] = []
    const [following, failing] = [await find(), await find()]
    const followed = following.request('chat', {}, (event) => events.push(event))
    const failed = failing.request('chat')
    await Promise.all([following.request('status'), failing.request('status')])
    server.handleEvent({ event: 'delivered', id: '1' })
    server.handleEvent({ event: 'left' })
    const ended = Promise.allSettled([followed, failed])
    await server.close(new GonetError('room-closed', 'The host has closed the room'))
    for (const end of await ended) expect(end).toMatchObject({ reason: { code: 'room-closed' } })
    expect(events).toEqual([{ event: 'delivered', id: '1' }, { event: 'left' }])
  })

  it('lose who follows and does not read', async () => {
    const server = await serve()
    const { path, running } = announced()
    const client = new RawClient(path).say({ gonet: 1, token: running.token }, { id: 1, request: 'chat' })
    client.say({ id: 2, request: 'status' })
    await client.next(2)
    client.socket.pause()
    const event = { event: 'delivered', id: 'x'.repeat(100_000) } as const
    for (let told = 0; told < 50; told++) server.handleEvent(event)
    client.socket.resume()
    await client.closed
    expect(client.text.length).toBeLessThan(50 * 100_000)
  })

  it('are refused with what is wrong', async () => {
    await serve()
    const client = await find()
    await expect(client.request('send')).rejects.toMatchObject({ code: 'request-invalid' })
    await expect(client.request('send', { text: 5 })).rejects.toThrow(
      /^The parameters of send are wrong: text/,
    )
    await expect(client.request('fly')).rejects.toMatchObject({ code: 'request-unknown' })
    await expect(client.request('__proto__')).rejects.toMatchObject({ code: 'request-unknown' })
    expect(await client.request('send', { text: 'hello' })).toEqual({ id: 'id 1' })
  })
})

describe('the run folder', () => {
  it('is for this user alone', async () => {
    await serve()
    const { path } = announced()
    const modes = [folder.run, path, path.replace(/sock$/, 'json')].map((each) => statSync(each).mode & 0o777)
    expect(modes).toEqual([0o700, 0o600, 0o600])
  })

  it.each([
    ['the folder', (): string => folder.run],
    ['the socket', (): string => announced().path],
    ['the note', (): string => announced().path.replace(/sock$/, 'json')],
  ])('is not used where %s is open to others', async (_, which) => {
    await serve()
    chmodSync(which(), 0o755)
    await expect(findRunningRoom(folder.path, undefined)).rejects.toMatchObject({ code: 'control-exposed' })
  })

  it('is not served in where it is open to others', async () => {
    const server = await serve()
    await server.close()
    chmodSync(folder.run, 0o750)
    await expect(serve()).rejects.toMatchObject({ code: 'control-exposed' })
  })

  it('has nothing left in it when the room has ended', async () => {
    const server = await serve()
    server.withdraw()
    expect(readdirSync(folder.run)).toEqual([])
    await server.close()
    await server.close()
  })

  it('stays empty where a room ends while it is opened', async () => {
    const server = new ControlServer({ state: folder.path, clock, logger: silent })
    const opening = server.open(new FakeRoom(), 'host')
    server.withdraw()
    await opening
    expect(readdirSync(folder.run)).toEqual([])
  })

  it('takes no note but its own', async () => {
    await serve()
    const { path } = announced()
    writeFileSync(join(folder.run, '0123456789abcdef.json'), readFileSync(path.replace(/sock$/, 'json')), {
      mode: 0o600,
    })
    for (const [name, text] of Object.entries({
      '0000000000000001.json': '{"role":"host"',
      '0000000000000002.json': 'null',
      '0000000000000003.json': `{"role":"host","room":"../../x","token":"${'0'.repeat(64)}","pid":1}`,
      '0000000000000004.json': ' '.repeat(5000),
    })) {
      writeFileSync(join(folder.run, name), text, { mode: 0o600 })
    }
    expect(new RunFolder(folder.path).announced()).toHaveLength(1)
    symlinkSync('/etc/passwd', join(folder.run, '0000000000000005.json'))
    expect(() => new RunFolder(folder.path).announced()).toThrow(/cannot read/)
  })

  it('says that a path is too long for a socket', () => {
    const deep = new RunFolder(join(folder.path, 'x'.repeat(100)))
    expect(() => deep.prepare('host', Room)).toThrow(expect.objectContaining({ code: 'control-unavailable' }))
  })
})

describe('finding the room that is meant', () => {
  it('takes the only one, a prefix, or a role', async () => {
    await serve()
    await serve(new FakeRoom('ed4242ead4ac69486ebb'))
    await serve(new FakeRoom('ed4242ead4ac69486ebb'), 'guest')
    expect(await (await find('CF83-E1')).request('status')).toMatchObject({ room: Room })
    expect(await (await find('guest:')).request('status')).toMatchObject({ role: 'guest' })
    expect(await (await find('host:ed42')).request('status')).toMatchObject({ role: 'host' })
    await expect(find()).rejects.toThrow(/^3 rooms that run here can be meant: .*guest:ed42-42ea/)
    await expect(find('ed')).rejects.toMatchObject({ code: 'room-unclear' })
    await expect(find('aa')).rejects.toMatchObject({ code: 'no-running-room' })
    await expect(find('x')).rejects.toMatchObject({ code: 'room-option-invalid' })
    await expect(find('')).rejects.toMatchObject({ code: 'room-option-invalid' })
  })

  it('passes over rooms that have died', async () => {
    await serve()
    const { path, running } = announced()
    const note = path.replace(/sock$/, 'json')
    // As a process leaves them that is killed.
    renameSync(path, `${path}~`)
    await opened.pop()!.close()
    renameSync(`${path}~`, path)
    writeFileSync(note, JSON.stringify(running), { mode: 0o600 })
    await expect(find()).rejects.toMatchObject({ code: 'no-running-room' })
    await serve()
    expect(await (await find()).request('status')).toMatchObject({ room: Room })
  })
})

describe('a client that is not gonet', () => {
  it('is refused without the token, of another version, or with no hello', async () => {
    await serve()
    const { path, running } = announced()
    for (const [hello, code] of [
      [{ gonet: 1, token: '0'.repeat(64) }, 'control-denied'],
      [{ gonet: 1, token: '' }, 'control-denied'],
      [{ gonet: 2, token: running.token }, 'control-version'],
      [{ gonet: 1 }, 'request-invalid'],
      ['GET / HTTP/1.1', 'request-invalid'],
      ['[]', 'request-invalid'],
    ] as const) {
      const client = new RawClient(path).say(hello, { id: 1, request: 'leave' })
      expect(await client.next(1)).toMatchObject([{ id: null, error: { code } }])
      await client.closed
      expect(client.lines).toHaveLength(1)
    }
    const silentOne = new RawClient(path)
    await new Promise((resolve) => silentOne.socket.once('connect', resolve))
    await find()
    clock.pass(5000)
    await silentOne.closed
    expect(silentOne.text).toBe('')
  })

  it('may say what makes no sense, and goes on', async () => {
    await serve()
    const { path, running } = announced()
    const client = new RawClient(path).say(
      { gonet: 1, token: running.token },
      'nonsense',
      { id: 'x', request: 'status' },
      { id: 1.5, request: 'status' },
      { id: 1 },
      { id: 2, request: 'send', parameters: { text: 'hello' } },
    )
    const lines = await client.next(6)
    expect(lines[0]).toEqual({ gonet: 1, room: Room, role: 'host' })
    for (const line of lines.slice(1, 5))
      expect(line).toMatchObject({ id: null, error: { code: 'request-invalid' } })
    expect(lines[5]).toEqual({ id: 2, result: { id: 'id 1' } })
  })

  it('is let go when a line is too long, when it asks nothing, and when too many are there', async () => {
    await serve()
    const { path, running } = announced()
    const huge = new RawClient(path).say({ gonet: 1, token: running.token }, 'x'.repeat(40_000))
    await huge.closed
    expect(huge.lines.at(-1)).toMatchObject({ id: null, error: { code: 'request-too-long' } })
    const idle = new RawClient(path).say({ gonet: 1, token: running.token })
    await idle.next(1)
    clock.pass(59_000)
    await idle.say({ id: 1, request: 'status' }).next(2)
    clock.pass(59_000)
    expect(idle.socket.destroyed).toBe(false)
    clock.pass(1000)
    await idle.closed
    const many = Array.from({ length: 40 }, () => new RawClient(path).say({ gonet: 1, token: running.token }))
    await Promise.all(many.map((each) => each.next(1)))
    expect(many.filter(({ text }) => text !== '')).toHaveLength(32)
  })
})
