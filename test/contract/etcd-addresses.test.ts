/** The shared brain: etcd gives out a room's addresses, to every host that asks. */
import { describe, expect, it } from 'vitest'
import { EtcdAddressAllocator } from '../../src/adapters/etcd/address-allocator.js'
import { type EtcdOptions, etcd } from '../../src/adapters/etcd/definition.js'
import { readSettings } from '../../src/adapters/etcd/settings.js'
import type { AddressAllocator, AddressRequest } from '../../src/core/address-allocator.js'
import { parseSubnet } from '../../src/core/overlay.js'
import { etcdMissing } from '../servers/etcd.js'
import { freePort } from '../servers/free-port.js'
import { atEnd, never, server, topic } from './etcd-bench.js'
import { etcdContext } from './etcd-fixture.js'

const subnet = parseSubnet('10.7.0.0/16')
const other = topic.split('').reverse().join('')
const context = etcdContext(() => undefined)

const optionsOf = (url: string, more: Partial<EtcdOptions> = {}): EtcdOptions => ({
  prefix: 'gonet',
  readable: false,
  ...more,
  endpoints: [url],
})

const allocatorAt = async (url: string, more: Partial<EtcdOptions> = {}): Promise<AddressAllocator> => {
  const allocator = await etcd.allocator?.(optionsOf(url, more), context)
  if (allocator === undefined) throw new Error('etcd allocates')
  atEnd(() => allocator.close())
  return allocator
}

/** One that forgets soon, and its host's death. */
const brief = async (url: string): Promise<AddressAllocator> => {
  const options = optionsOf(url)
  const endpoints = await readSettings(options)
  const times = { keptSeconds: 4, provisionalSeconds: 4 }
  const allocator = new EtcdAddressAllocator({ ...options, ...context, ...times, endpoints })
  atEnd(() => allocator.close())
  return allocator
}

const requestOf = (holder: string, more: Partial<AddressRequest> = {}): AddressRequest => ({
  topic,
  holder,
  sealed: Buffer.from(`sealed ${holder}`),
  readable: JSON.stringify({ name: holder }),
  subnet,
  preferred: undefined,
  avoid: new Set(),
  ...more,
})

const holders = Array.from({ length: 50 }, (_, at) => `holder${at}`)

describe.skipIf(etcdMissing !== undefined)('addresses by etcd', () => {
  it('are 50 different ones for 50 guests at once, with two hosts of a room and one of another', async () => {
    const { url } = await server()
    const hosts = await Promise.all([allocatorAt(url), allocatorAt(url), allocatorAt(url)])
    const [one, two, third] = hosts
    const [ofOne, ofTwo, ofThird] = await Promise.all([
      Promise.all(holders.slice(0, 25).map((holder) => one.allocate(requestOf(holder), never))),
      Promise.all(holders.slice(25).map((holder) => two.allocate(requestOf(holder), never))),
      Promise.all(holders.map((holder) => third.allocate(requestOf(holder, { topic: other }), never))),
    ])
    expect(new Set([...ofOne, ...ofTwo]).size).toBe(50)
    expect([...ofThird].sort((a, b) => (a ?? 0) - (b ?? 0))).toEqual(holders.map((_, at) => at + 2))
    for (const number of [...ofOne, ...ofTwo, ...ofThird]) expect(number).toBeGreaterThanOrEqual(2)
  })

  it('stay with who returns, also to another host, and are the preferred where that is free', async () => {
    const { url } = await server()
    const [one, two] = [await allocatorAt(url), await allocatorAt(url)]
    expect(await one.allocate(requestOf('a'), never)).toBe(2)
    expect(await two.allocate(requestOf('a'), never)).toBe(2)
    expect(await two.allocate(requestOf('a', { preferred: 9 }), never)).toBe(2)
    expect(await two.allocate(requestOf('b', { preferred: 7 }), never)).toBe(7)
    expect(await one.allocate(requestOf('c', { preferred: 7 }), never)).toBe(3)
    // A host knows of somebody at this address whom etcd does not know.
    expect(await one.allocate(requestOf('d', { avoid: new Set([4, 5]) }), never)).toBe(6)
    expect(await one.allocate(requestOf('a', { avoid: new Set([2]) }), never)).toBe(4)
    expect(await one.allocate(requestOf('a'), never)).toBe(4)
  })

  it('are freed when their host is dead, and kept while it lives', async () => {
    const { url } = await server()
    const [dead, alive] = [await brief(url), await brief(url)]
    expect(await dead.allocate(requestOf('a'), never)).toBe(2)
    expect(await alive.allocate(requestOf('b'), never)).toBe(3)
    expect(await alive.allocate(requestOf('c'), never)).toBe(4)
    dead.keep(requestOf('a'), { subnet, number: 2 })
    alive.keep(requestOf('b'), { subnet, number: 3 })
    await dead.close()
    const late = await allocatorAt(url)
    let asked = 0
    // Each who is told that 2 is taken takes another; b's 3 stays all the while, c who never came is gone.
    await expect
      .poll(() => late.allocate(requestOf(`x${asked++}`), never), { timeout: 15_000, interval: 500 })
      .toBe(2)
    await expect
      .poll(() => late.allocate(requestOf(`x${asked++}`), never), { timeout: 15_000, interval: 500 })
      .toBe(4)
    expect(await late.allocate(requestOf('b'), never)).toBe(3)
  }, 40_000)

  it('are sealed, or readable where the operator is to read them', async () => {
    const started = await server()
    const [sealed, readable] = [
      await allocatorAt(started.url),
      await allocatorAt(started.url, { readable: true }),
    ]
    await sealed.allocate(requestOf('a'), never)
    await readable.allocate(requestOf('b', { topic: other }), never)
    expect(await started.ctl('get', '--prefix', `gonet/1/${topic}/address/`)).toBe(
      `gonet/1/${topic}/address/10.7.0.2\nsealed a\n`,
    )
    expect(await started.ctl('get', '--prefix', `gonet/1/${other}/address/`)).toBe(
      `gonet/1/${other}/address/10.7.0.2\n{"name":"b"}\n`,
    )
  })

  it('end where the network ends', async () => {
    const { url } = await server()
    const small = { subnet: parseSubnet('10.7.0.0/29') }
    const one = await allocatorAt(url)
    const numbers = await Promise.all(
      holders.slice(0, 7).map((holder) => one.allocate(requestOf(holder, small), never)),
    )
    expect(numbers.filter((number) => number !== undefined).sort()).toEqual([2, 3, 4, 5, 6])
  })

  it('are out of reach where etcd is, which is said at once', async () => {
    const down = await allocatorAt(`http://127.0.0.1:${await freePort()}`)
    await expect(down.allocate(requestOf('a'), never)).rejects.toMatchObject({
      code: 'addresses-unavailable',
      message: expect.stringContaining('connection refused') as string,
    })
  })

  it('come back after an outage with what is held', async () => {
    const started = await server()
    const one = await allocatorAt(started.url)
    await one.allocate(requestOf('a'), never)
    one.keep(requestOf('a'), { subnet, number: 2 })
    // Given while etcd was away.
    await started.stop()
    one.keep(requestOf('b'), { subnet, number: 3 })
    await started.start()
    await expect
      .poll(() => started.ctl('get', '--prefix', '--keys-only', 'gonet/').catch(() => ''), {
        timeout: 15_000,
        interval: 200,
      })
      .toContain('10.7.0.3')
    expect(await (await allocatorAt(started.url)).allocate(requestOf('c'), never)).toBe(4)
  }, 40_000)
})
