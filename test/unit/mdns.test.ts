import { describe, expect, it } from 'vitest'
import {
  decodeFragment,
  encodeRecord,
  type Fragment,
  FragmentBytes,
} from '../../src/adapters/mdns/fragments.js'
import { linkInterfaces } from '../../src/adapters/mdns/interfaces.js'
import type { Answer } from '../../src/adapters/mdns/link.js'
import { boxName } from '../../src/adapters/mdns/names.js'
import { Publications } from '../../src/adapters/mdns/publications.js'
import { Reassembly } from '../../src/adapters/mdns/reassembly.js'
import { Watches } from '../../src/adapters/mdns/watches.js'
import { BoundedMap } from '../../src/adapters/shared/bounded-map.js'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { ManualClock } from '../contract/manual-clock.js'

const topic = 'abcdefghijklmnopqrst'
const random = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0 }
const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'a',
  bytes: Uint8Array.of(1, 2, 3),
  expiresInMs: 60_000,
  ...record,
})
const fragmentsOf = (sender: string, bytes: Uint8Array): Fragment[] =>
  encodeRecord(sender, bytes).map((strings) => decodeFragment(strings)!)
const large = Uint8Array.from({ length: 3 * FragmentBytes + 1 }, (_, index) => index % 251)

describe('the names of boxes', () => {
  it('keep to 63 bytes a label', () => {
    expect(boxName(topic, 'host')).toBe(`host.${topic}._gonet._udp.local`)
    expect(boxName(topic, 'join')).toBe(`join.${topic}._gonet._udp.local`)
    expect(boxName(topic, 'reply/g1')).toBe(`g1.reply.${topic}._gonet._udp.local`)
    const [first, second] = boxName(topic, `reply/${'g'.repeat(64)}`).split('.')
    expect([first?.length, second]).toEqual([63, 'g'])
  })
})

describe('the fragments of a record', () => {
  it('have strings of at most 255 bytes, and come back', () => {
    const data = encodeRecord('s'.repeat(64), large)
    expect(data).toHaveLength(4)
    for (const strings of data) {
      for (const each of strings) expect(each.length).toBeLessThanOrEqual(255)
      expect(strings.reduce((sum, each) => sum + 1 + each.length, 0)).toBeLessThan(1240)
    }
    const reassembly = new Reassembly()
    const results = fragmentsOf('s', large)
      .reverse()
      .map((fragment) => reassembly.add('192.0.2.1', 'box', fragment))
    expect(results.slice(0, 3)).toEqual([undefined, undefined, undefined])
    expect(results[3]).toEqual(large)
  })

  it('are refused where anything is not as it must be', () => {
    const [first, , , last] = encodeRecord('s', large)
    const head = (text: string, of = first!): Buffer[] => [Buffer.from(text), ...of.slice(1)]
    const digest = '0'.repeat(32)
    expect(decodeFragment(head(`1 s ${digest} 0 4`))).toBeDefined()
    for (const wrong of [
      [],
      [Buffer.alloc(0)],
      head(`2 s ${digest} 0 4`),
      head(`1 S ${digest} 0 4`),
      head(`1 ${'s'.repeat(65)} ${digest} 0 4`),
      head(`1 s ${digest.slice(1)} 0 4`),
      head(`1 s ${digest} 4 4`),
      head(`1 s ${digest} 0 9`),
      head(`1 s ${digest} 0 0`),
      head(`1 s ${digest} 0 4 `),
      head(`1 s ${digest} 0 4`, last),
      [...head(`1 s ${digest} 3 4`), Buffer.from('more')],
    ]) {
      expect(decodeFragment(wrong), String(wrong[0])).toBeUndefined()
    }
  })

  it('of two neighbours are not mixed, and a wrong whole is dropped', () => {
    const reassembly = new Reassembly()
    const [first, ...rest] = fragmentsOf('s', large)
    const forged = { ...first!, bytes: new Uint8Array(FragmentBytes) }
    reassembly.add('192.0.2.66', 'box', forged)
    reassembly.add('192.0.2.1', 'box', first!)
    expect(rest.map((each) => reassembly.add('192.0.2.1', 'box', each)).at(-1)).toEqual(large)
    expect(rest.map((each) => reassembly.add('192.0.2.66', 'box', each)).at(-1)).toBeUndefined()
  })

  it('that never become whole are bounded, and push out nobody else’s', () => {
    const reassembly = new Reassembly()
    const [first, ...rest] = fragmentsOf('s', large)
    reassembly.add('192.0.2.1', 'box', first!)
    for (let index = 0; index < 5000; index++) {
      reassembly.add('192.0.2.66', 'box', { ...first!, sender: `x${index}` })
    }
    expect(rest.map((each) => reassembly.add('192.0.2.1', 'box', each)).at(-1)).toEqual(large)
  })
})

describe('a bounded map', () => {
  it('forgets what was used longest ago', () => {
    const map = new BoundedMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    map.getOrSet('a', () => 3)
    map.set('c', 4)
    expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([1, undefined, 4])
  })
})

describe('interfaces', () => {
  const v4 = { family: 'IPv4', netmask: '', internal: false, mac: '02:00:00:00:00:01' } as const
  const v6 = { ...v4, family: 'IPv6', scopeid: 2 } as const
  const zero = '00:00:00:00:00:00'
  const all = (): ReturnType<NonNullable<Parameters<typeof linkInterfaces>[1]>> => ({
    lo: [{ ...v4, address: '127.0.0.1', cidr: '127.0.0.1/8', internal: true, mac: zero }],
    eth0: [
      { ...v4, address: '192.0.2.1', cidr: '192.0.2.1/24' },
      { ...v4, address: '198.51.100.1', cidr: '198.51.100.1/24' },
      { ...v6, address: 'fe80::1', cidr: 'fe80::1/64' },
    ],
    tun0: [{ ...v4, address: '10.0.0.1', cidr: '10.0.0.1/24', mac: zero }],
  })

  it('are those on a link, each family once, unless one is chosen', () => {
    const networks = ['192.0.2.1/24', '198.51.100.1/24']
    const eth4 = { name: 'eth0', family: 4, address: '192.0.2.1', networks }
    const eth6 = { name: 'eth0', family: 6, address: 'fe80::1', networks: ['fe80::1/64'] }
    expect(linkInterfaces(undefined, all)).toEqual([eth4, eth6])
    expect(linkInterfaces('198.51.100.1', all)).toEqual([{ ...eth4, address: '198.51.100.1' }])
    expect(linkInterfaces('FE80::1%eth0', all)).toEqual([eth6])
    expect(linkInterfaces('127.0.0.1', all)).toMatchObject([{ name: 'lo' }])
    expect(linkInterfaces('10.0.0.1', all)).toMatchObject([{ name: 'tun0' }])
    expect(linkInterfaces('192.0.2.9', all)).toEqual([])
    expect(linkInterfaces(undefined, () => ({}))).toEqual([])
  })
})

describe('what we publish', () => {
  function bench(): { clock: ManualClock; said: Answer[]; publications: Publications } {
    const clock = new ManualClock()
    const said: Answer[] = []
    const say = (answer: Answer): Promise<void> => {
      said.push(answer)
      return Promise.resolve()
    }
    return { clock, said, publications: new Publications({ clock, random, say }) }
  }

  it('is announced ever less often, and then only on demand', async () => {
    const { clock, said, publications } = bench()
    await publications.put(recordOf({ expiresInMs: 59_500 }))
    const times = [0]
    for (let at = 100; at <= 30_000; at += 100) {
      clock.advance(100)
      while (times.length < said.length) times.push(at)
    }
    expect(times).toEqual([0, 1000, 3000, 7000])
    expect(said.map(({ ttl }) => ttl)).toEqual([60, 59, 57, 53])
    publications.answer(boxName(topic, 'host'))
    publications.answer(boxName(topic, 'join'))
    clock.advance(0)
    expect(said).toHaveLength(5)
    expect(said[4]).toMatchObject({ name: boxName(topic, 'host'), ttl: 30 })
  })

  it('is said once a second however often it is asked for, and not after it expired', async () => {
    const { clock, said, publications } = bench()
    await publications.put(recordOf({ expiresInMs: 20_000 }))
    clock.advance(10_000)
    const before = said.length
    for (let at = 0; at < 5000; at += 10) {
      publications.answer(boxName(topic, 'host'))
      clock.advance(10)
    }
    expect(said.length - before).toBeGreaterThanOrEqual(5)
    expect(said.length - before).toBeLessThanOrEqual(6)
    clock.advance(10_000)
    const after = said.length
    publications.answer(boxName(topic, 'host'))
    clock.advance(10_000)
    expect(said).toHaveLength(after)
    expect(clock.nextInMs).toBeUndefined()
  })

  it('costs the link no more than 200 answers at once', async () => {
    const { clock, said, publications } = bench()
    for (let index = 0; index < 1500; index++) {
      await publications.put(recordOf({ box: 'join', sender: `s${index}` }))
    }
    clock.advance(30_000)
    const before = said.length
    publications.answer(boxName(topic, 'join'))
    clock.advance(200)
    expect(said.length - before).toBe(200)
  })

  it('is taken back with the very words it was said with', async () => {
    const { clock, said, publications } = bench()
    await publications.put(recordOf({ bytes: large }))
    await publications.put(recordOf({ sender: 'b' }))
    said.length = 0
    await publications.remove(recordOf())
    await publications.remove(recordOf({ sender: 'never' }))
    const name = boxName(topic, 'host')
    expect(said).toEqual(encodeRecord('a', large).map((strings) => ({ name, ttl: 0, strings })))
    said.length = 0
    await publications.clear()
    expect(said).toMatchObject([{ ttl: 0 }])
    expect(clock.nextInMs).toBeUndefined()
  })
})

describe('what we watch', () => {
  function bench(): { clock: ManualClock; asked: string[]; watches: Watches } {
    const clock = new ManualClock()
    const asked: string[] = []
    const ask = (name: string): void => void asked.push(name)
    return { clock, asked, watches: new Watches({ clock, random, ask }) }
  }
  const answer = (sender: string, bytes: Uint8Array, ttl = 60): Answer => ({
    name: boxName(topic, 'join'),
    ttl,
    strings: encodeRecord(sender, bytes)[0]!,
  })

  it('is asked for at once, and then ever less often', () => {
    const { clock, asked, watches } = bench()
    const stop = watches.add(topic, 'join', () => undefined)
    const times = [0]
    for (let at = 100; at <= 40_000; at += 100) {
      clock.advance(100)
      while (times.length < asked.length) times.push(at)
    }
    expect(times).toEqual([0, 1000, 3000, 7000, 15_000, 31_000])
    watches.askAll()
    clock.advance(1000)
    expect(asked).toHaveLength(8)
    stop()
    expect(clock.nextInMs).toBeUndefined()
  })

  it('is reported once in ten seconds, or when it is new, or was taken back', () => {
    const { clock, watches } = bench()
    const seen: number[] = []
    watches.add(topic, 'join', ({ bytes }) => void seen.push(bytes[0]!))
    const receive = (value: number, ttl?: number): void => {
      watches.receive('192.0.2.1', answer('s', Uint8Array.of(value), ttl))
    }
    receive(1)
    receive(1)
    receive(2)
    expect(seen).toEqual([1, 2])
    clock.advance(10_000)
    receive(2)
    expect(seen).toEqual([1, 2, 2])
    receive(2, 0)
    receive(2)
    expect(seen).toEqual([1, 2, 2, 2])
  })
})
