/** What is particular to the dns backend where it updates a zone: keys, refusals, hostile neighbours. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { DnsClient } from '../../src/adapters/dns/client.js'
import { Class, Type } from '../../src/adapters/dns/constants.js'
import { type DnsOptions, dns } from '../../src/adapters/dns/definition.js'
import { digestOf, writeContent, writeEntry } from '../../src/adapters/dns/index-entry.js'
import { type RecordFields, recordData, writeTxt } from '../../src/adapters/dns/message.js'
import { indexName, recordName } from '../../src/adapters/dns/names.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { bindMissing, startBind, type TestKey } from '../servers/bind.js'
import type { ChildServer } from '../servers/child-server.js'
import { freePort } from '../servers/free-port.js'
import { startUnbound, unboundMissing } from '../servers/unbound.js'
import { dnsContext, testKey, zone } from './dns-fixture.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'
const alice = testKey('alice')
const bob = testKey('bob', 'hmac-sha512')
const reader = testKey('reader')
const missing = bindMissing ?? unboundMissing

let server: ChildServer
let adapters: SignallingAdapter[] = []

beforeAll(async () => {
  if (missing !== undefined) return
  const policy = [alice, bob].map(({ name }) => `grant ${name} zonesub TXT CNAME;`)
  server = await startBind({ zone, keys: [alice, bob, reader], policy })
})
afterEach(async () => {
  await Promise.all(adapters.map((adapter) => adapter.close()))
  adapters = []
})
afterAll(() => server.close())

interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
  /** Resolves with the reason of the first `down`. */
  readonly down: Promise<string>
}

async function open(options: Partial<DnsOptions>, unixMs?: () => number): Promise<Opened> {
  const states: AdapterState[] = []
  let resolveDown: (reason: string) => void = () => undefined
  const down = new Promise<string>((resolve) => {
    resolveDown = resolve
  })
  const context = dnsContext((state) => {
    states.push(state)
    if (state.state === 'down') resolveDown(state.reason)
  })
  const chosen: DnsOptions = { mode: 'update', zone, server: `127.0.0.1:${server.port}`, ...options }
  const { DnsAdapter } = await import('../../src/adapters/dns/adapter.js')
  const adapter = new DnsAdapter(chosen, context, unixMs)
  adapters.push(adapter)
  await adapter.open({ role: 'host', topics: [topic] }, never)
  return { adapter, states, down }
}

function record(fields: Partial<SignalRecord> = {}): SignalRecord {
  return { topic, box: 'host', sender: 'a', bytes: Uint8Array.of(1, 2, 3), expiresInMs: 60_000, ...fields }
}

/** Resolves when the watcher is shown this sender. */
async function shows(
  adapter: SignallingAdapter,
  box: SignalRecord['box'],
  sender: string,
): Promise<SignalRecord> {
  const stop = new AbortController()
  try {
    return await new Promise<SignalRecord>((resolve, reject) => {
      const onRecord = (each: SignalRecord): void => {
        if (each.sender === sender) resolve(each)
      }
      adapter.watch(topic, box, onRecord, stop.signal).catch(reject)
    })
  } finally {
    stop.abort()
  }
}

describe.skipIf(missing !== undefined && process.env['CI'] !== 'true')('a zone that takes updates', () => {
  it.each<[string, () => Partial<DnsOptions>, RegExp]>([
    [
      'a key that the server does not know',
      () => ({ tsig: testKey('mallory') }),
      /^127\.0\.0\.1:\d+: the server does not know the TSIG key mallory, or not with hmac-sha256 \(BADKEY; adapters\.dns\.tsig\)$/,
    ],
    [
      'another algorithm than the key has',
      () => ({ tsig: { ...alice, algorithm: 'hmac-sha512' } }),
      /TSIG key alice, or not with hmac-sha512 \(BADKEY/,
    ],
    [
      'a wrong secret',
      () => ({ tsig: { ...alice, secret: randomBytes(32).toString('base64') } }),
      /^127\.0\.0\.1:\d+: wrong secret for the TSIG key alice \(BADSIG; adapters\.dns\.tsig\)$/,
    ],
    [
      'another zone',
      () => ({ tsig: alice, zone: 'other.test' }),
      /^127\.0\.0\.1:\d+: other\.test is no zone of this server \(REFUSED; adapters\.dns\.zone and \.server\)$/,
    ],
    [
      'a name inside the zone that is none itself',
      () => ({ tsig: alice, zone: `sub.${zone}` }),
      /^127\.0\.0\.1:\d+: sub\.gonet\.test is no zone of this server \(no SOA;/,
    ],
    [
      'a port that nobody listens on',
      () => ({ tsig: alice, server: '127.0.0.1:1' }),
      /^127\.0\.0\.1:1: connection refused: no DNS server listens there$/,
    ],
  ])('names the cause: %s', async (_what, options, reason) => {
    const { down } = await open(options())
    expect(await down).toMatch(reason)
  })

  it.each<[string, () => Partial<DnsOptions>, RegExp]>([
    [
      'no key',
      () => ({}),
      /the server takes no update of gonet\.test without a key \(REFUSED; adapters\.dns\.tsig\)$/,
    ],
    [
      'a key that may not',
      () => ({ tsig: reader }),
      /the server does not let the TSIG key reader change this in gonet\.test \(REFUSED\)$/,
    ],
  ])('refuses a record by %s, and stays down', async (_what, options, reason) => {
    const { adapter, down, states } = await open(options())
    await expect(adapter.publish(record(), never)).rejects.toMatchObject({
      code: 'dns-refused',
      message: expect.stringMatching(reason) as string,
    })
    expect(await down).toMatch(reason)
    expect(states.at(-1)?.state).toBe('down')
    await adapter.retract(record(), never)
    expect(states.at(-1)?.state).toBe('up')
  })

  it('takes the time from the server where the clock is wrong', async () => {
    const { adapter } = await open({ tsig: alice }, () => Date.now() - 3_600_000)
    await adapter.publish(record({ sender: 'late' }), never)
    const { adapter: other } = await open({ tsig: bob })
    const shown = await shows(other, 'host', 'late')
    expect(shown.expiresInMs).toBeGreaterThan(40_000)
    expect(shown.expiresInMs).toBeLessThanOrEqual(65_000)
  })

  it('is down where a server takes everything and answers nothing', async () => {
    const udp = createSocket('udp4')
    const connections = new Set<Socket>()
    const tcp = createServer((socket) => void connections.add(socket))
    const port = await freePort()
    await new Promise<void>((resolve) => tcp.listen(port, '127.0.0.1', resolve))
    await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))
    onTestFinished(() => {
      udp.close()
      for (const socket of connections) socket.destroy()
      tcp.close()
    })
    const { down } = await open({ tsig: alice, server: `127.0.0.1:${port}` })
    expect(await down).toBe(`127.0.0.1:${port}: the server does not answer`)
  })

  it('believes nobody without the key who answers in the name of the server', async () => {
    const udp = createSocket('udp4')
    onTestFinished(() => void udp.close())
    udp.on('message', (bytes, from) => {
      const forged = Buffer.from(bytes)
      // A response, authoritative, without an error: and with the question's own signature.
      forged.writeUInt16BE(0x8400, 2)
      udp.send(forged, from.port, from.address)
    })
    const port = await freePort()
    await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))
    const { down } = await open({ tsig: alice, server: `127.0.0.1:${port}` })
    expect(await down).toBe(`127.0.0.1:${port}: the answer is signed wrongly`)
  })

  it('reads through a resolver what went to the server', async () => {
    const resolver = await startUnbound(zone, server.port)
    onTestFinished(() => resolver.close())
    const { adapter: host } = await open({ tsig: alice })
    const { adapter: guest } = await open({
      tsig: bob,
      resolver: ['127.0.0.1:1', `127.0.0.1:${resolver.port}`],
    })
    const bytes = new Uint8Array(randomBytes(4000))
    await host.publish(record({ sender: 'far', bytes }), never)
    expect((await shows(guest, 'host', 'far')).bytes).toEqual(bytes)
  })
})

describe.skipIf(missing !== undefined && process.env['CI'] !== 'true')('hostile neighbours', () => {
  const client = new DnsClient({ clock: systemClock, random: systemRandom, unixMs: () => Date.now() })
  const index = indexName(zone, topic, 'join')
  const keyOf = ({ name, algorithm, secret }: TestKey): Parameters<DnsClient['update']>[4] => ({
    name,
    algorithm,
    secret: Buffer.from(secret, 'base64'),
  })
  const change = (changes: readonly RecordFields[]): Promise<void> => {
    const at = { address: '127.0.0.1', port: server.port, label: 'bind' }
    return client.update(at, zone, changes, never, keyOf(bob))
  }
  const txt = (name: string, data: Uint8Array): RecordFields => ({
    name,
    type: Type.TXT,
    class: Class.IN,
    ttl: 0,
    data,
  })
  const erased = (name: string, type: number = Type.TXT): RecordFields => ({
    name,
    type,
    class: Class.ANY,
    ttl: 0,
    data: new Uint8Array(0),
  })

  it('cannot keep a guest out by a box full of records', async () => {
    const bytes = Uint8Array.of(9)
    for (let at = 0; at < 90; at++) {
      const sender = `hostile${at}`
      const entry = writeEntry({ sender, expiresAt: Date.now() + 600_000, digest: digestOf(bytes) })
      await change([
        txt(index, entry),
        txt(recordName(zone, { topic, box: 'join', sender }), writeContent(bytes)),
      ])
    }
    const { adapter: host } = await open({ tsig: alice })
    const { adapter: guest } = await open({ tsig: bob })
    const shown = shows(host, 'join', 'honest')
    await guest.publish(record({ box: 'join', sender: 'honest' }), never)
    await shown
  })

  it('cannot keep a guest out by rubbish in the index, or by more of it than a message holds', async () => {
    await change([erased(index)])
    // As much as the server takes.
    await expect(
      (async () => {
        for (;;) await change([txt(index, writeTxt(new Uint8Array(randomBytes(5000))))])
      })(),
    ).rejects.toThrow('SERVFAIL')
    const { adapter: host } = await open({ tsig: alice })
    const { adapter: guest } = await open({ tsig: bob })
    await guest.publish(record({ box: 'join', sender: 'tidy' }), never)
    await shows(host, 'join', 'tidy')
  })

  it('cannot keep a guest out by erasing, replacing or hiding its record', async () => {
    const { adapter: host } = await open({ tsig: alice })
    const { adapter: guest } = await open({ tsig: bob })
    const name = recordName(zone, { topic, box: 'join', sender: 'erased' })
    await guest.publish(record({ box: 'join', sender: 'erased' }), never)
    await change([erased(name), erased(index)])
    await shows(host, 'join', 'erased')
    await change([erased(name), txt(name, writeContent(Uint8Array.of(0)))])
    expect((await shows(host, 'join', 'erased')).bytes).toEqual(Uint8Array.of(1, 2, 3))
    const alias = recordData({ type: 'CNAME', name: '.', data: zone })
    await change([erased(name), { ...txt(name, alias), type: Type.CNAME }])
    await shows(host, 'join', 'erased')
    await change([erased(index)])
    await change([{ ...txt(index, alias), type: Type.CNAME }])
    await shows(host, 'join', 'erased')
  }, 60_000)

  it('are tidied up after, once their records have expired', async () => {
    const sender = 'stale'
    const name = recordName(zone, { topic, box: 'join', sender })
    await change([erased(index), erased(index, Type.CNAME)])
    await change([
      txt(index, writeEntry({ sender, expiresAt: Date.now() - 1, digest: digestOf(Uint8Array.of(1)) })),
      txt(name, writeContent(Uint8Array.of(1))),
    ])
    const { adapter: guest } = await open({ tsig: bob })
    await guest.publish(record({ box: 'join', sender: 'fresh' }), never)
    const at = { address: '127.0.0.1', port: server.port, label: 'bind' }
    const countAt = async (where: string): Promise<number> =>
      (await client.query(at, where, 'TXT', never)).answers.length
    await vi.waitFor(async () => expect([await countAt(name), await countAt(index)]).toEqual([0, 1]), 10_000)
  })
})

describe('options', () => {
  it.each<[string, Partial<DnsOptions>, string]>([
    ['no zone', { zone: undefined }, 'dns-zone-missing'],
    ['no server', { server: undefined }, 'dns-server-missing'],
    ['no secret', { tsig: { name: 'k', algorithm: 'hmac-sha256' } }, 'dns-secret-missing'],
    [
      'two secrets',
      { tsig: { name: 'k', algorithm: 'hmac-sha256', secret: 'YQ==', secretFile: '/x' } },
      'dns-secret-twice',
    ],
    ['no base64', { tsig: { name: 'k', algorithm: 'hmac-sha256', secret: 'a b!' } }, 'dns-secret-wrong'],
    [
      'no such file',
      { tsig: { name: 'k', algorithm: 'hmac-sha256', secretFile: '/nowhere/at/all' } },
      'dns-file-unreadable',
    ],
    ['all addresses', { mode: 'serve', server: undefined, listen: '0.0.0.0:5353' }, 'dns-server-missing'],
  ])('are refused by open: %s', async (_what, options, code) => {
    const adapter = await dns.create(
      { mode: 'update', zone, server: '127.0.0.1:1', ...options },
      dnsContext(() => undefined),
    )
    await expect(adapter.open({ role: 'host', topics: [topic] }, never)).rejects.toMatchObject({ code })
    await adapter.close()
  })
})
