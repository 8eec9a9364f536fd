/** A host and its guests as users run them, over mosquitto on loopback. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { complaints, type Running, Workbench } from './workbench.js'

let broker: Mosquitto
let url: string
let bench: Workbench

beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

/** Each peer has a state folder of its own, by its name. */
function start(name: string, ...args: readonly string[]): Running {
  return bench.start(
    '--signal',
    'mqtt',
    `--set=adapters.mqtt.url=${url}`,
    '--state',
    name,
    '--name',
    name,
    ...args,
  )
}

async function openRoom(): Promise<{ host: Running; room: string; invite: string; key: string }> {
  const host = start('host', '--json', 'create')
  const { room, invite = '', key } = await host.next('room')
  return { host, room, invite, key }
}

describe.skipIf(mosquittoMissing !== undefined)('a room', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
    url = `mqtt://127.0.0.1:${broker.port}`
  })
  afterAll(() => broker.close())

  it('brings a host and two guests together', async () => {
    const host = start('host', '--json', 'create')
    const opened = await host.next('room')
    expect(opened.room).toMatch(/^[0-9a-f]{20}$/)
    expect(opened.invite).toMatch(new RegExp(`^gonet://join/${opened.room}\\?key=[^&]+&signal=mqtt$`))
    const [alice, bob] = [
      start('alice', '--json', 'join', opened.room),
      start('bob', 'join', opened.room.replace(/(.{4})/g, '$1-').toUpperCase(), '--json'),
    ]
    const joined = await alice.next('joined')
    expect(joined).toMatchObject({ room: opened.room, host: 'host' })
    await bob.next('joined')

    alice.type('from alice')
    expect(await host.next('message')).toMatchObject({
      from: 'alice',
      text: 'from alice',
      address: joined.address,
    })
    expect(await bob.next('message')).toMatchObject({ from: 'alice', text: 'from alice' })
    await alice.next('delivered')
    host.type('from the host: \u00e9 \u6f22 \u{1f600}')
    for (const guest of [alice, bob]) {
      const { from, text } = await guest.next('message')
      expect([from, text]).toEqual(['host', 'from the host: \u00e9 \u6f22 \u{1f600}'])
    }
    await host.next('delivered')

    bob.end('the last line, without a newline')
    expect(await host.next('message')).toMatchObject({
      from: 'bob',
      text: 'the last line, without a newline',
    })
    expect((await bob.finished).code).toBe(0)
    await host.next('member', ({ state, name }) => state === 'left' && name === 'bob')
    await alice.next('member', ({ state, name }) => state === 'left' && name === 'bob')

    host.signal('SIGTERM')
    const ended = await host.finished
    expect([ended.code, complaints(ended.stderr)]).toEqual([0, []])
    expect(host.events.at(-1)).toEqual({ event: 'left' })
    await alice.next('member', ({ state, name }) => state === 'left' && name === 'host')
    alice.signal('SIGINT')
    expect((await alice.finished).code).toBe(0)
    expect(alice.events.at(-1)).toEqual({ event: 'left' })
    const texts = alice.events.flatMap((event) => (event.event === 'message' ? [event.text] : []))
    expect(texts).toEqual(['from the host: \u00e9 \u6f22 \u{1f600}', 'the last line, without a newline'])
  })

  it('reads in pipes as lines', async () => {
    const host = start('host', '--plain', 'create')
    const command = await host.line(/^\* others join with: /)
    const room = command.split(' ').at(-1)!
    const guest = start('alice', '--plain', 'join', room)
    await guest.line(/^\* joined room /)
    await host.line(/^\* alice joined /)
    guest.type('hello')
    expect(await host.line(/^alice: /)).toBe('alice: hello')
    host.type('* not an event')
    expect(await guest.line(/^host: /)).toBe('host: * not an event')
    guest.end()
    await host.line(/^\* alice left/)
    const { code, stderr } = await guest.finished
    expect([code, complaints(stderr)]).toEqual([0, []])
    for (const line of guest.lines) expect(line).toMatch(/^(\* |host: )/)
  })

  it('is found by its link and by the key of its host', async () => {
    const { host, invite, key } = await openRoom()
    for (const [name, reference] of [
      ['alice', invite],
      ['bob', key],
    ] as const) {
      const guest = start(name, '--json', reference)
      guest.end(`by ${name}\n`)
      expect(await host.next('message')).toMatchObject({ from: name, text: `by ${name}` })
      expect((await guest.finished).code).toBe(0)
    }
  })

  it('keeps its id, and a guest its key, from one run to the next', async () => {
    const first = await openRoom()
    first.host.signal('SIGINT')
    await first.host.finished
    const again = await openRoom()
    expect([again.room, again.key]).toEqual([first.room, first.key])
    const other = start('host', '--json', 'create', '--new')
    const { room } = await other.next('room')
    expect(room).not.toBe(first.room)
  })

  it('shows nobody escape sequences, and loses nothing of them', async () => {
    const host = start('host', '--plain', 'create')
    const room = (await host.line(/^\* others join with: /)).split(' ').at(-1)!
    const [sender, reader] = [start('alice', '--json', room), start('bob', '--json', room)]
    await Promise.all([sender.next('joined'), reader.next('joined')])
    const evil = '\u001b]0;title\u0007\u001b[2Jred\u009b31m\u202e'
    sender.type(evil)
    expect(await reader.next('message')).toMatchObject({ text: evil })
    const line = await host.line(/^alice: /)
    expect(line).not.toMatch(/[\p{Cc}\p{Bidi_Control}]/u)
    expect(reader.stdout).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
  })

  it('refuses lines that cannot be messages, and sends the others', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', 'join', room)
    const lines = ['first\n', `${'x'.repeat(4097)}\n`, '\n', `${'y'.repeat(4096)}\n`]
    guest.end(
      Buffer.concat([...lines.map((line) => Buffer.from(line)), Buffer.of(0xff, 0x0a), Buffer.from('last')]),
    )
    const { code, stderr } = await guest.finished
    expect(code).toBe(0)
    expect(complaints(stderr)).toEqual([
      'gonet: line 2 was not sent: it has 4097 bytes, and 4096 is the most',
      'gonet: line 5 was not sent: it is not valid UTF-8',
    ])
    const texts = [await host.next('message'), await host.next('message'), await host.next('message')]
    expect(texts.map(({ text }) => text)).toEqual(['first', 'y'.repeat(4096), 'last'])
  })

  it('delivers a thousand lines that were typed before the join, in order', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', 'join', room)
    guest.end(Array.from({ length: 1000 }, (_, index) => `line ${index}\n`).join(''))
    expect((await guest.finished).code).toBe(0)
    await host.next('member', ({ state }) => state === 'left')
    const texts = host.events.flatMap((event) => (event.event === 'message' ? [event.text] : []))
    expect(texts).toEqual(Array.from({ length: 1000 }, (_, index) => `line ${index}`))
  }, 40_000)

  it('holds a guest with --stay, whose stdin has ended', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', '--stay', 'join', room)
    guest.end('first\n')
    await host.next('message')
    await guest.next('delivered')
    host.type('still there?')
    expect(await guest.next('message')).toMatchObject({ text: 'still there?' })
    guest.signal('SIGTERM')
    expect((await guest.finished).code).toBe(0)
  })

  it('sees a guest leave whose reader has gone', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', 'join', room)
    await guest.next('joined')
    await host.next('member', ({ state }) => state === 'joined')
    guest.child.stdout!.destroy()
    host.type('to nobody')
    await host.next('member', ({ state }) => state === 'left')
    const { code, stderr } = await guest.finished
    expect([code, complaints(stderr)]).toEqual([0, []])
  })

  it('is left at once by a second signal', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', 'join', room)
    await guest.next('joined')
    await host.next('member')
    // A guest that does not answer keeps the host saying goodbye.
    guest.signal('SIGSTOP')
    host.signal('SIGINT')
    await sleep(200)
    host.signal('SIGINT')
    expect((await host.finished).code).toBe(130)
  })

  it('tells a guest what it could not deliver', async () => {
    const { host, room } = await openRoom()
    const guest = start('alice', '--json', 'join', room)
    await guest.next('joined')
    await host.next('member')
    host.signal('SIGSTOP')
    guest.end('into the void\n')
    const { code, stderr } = await guest.finished
    expect(code).toBe(8)
    expect(complaints(stderr)).toHaveLength(1)
    expect(guest.events).toContainEqual(expect.objectContaining({ event: 'error', code: 'undelivered' }))
  }, 30_000)

  it('outlives a restart of its broker, and guests find it again', async () => {
    const { host, room } = await openRoom()
    await broker.stop()
    await host.next('signalling', ({ state }) => state === 'down')
    const guest = start('alice', '--json', 'join', room)
    await guest.next('signalling', ({ state }) => state === 'down')
    await broker.start()
    guest.end('patience\n')
    expect(await host.next('message')).toMatchObject({ from: 'alice', text: 'patience' })
    expect((await guest.finished).code).toBe(0)
  }, 60_000)

  it('is found by a guest that came before its host', async () => {
    const { host, room } = await openRoom()
    host.signal('SIGTERM')
    await host.finished
    const guest = start('alice', '--json', 'join', room)
    await guest.next('signalling', ({ state }) => state === 'up')
    const later = start('host', '--json', 'create')
    await later.next('room')
    await guest.next('joined')
    guest.type('there you are')
    expect(await later.next('message')).toMatchObject({ text: 'there you are' })
  })
})
