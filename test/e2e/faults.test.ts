/** What processes, brokers and disks do to a room, as users live through it. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { complaints, type Running, Workbench } from './workbench.js'

let broker: Mosquitto
let bench: Workbench

/** Each peer has a state folder of its own, by its name. */
function start(name: string, ...args: readonly string[]): Running {
  const url = `adapters.mqtt.url=mqtt://127.0.0.1:${broker.port}`
  return bench.start('--json', '--signal=mqtt', '--set', url, '--state', name, '--name', name, ...args)
}

function texts({ events }: Running): string[] {
  return events.flatMap((event) => (event.event === 'message' ? [event.text] : []))
}

describe.skipIf(mosquittoMissing !== undefined)('a room', () => {
  let host: Running
  let room: string

  beforeAll(async () => {
    broker = await startMosquitto()
  })
  beforeEach(async () => {
    bench = new Workbench()
    host = start('host', 'create')
    room = (await host.next('room')).room
  })
  afterEach(() => bench.close())
  afterAll(() => broker.close())

  it('has its guests back by themselves when its host was killed and begins anew', async () => {
    const guests = [start('alice', 'join', room), start('bob', 'join', room)]
    const joined = await Promise.all(guests.map((guest) => guest.next('joined')))
    const [alice, bob] = guests as [Running, Running]
    alice.type('before')
    await alice.next('delivered')
    await host.kill()
    bob.type('while it was away')
    host = start('host', 'create')
    const back = [await host.next('member'), await host.next('member')]
    expect(back.map(({ name, address }) => [name, address]).toSorted()).toEqual([
      ['alice', joined[0]!.address],
      ['bob', joined[1]!.address],
    ])
    await bob.next('delivered')
    host.type('after')
    await host.next('delivered')
    for (const guest of guests) await guest.next('message', ({ text }) => text === 'after')
    expect(texts(alice)).toEqual(['while it was away', 'after'])
    expect(texts(bob)).toEqual(['before', 'after'])
    expect(texts(host)).toEqual(['while it was away'])
  }, 40_000)

  it('gives a guest that was killed its address, and what it missed, once', async () => {
    const first = start('alice', 'join', room)
    const { address } = await first.next('joined')
    host.type('seen')
    await first.next('message')
    await host.next('delivered')
    await first.kill()
    host.type('missed')
    const second = start('alice', 'join', room)
    expect((await second.next('joined')).address).toBe(address)
    expect(await second.next('message')).toMatchObject({ text: 'missed' })
    await host.next('delivered')
    second.type('an answer')
    await host.next('message')
    expect(texts(second)).toEqual(['missed'])
  }, 40_000)

  it('does not notice that its broker is killed, and takes new guests once it is back', async () => {
    const alice = start('alice', 'join', room)
    await alice.next('joined')
    await broker.stop()
    await host.next('signalling', ({ state }) => state === 'down')
    alice.type('without a broker')
    expect(await host.next('message')).toMatchObject({ text: 'without a broker' })
    const bob = start('bob', 'join', room)
    await bob.next('signalling', ({ state }) => state === 'down')
    await broker.start()
    await bob.next('joined')
    bob.type('with one')
    expect(await alice.next('message')).toMatchObject({ from: 'bob', text: 'with one' })
  }, 60_000)

  it.skipIf(process.getuid?.() !== 0)(
    'goes on where the disk is full, says so once, and recovers',
    async () => {
      const state = join(bench.folder, 'small')
      mkdirSync(state)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=0700', 'gonet-test', state])
      try {
        const alice = start('small', 'join', room)
        await alice.next('joined')
        const filler = join(state, 'filler')
        fill(filler)
        alice.type('x'.repeat(4096))
        await alice.says(/a message was not sent: .*the disk is full/)
        for (let index = 0; index < 5; index += 1) host.type(`${index}${'y'.repeat(4000)}`)
        expect(await alice.next('error')).toMatchObject({ code: 'store-failed' })
        rmSync(filler)
        alice.type('there is room again')
        expect(await host.next('message')).toMatchObject({ text: 'there is room again' })
        while (texts(alice).length < 5) await alice.next('message')
        alice.signal('SIGTERM')
        const { code, stderr } = await alice.finished
        expect([code, complaints(stderr).length]).toEqual([0, 1])
        expect(alice.events.filter(({ event }) => event === 'error')).toHaveLength(1)
        expect(texts(alice).map((text) => text.charAt(0))).toEqual(['0', '1', '2', '3', '4'])
      } finally {
        execFileSync('umount', ['-l', state])
      }
    },
    60_000,
  )
})

/** Takes every block that is left. */
function fill(path: string): void {
  for (let size = 256 * 1024; size >= 512; size = Math.floor(size / 2)) {
    for (let isFull = false; !isFull; ) {
      try {
        writeFileSync(path, new Uint8Array(size), { flag: 'a' })
      } catch {
        isFull = true
      }
    }
  }
}
