/** Whole rooms on a simulated internet: a failing seed is printed, and replays with GONET_SEED=… */
import { describe, expect, it } from 'vitest'
import { SeededRandom } from './seeded-random.js'
import { seedsToRun } from './seeds.js'
import { Calm, type SimulatedMember, Storm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const Guests = 20
const Rounds = 3

describe.each(seedsToRun(3))('seed %s', (seed) => {
  it('brings a host and 20 guests together, and every message to each of them exactly once', () => {
    const simulated = new SimulatedRoom(seed, Storm)
    const { internet } = simulated
    const host = simulated.startHost()
    const guests = Array.from({ length: Guests }, (_, index) => simulated.startGuest(`guest ${index}`))
    const all = [host, ...guests]
    internet.runUntil('all have joined', 60_000, () => guests.every((guest) => guest.of('joined').length > 0))
    internet.runUntil('all see each other', 30_000, () =>
      all.every(({ machine }) => machine.members.filter(({ online }) => online).length === all.length),
    )

    const random = new SeededRandom(`what is said with seed ${seed}`)
    const said: { readonly by: SimulatedMember; readonly text: string; readonly id: string }[] = []
    for (let round = 0; round < Rounds; round += 1) {
      for (const by of all) {
        const text = `${by.name} says ${round}: ${'x'.repeat(Math.floor(random.fraction() * 3000))}`
        said.push({ by, text, id: internet.post(by, text) })
        internet.run(random.fraction() * 100)
      }
    }
    internet.runUntil('everything is delivered', 120_000, () =>
      all.every(({ machine }) => machine.undelivered === 0),
    )
    for (const member of all) {
      const others = said.filter(({ by }) => by !== member)
      expect(member.texts.toSorted()).toEqual(others.map(({ text }) => text).toSorted())
      const own = said.filter(({ by }) => by === member).map(({ id }) => id)
      expect(member.of('delivered').map(({ id }) => id)).toEqual(own)
      for (const { from, address, text } of member.of('message')) {
        expect(text.startsWith(`${from} says`)).toBe(true)
        expect(address).toBe(host.machine.members.find(({ name }) => name === from)?.address)
      }
    }
    const addresses = host.machine.members.map(({ address }) => address)
    expect(new Set(addresses).size).toBe(all.length)
  }, 120_000)
})

describe('a room', () => {
  it('goes on where its host begins anew: guests come back by themselves, nothing is lost or doubled', () => {
    const simulated = new SimulatedRoom('host restarts', Calm)
    const { internet } = simulated
    const first = simulated.startHost()
    const [alice, bob] = [simulated.startGuest('alice'), simulated.startGuest('bob')]
    internet.runUntil('joined', 10_000, () => [alice, bob].every((guest) => guest.of('joined').length === 1))
    const addresses = first.machine.members.map(({ name, address }) => [name, address])
    internet.post(alice, 'before')
    internet.run(1000)
    internet.kill(first)
    internet.post(bob, 'while it was away')
    internet.run(5000)
    const second = simulated.startHost()
    internet.runUntil('all are back', 15_000, () =>
      [alice, bob].every(({ machine }) => machine.members.length === 3 && machine.undelivered === 0),
    )
    internet.post(second, 'after')
    internet.runUntil('delivered', 10_000, () => second.machine.undelivered === 0)
    expect(second.machine.members.map(({ name, address }) => [name, address]).toSorted()).toEqual(
      addresses.toSorted(),
    )
    expect(alice.texts).toEqual(['while it was away', 'after'])
    expect(bob.texts).toEqual(['before', 'after'])
    expect(second.texts).toEqual(['while it was away'])
  })

  it('gives a guest that was killed what it missed, and its address back', () => {
    const simulated = new SimulatedRoom('guest restarts', Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const first = simulated.startGuest('alice')
    internet.runUntil('joined', 10_000, () => first.of('joined').length === 1)
    internet.post(host, 'seen')
    internet.run(1000)
    internet.kill(first)
    internet.runUntil('its silence is noticed', 30_000, () =>
      host.of('member').some(({ state }) => state === 'left'),
    )
    internet.post(host, 'missed')
    const second = simulated.startGuest('alice')
    internet.runUntil('joined again', 10_000, () => second.of('joined').length === 1)
    internet.runUntil('caught up', 10_000, () => host.machine.undelivered === 0)
    expect(second.texts).toEqual(['missed'])
    expect(second.of('joined')[0]?.address).toBe(first.of('joined')[0]?.address)
    expect(host.of('delivered')).toHaveLength(2)
  })

  it('shows newcomers no more history than it is set to', () => {
    const simulated = new SimulatedRoom('history', Calm, { historyLimit: 2 })
    const { internet } = simulated
    const host = simulated.startHost()
    for (const text of ['one', 'two', 'three', 'four']) internet.post(host, text)
    const alice = simulated.startGuest('alice')
    internet.runUntil('joined', 10_000, () => alice.of('joined').length === 1)
    internet.post(host, 'five')
    internet.runUntil('five', 10_000, () => alice.texts.includes('five'))
    expect(alice.texts).toEqual(['three', 'four', 'five'])
    internet.post(alice, 'six')
    internet.runUntil('six', 10_000, () => alice.machine.undelivered === 0)
    expect(host.of('message').map(({ text, late }) => [text, late])).toEqual([['six', undefined]])
  })

  it('shows no message before it has said that the guest is in, whatever is lost on the way', () => {
    const simulated = new SimulatedRoom('history first', Storm)
    const { internet } = simulated
    const host = simulated.startHost()
    internet.post(host, 'before you came')
    const guests = Array.from({ length: 20 }, (_, index) => simulated.startGuest(`guest ${index}`))
    internet.runUntil('all know', 60_000, () =>
      guests.every(({ texts }) => texts.includes('before you came')),
    )
    for (const guest of guests) {
      const shown = guest.events.filter(({ event }) => event === 'joined' || event === 'message')
      expect(shown[0]?.event).toBe('joined')
      expect(guest.of('message')[0]?.address).toBe(host.machine.members[0]?.address)
    }
  })

  it('tells who comes and who leaves', () => {
    const simulated = new SimulatedRoom('coming and going', Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const [alice, bob] = [simulated.startGuest('alice'), simulated.startGuest('bob')]
    internet.runUntil('both are there', 10_000, () =>
      [alice, bob].every(({ machine }) => machine.members.filter(({ online }) => online).length === 3),
    )
    internet.input(bob, (machine, now) => machine.leave(now))
    internet.runUntil('bob has left', 2000, () => bob.machine.ended !== undefined)
    expect(bob.events.at(-1)).toEqual({ event: 'left' })
    internet.runUntil('alice knows', 2000, () => alice.of('member').at(-1)?.state === 'left')
    expect(alice.of('member').at(-1)?.name).toBe('bob')
    internet.input(host, (machine, now) => machine.leave(now))
    internet.runUntil('the host has left', 2000, () => host.machine.ended !== undefined)
    internet.runUntil('alice sees it', 2000, () => alice.of('member').at(-1)?.name === 'host')
    expect(alice.of('member').at(-1)?.state).toBe('left')
    expect(alice.machine.ended).toBeUndefined()
  })

  it.each([
    ['its backend is down', 'no-backend', false],
    ['nobody hosts it', 'room-not-found', true],
  ] as const)('is given up where %s', (_, code, isBackendUp) => {
    const simulated = new SimulatedRoom(code, Calm)
    const guest = simulated.startGuest('alice', { timeoutMs: 30_000, isBackendUp })
    simulated.internet.runUntil('given up', 31_000, () => guest.machine.ended !== undefined)
    expect(guest.machine.ended?.failure).toMatchObject({ code })
  })

  it('is given up where the host was found, and no path to it', () => {
    const simulated = new SimulatedRoom('no path', { ...Calm, loss: 1 })
    simulated.startHost()
    const guest = simulated.startGuest('alice', { timeoutMs: 30_000 })
    simulated.internet.runUntil('given up', 31_000, () => guest.machine.ended !== undefined)
    expect(guest.machine.ended?.failure).toMatchObject({ code: 'no-path' })
  })
})
