import { beforeEach, describe, expect, it } from 'vitest'
import {
  AddressPool,
  defaultSubnet,
  formatSubnet,
  hostAddress,
  memberAddress6,
  parseSubnet,
} from '../../src/core/overlay.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('overlay')
const never = (): boolean => false

describe('networks', () => {
  it('are read and written', () => {
    expect(formatSubnet(parseSubnet('10.7.0.0/16'))).toBe('10.7.0.0/16')
    expect(hostAddress(parseSubnet('192.168.4.0/24'))).toBe('192.168.4.1')
  })

  it.each([
    '10.7.0.1/16',
    '10.7.0.0',
    '10.7.0.0/33',
    '10.7.0.0/31',
    '10.7.0/16',
    '010.7.0.0/16',
    '10.256.0.0/16',
    '',
  ])('refuse %j', (text) => expect(() => parseSubnet(text)).toThrow(/not an IPv4 network/))

  it('by default come from the key, and move past those that the host is in', () => {
    const key = random.bytes(32)
    const first = defaultSubnet(crypto, key, [])
    expect(formatSubnet(first)).toMatch(/^10\.\d+\.0\.0\/16$/)
    expect(defaultSubnet(crypto, key, [])).toEqual(first)
    const inside = parseSubnet(`${hostAddress(first).replace(/\.1$/, '.0')}/24`)
    const second = defaultSubnet(crypto, key, [inside])
    expect(second).not.toEqual(first)
    expect(defaultSubnet(crypto, key, [parseSubnet('10.0.0.0/9')]).base).toBeGreaterThanOrEqual(
      parseSubnet('10.128.0.0/16').base,
    )
    expect(() => defaultSubnet(crypto, key, [parseSubnet('10.0.0.0/8')])).toThrow(/in use/)
  })
})

describe('IPv6 addresses', () => {
  it('are unique local, share the room’s 48 bits, and differ by member', () => {
    const [one, other] = [random.bytes(32), random.bytes(32)]
    const [a, b] = [memberAddress6(crypto, 'cf83e1', one), memberAddress6(crypto, 'cf83e1', other)]
    expect(a).toMatch(/^fd[0-9a-f]{2}:/)
    expect(a.split(':').slice(0, 3)).toEqual(b.split(':').slice(0, 3))
    expect(a).not.toBe(b)
    expect(memberAddress6(crypto, 'cf83e2', one).split(':')[1]).not.toBe(a.split(':')[1])
  })
})

describe('the address pool', () => {
  let store: MemoryStore
  let pool: AddressPool
  const subnet = parseSubnet('10.7.0.0/29')
  const keys = Array.from({ length: 8 }, () => random.bytes(32))

  beforeEach(() => {
    store = new MemoryStore()
    pool = new AddressPool(subnet, store)
  })

  it('gives each key an address of its own, and the same one again', () => {
    const given = keys.slice(0, 5).map((key) => pool.allocate(0, key, never))
    expect(given).toEqual(['10.7.0.2', '10.7.0.3', '10.7.0.4', '10.7.0.5', '10.7.0.6'])
    expect(pool.allocate(1, keys[2]!, never)).toBe('10.7.0.4')
  })

  it('remembers what was committed across restarts, and nothing else', () => {
    pool.allocate(0, keys[0]!, never)
    pool.allocate(0, keys[1]!, never)
    pool.commit(0, keys[1]!)
    const restarted = new AddressPool(subnet, store)
    expect(restarted.allocate(0, keys[1]!, never)).toBe('10.7.0.3')
    expect(restarted.allocate(0, keys[2]!, never)).toBe('10.7.0.2')
  })

  it('has on disk at once what was committed, one line at a time', () => {
    const appended: number[] = []
    const append = store.append.bind(store)
    store.append = (name, bytes) => {
      appended.push(bytes.length)
      append(name, bytes)
    }
    for (const key of keys.slice(0, 4)) {
      pool.allocate(0, key, never)
      pool.commit(0, key)
      expect(new AddressPool(subnet, store).allocate(0, key, never)).toBe(pool.allocate(0, key, never))
    }
    expect(appended).toHaveLength(4)
  })

  it('believes the last that was written of a key, and of an address', () => {
    const [one, other] = keys.slice(0, 2).map((key) => Buffer.from(key).toString('base64'))
    store.write('addresses', new TextEncoder().encode(`${one} 2\n${other} 3\n${one} 3\n`))
    const restarted = new AddressPool(subnet, store)
    expect(restarted.allocate(0, keys[0]!, never)).toBe('10.7.0.3')
    expect(restarted.allocate(0, keys[1]!, never)).toBe('10.7.0.2')
  })

  it('loses nothing behind a line that a crash has torn', () => {
    pool.allocate(0, keys[0]!, never)
    pool.commit(0, keys[0]!)
    store.append('addresses', new TextEncoder().encode('AAAA'))
    const restarted = new AddressPool(subnet, store)
    restarted.allocate(0, keys[1]!, never)
    restarted.commit(0, keys[1]!)
    const again = new AddressPool(subnet, store)
    expect(keys.slice(0, 2).map((key) => again.allocate(0, key, never))).toEqual(['10.7.0.2', '10.7.0.3'])
  })

  it('survives a store that was damaged', () => {
    store.write('addresses', new TextEncoder().encode('nonsense\n\n10.7.0.2 x\nAAAA 10.7.0.99\n'))
    expect(new AddressPool(subnet, store).allocate(0, keys[0]!, never)).toBe('10.7.0.2')
  })

  it('when full, reclaims provisional ones after 60 s first, then the least recently used', () => {
    for (const [index, key] of keys.slice(0, 5).entries()) {
      pool.allocate(index, key, never)
      if (index !== 3) pool.commit(index, key)
    }
    const inUse = (key: string): boolean => key === Buffer.from(keys[0]!).toString('base64')
    expect(pool.allocate(59_000, keys[5]!, () => true)).toBeUndefined()
    expect(pool.allocate(60_003, keys[5]!, inUse)).toBe('10.7.0.5')
    expect(pool.allocate(60_004, keys[6]!, inUse)).toBe('10.7.0.3')
    expect(pool.allocate(60_005, keys[0]!, inUse)).toBe('10.7.0.2')
  })

  it('of a large network keeps no address for each of the strangers that ever asked', () => {
    const large = new AddressPool(parseSubnet('10.0.0.0/8'), store)
    for (let index = 0; index < 8192; index += 1) large.allocate(0, random.bytes(32), never)
    expect(large.allocate(59_999, random.bytes(32), never)).toBe('10.0.32.2')
    expect(large.allocate(60_000, random.bytes(32), never)).toBe('10.0.0.2')
  })
})
