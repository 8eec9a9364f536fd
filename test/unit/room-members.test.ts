/** Members of a room, whole, where something goes wrong at one of them. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { GonetError } from '../../src/core/errors.js'
import { identityFromSeed } from '../../src/core/identity.js'
import { parseSubnet } from '../../src/core/overlay.js'
import { defaultRoomId, type RoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { nodeNoiseCrypto as noiseCrypto } from '../../src/node/noise-crypto.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { HostRoom } from '../../src/room/host-room.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { Calm, SimulatedInternet, SimulatedMember } from '../sim/simulated-internet.js'

/** A disk that fails for some names. */
class FailingStore extends MemoryStore {
  readonly failing = new Set<string>()

  override write(name: string, bytes: Uint8Array): void {
    if (this.failing.has(name)) throw new GonetError('store-failed', `cannot write ${name}: the disk is full`)
    super.write(name, bytes)
  }
}

let random: SeededRandom
let internet: SimulatedInternet
let room: RoomId
let store: FailingStore
let port: number

beforeEach(() => {
  random = new SeededRandom('members')
  internet = new SimulatedInternet(random.fork('internet'), Calm)
  room = defaultRoomId(crypto, identityOf('host').publicKey)
  store = new FailingStore()
  port = 2000
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

function startHost(subnet = '10.7.0.0/16'): SimulatedMember {
  const address = { address: '192.0.2.1', port: 1000 }
  const options = { ...shared('host', address), store, timeoutMs: undefined }
  const machine = new HostRoom({ ...options, signal: ['mqtt'], subnet: parseSubnet(subnet) })
  return internet.add(new SimulatedMember('host', address, machine))
}

function startGuest(name: string, timeoutMs?: number): SimulatedMember {
  port += 1
  const address = { address: '198.51.100.1', port }
  const machine = new GuestRoom({ ...shared(name, address), store: new MemoryStore(), timeoutMs })
  return internet.add(new SimulatedMember(name, address, machine))
}

function join(name: string): SimulatedMember {
  const guest = startGuest(name)
  internet.runUntil(`${name} has joined`, 10_000, () => guest.of('joined').length === 1)
  return guest
}

const leave = (member: SimulatedMember): void => {
  internet.input(member, (machine, now) => machine.leave(now))
  internet.runUntil(`${member.name} has left`, 2000, () => member.machine.ended !== undefined)
}

describe('a guest', () => {
  it('gives up in time where the host dies between the tunnel and the roster', () => {
    const host = startHost()
    const guest = startGuest('alice', 30_000)
    internet.runUntil('a path', 5000, () => guest.of('path').length === 1)
    // The handshake takes a round trip.
    internet.run(11)
    internet.kill(host)
    internet.runUntil('given up', 31_000, () => guest.machine.ended !== undefined)
    expect(guest.of('joined')).toEqual([])
    expect(guest.machine.ended?.failure).toMatchObject({ code: 'no-path' })
  })

  it('hears of nobody coming twice without going, where the host begins anew', () => {
    const first = startHost()
    const [alice] = [join('alice'), join('bob')]
    internet.kill(first)
    internet.run(5000)
    startHost()
    internet.runUntil('all are back', 60_000, () => alice.machine.members.length === 3)
    internet.run(1000)
    const ofBob = alice.of('member').filter(({ name }) => name === 'bob')
    const states = ofBob.map(({ state }) => state)
    expect(states).toEqual(states.map((_, index) => (index % 2 === 0 ? 'joined' : 'left')))
    expect(states.at(-1)).toBe('joined')
  })

  // It says goodbye for a second: the next join would be due during one of these, 7.5 to 10 s after the first.
  it.each([7300, 8200, 9100])('leaves in peace %i ms after a join that found no path', (afterMs) => {
    const host = startHost()
    const guest = join('alice')
    internet.kill(host)
    internet.cutOff.add(guest)
    startHost()
    internet.run(afterMs)
    const timeouts = vi.spyOn(guest.machine, 'handleTimeout')
    leave(guest)
    expect(guest.events.at(-1)).toEqual({ event: 'left' })
    expect(timeouts.mock.calls.length).toBeLessThan(100)
  })
})

describe('a host', () => {
  it('takes who is away off the roster where a new member gets its address', () => {
    const host = startHost('10.7.0.0/30')
    leave(join('alice'))
    const bob = join('bob')
    expect(bob.of('joined')[0]?.address).toBe('10.7.0.2')
    expect(host.machine.members.map(({ name }) => name)).toEqual(['host', 'bob'])
  })

  it('goes on where its disk fails, and says so', () => {
    const host = startHost()
    store.failing.add('addresses')
    join('alice')
    expect(host.machine.ended).toBeUndefined()
    expect(host.of('error')).toMatchObject([{ code: 'store-failed' }])
  })

  it('counts what each part of it dropped', () => {
    const host = startHost()
    const initiation = new Uint8Array(148)
    initiation[0] = 1
    internet.input(host, (machine, now) =>
      machine.handleDatagram(now, { address: '203.0.113.1', port: 1 }, initiation),
    )
    expect(new Map(host.machine.dropped()).get('wireguard invalidMac1')).toBe(1)
  })
})
