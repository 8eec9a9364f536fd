/** A host whose addresses a shared store gives out: what it asks, and what it makes of the answers. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { AddressAnswer, AddressRequest, AddressTransmit } from '../../src/core/address-allocator.js'
import { identityFromSeed } from '../../src/core/identity.js'
import { AddressPool, formatNumber, numberIn, parseSubnet } from '../../src/core/overlay.js'
import { defaultRoomId, type RoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { nodeNoiseCrypto as noiseCrypto } from '../../src/node/noise-crypto.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { HostRoom } from '../../src/room/host-room.js'
import type { RoomTransmit } from '../../src/room/room-machine.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { Calm, SimulatedInternet, SimulatedMember } from '../sim/simulated-internet.js'

const subnet = parseSubnet('10.7.0.0/16')
let random: SeededRandom
let internet: SimulatedInternet
let room: RoomId
let port: number
let asked: AddressTransmit[]
/** How the store answers; undefined for not at all. */
let answer: (request: AddressRequest) => AddressAnswer | undefined

class AskingHost extends HostRoom {
  override pollTransmit(): RoomTransmit | undefined {
    const sent = super.pollTransmit()
    if (sent?.type !== 'address') return sent
    const { address } = sent
    asked.push(address)
    const given = address.kind === 'allocate' ? answer(address.request) : undefined
    if (address.kind === 'allocate' && given !== undefined) {
      this.handleAddress(internet.now, address.id, given)
      // A second answer is none.
      this.handleAddress(internet.now, address.id, 99)
    }
    return this.pollTransmit()
  }
}

beforeEach(() => {
  random = new SeededRandom('addresses')
  internet = new SimulatedInternet(random.fork('internet'), Calm)
  room = defaultRoomId(crypto, identityOf('host').publicKey)
  port = 2000
  asked = []
  answer = () => undefined
})

function identityOf(name: string): ReturnType<typeof identityFromSeed> {
  return identityFromSeed(crypto, new SeededRandom(`key of ${name}`).bytes(32))
}

function shared(name: string, address: { readonly address: string; readonly port: number }) {
  return {
    identity: identityOf(name),
    room,
    name,
    crypto,
    noiseCrypto,
    random: random.fork(`${name} ${port}`),
    wall: { unixMs: () => 1_800_000_000_000 + internet.now },
    mtu: 1280,
    historyLimit: 200,
    localAddresses: [address],
    stunServers: 0,
    loopback: false,
  }
}

function startHost(): SimulatedMember {
  const address = { address: '192.0.2.1', port: 1000 }
  const options = { ...shared('host', address), store: new MemoryStore(), timeoutMs: undefined }
  const more = { signal: ['mqtt'], subnet, allocates: true }
  return internet.add(new SimulatedMember('host', address, new AskingHost({ ...options, ...more })))
}

function startGuest(name: string): SimulatedMember {
  port += 1
  const address = { address: '198.51.100.1', port }
  const machine = new GuestRoom({ ...shared(name, address), store: new MemoryStore(), timeoutMs: 30_000 })
  return internet.add(new SimulatedMember(name, address, machine))
}

function join(name: string, withinMs = 10_000): string | undefined {
  const guest = startGuest(name)
  internet.runUntil(`${name} has joined`, withinMs, () => guest.of('joined').length === 1)
  return guest.of('joined')[0]?.address
}

const kinds = (): string[] => asked.map(({ kind }) => kind)

describe('a host with a store that gives out addresses', () => {
  it('gives what the store gives, keeps it, and releases it', () => {
    answer = () => 77
    startHost()
    const guest = startGuest('alice')
    internet.runUntil('alice has joined', 10_000, () => guest.of('joined').length === 1)
    expect(guest.of('joined')[0]?.address).toBe('10.7.0.77')
    const [allocate, keep] = asked
    expect(kinds()).toEqual(['allocate', 'keep'])
    expect(keep).toMatchObject({ address: { subnet, number: 77 } })
    if (allocate?.kind !== 'allocate' || keep?.kind !== 'keep') throw new Error('not asked')
    expect(keep.claim.holder).toBe(allocate.request.holder)
    expect(keep.claim.holder).toMatch(/^[a-z2-7]{32}$/)
    const { sealed, readable } = keep.claim
    expect(JSON.parse(readable)).toMatchObject({ name: 'alice' })
    expect(Buffer.from(sealed).includes('alice')).toBe(false)
    expect(sealed).not.toEqual(allocate.request.sealed)
    internet.input(guest, (machine, now) => machine.leave(now))
    internet.runUntil('released', 2000, () => kinds().includes('release'))
  })

  it('chooses itself where the store does not answer, or cannot', () => {
    startHost()
    const startedAt = internet.now
    expect(join('alice')).toBe('10.7.0.2')
    expect(internet.now - startedAt).toBeGreaterThan(3000)
    answer = () => 'unavailable'
    const before = internet.now
    expect(join('bob')).toBe('10.7.0.3')
    expect(internet.now - before).toBeLessThan(3000)
  })

  it('tells the store what is in use, and trusts it no further', () => {
    startHost()
    answer = () => 5
    expect(join('alice')).toBe('10.7.0.5')
    expect(join('bob')).toBe('10.7.0.2')
    const last = asked.findLast(({ kind }) => kind === 'allocate')
    if (last?.kind !== 'allocate') throw new Error('not asked')
    expect([...last.request.avoid]).toEqual([5])
  })

  it('says so where the store has none left', () => {
    startHost()
    answer = () => 'none'
    const guest = startGuest('alice')
    internet.runUntil('refused', 10_000, () => guest.machine.ended !== undefined)
    expect(guest.machine.ended?.failure).toMatchObject({ code: 'room-full' })
  })

  it('asks for what a member had before', () => {
    startHost()
    answer = ({ preferred }) => preferred ?? 40
    const guest = startGuest('alice')
    internet.runUntil('joined', 10_000, () => guest.of('joined').length === 1)
    internet.input(guest, (machine, now) => machine.leave(now))
    internet.runUntil('left', 2000, () => guest.machine.ended !== undefined)
    expect(join('alice')).toBe('10.7.0.40')
  })
})

describe('an address pool', () => {
  const keyOf = (name: string): Uint8Array => identityOf(name).publicKey

  it('takes what another allocator has given', () => {
    const store = new MemoryStore()
    const pool = new AddressPool(subnet, store)
    const nobody = (): boolean => false
    expect(pool.allocate(0, keyOf('a'), nobody)).toBe('10.7.0.2')
    pool.commit(0, keyOf('a'))
    expect(pool.assign(1, keyOf('b'), 2)).toBe('10.7.0.2')
    expect([pool.numberOf(keyOf('a')), pool.numberOf(keyOf('b'))]).toEqual([undefined, 2])
    expect(pool.assign(2, keyOf('b'), 9)).toBe('10.7.0.9')
    pool.commit(2000, keyOf('b'))
    pool.assign(2001, keyOf('b'), 9)
    expect(new AddressPool(subnet, store).numberOf(keyOf('b'))).toBe(9)
    expect([...pool.numbersOf(() => true)]).toEqual([9])
  })

  it('knows the numbers of a network', () => {
    expect(formatNumber(subnet, 258)).toBe('10.7.1.2')
    expect(numberIn(subnet, '10.7.1.2')).toBe(258)
    for (const address of [
      '10.7.0.0',
      '10.7.0.1',
      '10.7.255.255',
      '10.8.0.2',
      '10.6.0.2',
      'x',
      '',
      '10.7.0.02',
    ])
      expect(numberIn(subnet, address)).toBeUndefined()
  })
})
