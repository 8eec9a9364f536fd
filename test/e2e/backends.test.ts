/** Every backend as users choose it: the command on both sides, a real server between them. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Backend, Backends } from '../servers/backends.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import { complaints, type Running, Workbench } from './workbench.js'

let bench: Workbench

beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

function start(backends: readonly Backend[], name: string, ...args: readonly string[]): Running {
  const signal = backends.map((backend) => backend.signal).join()
  const settings = backends.flatMap((backend) => backend.settings.map((setting) => `--set=${setting}`))
  const common = ['--json', '--signal', signal, ...settings, '--state', name, '--name', name]
  return bench.start(...common, '--timeout', '60', ...args)
}

/** A host and a guest, and a line each way. */
async function meet(backends: readonly Backend[]): Promise<{ host: Running; guest: Running }> {
  const host = start(backends, 'host', 'create')
  const { room } = await host.next('room')
  const guest = start(backends, 'guest', 'join', room)
  guest.type('from the guest')
  expect(await host.next('message')).toMatchObject({ from: 'guest', text: 'from the guest' })
  await guest.next('delivered')
  host.type('from the host')
  expect(await guest.next('message')).toMatchObject({ from: 'host', text: 'from the host' })
  return { host, guest }
}

/** Both leave as their users ask them to, and neither has complained. */
async function part({ host, guest }: { host: Running; guest: Running }): Promise<void> {
  guest.end()
  host.signal('SIGINT')
  for (const { code, stderr } of await Promise.all([guest.finished, host.finished])) {
    expect(code).toBe(0)
    expect(complaints(stderr)).toEqual([])
  }
}

describe.each(Object.entries(Backends))('over %s', (_name, { start: startBackend, missing }) => {
  let backend: Backend | undefined

  beforeAll(async () => {
    if (missing === undefined) backend = await startBackend()
    else if (process.env['CI'] === 'true') throw new Error(missing)
  })
  afterAll(() => backend?.close())

  it.skipIf(missing !== undefined)(
    'a guest finds its host, and they chat',
    async () => {
      await part(await meet([backend!]))
    },
    90_000,
  )
})

describe('over several at once', () => {
  const running: Backend[] = []

  async function startAll(...names: readonly string[]): Promise<readonly Backend[]> {
    const started = await Promise.all(names.map((name) => Backends[name]!.start()))
    running.push(...started)
    return started
  }

  afterEach(async () => {
    await Promise.all(running.splice(0).map((backend) => backend.close()))
  })

  const missing = ['mqtt', 'etcd']
    .map((name) => Backends[name]?.missing)
    .find((reason) => reason !== undefined)

  it.skipIf(missing !== undefined).each([
    ['mqtt is down', ['mqtt', 'dht', 'etcd']],
    ['etcd is down', ['etcd', 'mqtt']],
    ['dht is down', ['dht', 'mqtt']],
  ])(
    'they meet where %s',
    async (_what, names) => {
      const [broken, ...rest] = await startAll(...names)
      await broken!.stop()
      const { host, guest } = await meet([broken!, ...rest])
      // The one that is down is named, with its reason, by both.
      const down = { event: 'signalling', adapter: broken!.signal, state: 'down' }
      const named = { ...down, reason: expect.stringMatching(/\w/) as string }
      for (const peer of [host, guest]) {
        await vi.waitFor(() => expect(peer.events).toContainEqual(named), { timeout: 20_000, interval: 100 })
      }
      await part({ host, guest })
    },
    90_000,
  )

  it.skipIf(missing !== undefined)(
    'they meet where one accepts everything and answers nothing',
    async () => {
      const [hung, other] = (await startAll('mqtt', 'etcd')) as [Backend, Backend]
      const relay = await startTcpRelay(Number(/:(\d+)$/.exec(hung.settings[0]!)![1]))
      try {
        relay.stall()
        const stalled = { ...hung, settings: [`adapters.mqtt.url=mqtt://127.0.0.1:${relay.port}`] }
        await part(await meet([stalled, other]))
      } finally {
        await relay.close()
      }
    },
    90_000,
  )

  it.skipIf(missing !== undefined)(
    'one that comes back is used again',
    async () => {
      const [mqtt, etcd] = (await startAll('mqtt', 'etcd')) as [Backend, Backend]
      const host = start([mqtt, etcd], 'host', 'create')
      const { room } = await host.next('room')
      await etcd.stop()
      await host.next('signalling', ({ adapter, state }) => adapter === 'etcd' && state === 'down')
      await etcd.start()
      await host.next('signalling', ({ adapter, state }) => adapter === 'etcd' && state === 'up')
      await mqtt.stop()
      await host.next('signalling', ({ adapter, state }) => adapter === 'mqtt' && state === 'down')
      const guest = start([mqtt, etcd], 'guest', 'join', room)
      await guest.next('joined')
      guest.type('by the other way')
      expect(await host.next('message')).toMatchObject({ text: 'by the other way' })
      await guest.next('delivered')
      await part({ host, guest })
    },
    90_000,
  )
})
