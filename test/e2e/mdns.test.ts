/** Host and guest that find each other by multicast: on loopback, and as two machines on one link. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { type Running, Workbench } from './workbench.js'

const missing = missingForLab()

let bench: Workbench
beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

const common = (name: string): string[] => ['--json', '--signal', 'mdns', '--name', name, '--state', name]

async function chat(host: Running, guest: (room: string) => Running): Promise<void> {
  const { room } = await host.next('room')
  const joining = guest(room)
  await joining.next('joined')
  joining.type('hello, neighbour')
  expect(await host.next('message')).toMatchObject({ from: 'bob', text: 'hello, neighbour' })
  joining.end()
  expect((await joining.finished).code).toBe(0)
}

it('on loopback they meet', async () => {
  const loopback = ['--set', 'adapters.mdns.interface=127.0.0.1']
  const host = bench.start(...common('alice'), ...loopback, 'create')
  await chat(host, (room) => bench.start(...common('bob'), ...loopback, 'join', room))
}, 60_000)

describe.skipIf(missing.length > 0)('two machines on one link', () => {
  let lab: Lab
  let alice: Namespace
  let bob: Namespace
  beforeEach(async () => {
    lab = new Lab()
    alice = await lab.namespace('alice')
    bob = await lab.namespace('bob')
  }, 60_000)
  afterEach(() => lab.close())

  const start = (at: Namespace, name: string, ...args: readonly string[]): Running =>
    bench.startUnder(['ip', 'netns', 'exec', at.name], ...common(name), '--set', 'transport.stun=[]', ...args)
  const link = (): Promise<void> => lab.link('lan0', [alice, '192.0.2.1/24'], [bob, '192.0.2.2/24'])
  const isUp = ({ state }: { readonly state: string }): boolean => state === 'up'

  it('meet with nothing else there, and again after the link was down', async () => {
    await link()
    const host = start(alice, 'alice', 'create')
    const guest = (room: string): Running => start(bob, 'bob', 'join', room)
    await chat(host, guest)
    await alice.run('ip', 'link', 'set', 'lan0', 'down')
    const { reason } = (await host.next('signalling', ({ state }) => state === 'down')) as { reason?: string }
    expect(reason).toMatch(/^mdns: /)
    await alice.run('ip', 'link', 'set', 'lan0', 'up')
    await host.next('signalling', isUp)
    const { room } = host.events.find(({ event }) => event === 'room') as { readonly room: string }
    const again = guest(room)
    await again.next('joined')
    again.end()
    expect((await again.finished).code).toBe(0)
  }, 60_000)

  it('meet over IPv6 alone, and on any of the links that one of them has', async () => {
    const carol = await lab.namespace('carol')
    await lab.link('lan0', [alice, '2001:db8::1/64'], [bob, '2001:db8::2/64'])
    await lab.link('lan1', [alice, '192.0.2.1/24'], [carol, '192.0.2.2/24'])
    const host = start(alice, 'alice', 'create')
    await chat(host, (room) => start(bob, 'bob', 'join', room))
    const { room } = host.events.find(({ event }) => event === 'room') as { readonly room: string }
    const joining = start(carol, 'carol', 'join', room)
    await joining.next('joined')
    joining.end()
    expect((await joining.finished).code).toBe(0)
  }, 60_000)

  it('wait for the link that is not there yet', async () => {
    const host = start(alice, 'alice', 'create')
    const down = await host.next('signalling', ({ state }) => state === 'down')
    expect(down).toMatchObject({ reason: 'mdns: this machine is in no local network' })
    await link()
    await chat(host, (room) => start(bob, 'bob', 'join', room))
  }, 60_000)
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}
