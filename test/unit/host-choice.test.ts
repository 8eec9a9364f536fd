import { describe, expect, it } from 'vitest'
import { HostChoice, type HostChoiceOptions } from '../../src/core/host-choice.js'
import { formatKey, identityFromSeed, keyHash } from '../../src/core/identity.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { twoHostsOfOneRoom } from '../sim/two-hosts.js'

const { room: short, seeds } = twoHostsOfOneRoom()
const [first, second] = seeds.map((seed) => identityFromSeed(crypto, seed).publicKey) as [
  Uint8Array,
  Uint8Array,
]
const long = defaultRoomId(crypto, first)
const digits = keyHash(crypto, second).slice(0, 16)

const choice = (options: Partial<HostChoiceOptions> = {}): HostChoice =>
  new HostChoice({ crypto, room: short, ...options })

describe('the choice of a host', () => {
  it('takes the first claim of a room whose id nobody else can have', () => {
    const strong = choice({ room: long })
    expect(strong.decide(0)).toBeUndefined()
    expect(strong.claim(10, first)).toBe(true)
    expect(strong.decide(10)).toEqual({ type: 'take', publicKey: first })
  })

  it('waits for other claims where the id is short, and takes the only one', () => {
    const weak = choice()
    weak.claim(10, first)
    weak.claim(500, first)
    expect([weak.decide(10), weak.pollTimeout()]).toEqual([undefined, 2010])
    expect(weak.decide(2009)).toBeUndefined()
    expect(weak.decide(2010)).toEqual({ type: 'take', publicKey: first })
  })

  it('takes none of several, however fast one was, and names them', () => {
    const weak = choice()
    weak.claim(10, first)
    weak.claim(2000, second)
    const decision = weak.decide(2010)
    expect(decision).toMatchObject({ type: 'refuse', code: 'room-ambiguous' })
    for (const key of [first, second]) {
      const name = `${short}/${keyHash(crypto, key).slice(0, 16)}`
      expect(decision).toMatchObject({ text: expect.stringContaining(name) as string })
    }
  })

  it('takes the one that was named by its key or by its digits, at once', () => {
    for (const named of [choice({ hostKey: second }), choice({ hostDigits: digits })]) {
      expect(named.claim(10, first)).toBe(false)
      expect(named.decide(5000)).toBeUndefined()
      expect(named.claim(10, second)).toBe(true)
      expect(named.decide(10)).toEqual({ type: 'take', publicKey: second })
    }
  })

  it('takes the host that the room had before, whoever is faster', () => {
    const pinned = choice({ pinnedKey: second })
    pinned.claim(10, first)
    expect(pinned.decide(1000)).toBeUndefined()
    pinned.claim(1900, second)
    expect(pinned.decide(1900)).toEqual({ type: 'take', publicKey: second })
  })

  it.each([short, long])('refuses another host than before, and shows both keys (room %s)', (room) => {
    const pinned = choice({ room, pinnedKey: second })
    pinned.claim(10, first)
    const decision = pinned.decide(2010)
    expect(decision).toMatchObject({ type: 'refuse', code: 'host-key-changed' })
    for (const key of [first, second]) {
      expect(decision).toMatchObject({ text: expect.stringContaining(formatKey(key)) as string })
    }
  })

  it('does not let a link lead away from the host that the room had before', () => {
    const linked = choice({ hostKey: first, pinnedKey: second })
    linked.claim(10, first)
    expect(linked.decide(2010)).toMatchObject({ code: 'host-key-changed' })
  })

  it('hears the true host behind any number of others', () => {
    const random = new SeededRandom('others')
    const pinned = choice({ pinnedKey: second })
    const claims = Array.from({ length: 50 }, () => pinned.claim(10, random.bytes(32)))
    expect(claims.filter(Boolean)).toHaveLength(8)
    expect(pinned.claim(20, second)).toBe(true)
    expect(pinned.decide(20)).toEqual({ type: 'take', publicKey: second })
  })
})
