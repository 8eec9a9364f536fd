/** What the members of a room are called, and how that looks to the others. */
import { describe, expect, it } from 'vitest'
import { GonetError } from '../../src/core/errors.js'
import { formatKey } from '../../src/core/identity.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { Calm, type SimulatedMember, Storm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const all = (guests: readonly SimulatedMember[]) => (): boolean =>
  guests.every((guest) => guest.of('joined').length > 0 && guest.machine.members.length > guests.length)

/** Has guests of given keys join under given names, one after the other. */
function join(simulated: SimulatedRoom, named: Readonly<Record<string, string>>): SimulatedMember[] {
  return Object.entries(named).map(([key, name]) => {
    const guest = simulated.startGuest(key, { make: (options) => new GuestRoom({ ...options, name }) })
    simulated.internet.runUntil(`${key} is in`, 10_000, () => guest.of('joined').length > 0)
    simulated.internet.run(1000)
    return guest
  })
}
const namesAt = (member: SimulatedMember): string[] => member.machine.members.map(({ name }) => name)

describe('names in a room', () => {
  it('are unique, stay with the key, and are the same for everybody and in the chat', () => {
    const simulated = new SimulatedRoom('two bobs', Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const [first, second] = join(simulated, { one: 'bob', two: 'bob' }) as [SimulatedMember, SimulatedMember]
    for (const member of [host, first, second]) expect(namesAt(member)).toEqual(['host', 'bob', 'bob 2'])
    expect(second.of('warning')).toMatchObject([{ code: 'name-taken' }])
    expect(first.of('warning')).toEqual([])
    internet.post(second, 'it is me')
    internet.runUntil('both have it', 5000, () => [host, first].every(({ texts }) => texts.length === 1))
    expect([host, first].flatMap((member) => member.of('message').map(({ from }) => from))).toEqual([
      'bob 2',
      'bob 2',
    ])
    internet.kill(host)
    internet.run(1000)
    const restarted = simulated.startHost()
    internet.runUntil('all are back', 90_000, () => restarted.of('member').length >= 2)
    internet.run(2000)
    expect(namesAt(restarted).toSorted()).toEqual(['bob', 'bob 2', 'host'])
    expect(restarted.machine.members.find(({ name }) => name === 'bob 2')?.key).toBe(
      formatKey(simulated.identity('two').publicKey),
    )
  })

  it('that look alike are marked for everybody', () => {
    const simulated = new SimulatedRoom('look-alikes', Calm)
    const host = simulated.startHost()
    const guests = join(simulated, { one: 'alice', two: '\u0430li\u0441e', three: 'H0ST', four: 'dora' })
    for (const { machine } of [host, ...guests]) {
      expect(machine.members.map(({ looksLike }) => looksLike)).toEqual([
        'H0ST',
        '\u0430li\u0441e',
        'alice',
        'host',
        undefined,
      ])
    }
    expect(host.of('member').map(({ looksLike }) => looksLike)).toEqual([
      undefined,
      'alice',
      'host',
      undefined,
    ])
    expect(guests[0]!.of('member').map(({ looksLike }) => looksLike)).toEqual(['alice', 'host', undefined])
  })

  it('of somebody who has left pass for nobody who is there', () => {
    const simulated = new SimulatedRoom('borrowed name', Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const [mallory] = join(simulated, { one: 'b0b' }) as [SimulatedMember]
    internet.post(mallory, 'give me the key')
    internet.runUntil('it is there', 5000, () => host.texts.length === 1)
    internet.input(host, (machine, now) => machine.administer(now, 'kick', 'b0b'))
    internet.run(2000)
    const [, late] = join(simulated, { two: 'bob', three: 'carla' })
    internet.runUntil('the history is there', 5000, () => late!.texts.length === 1)
    expect(late!.of('message')[0]).toMatchObject({ from: 'b0b (not here)', address: '' })
  })

  it.each(['a\u001b[2Jb', 'two\nlines', 'zero\u200bwidth', '\u202egnp', '* host left', 'a:b', '\u3164'])(
    'do not get in as %j',
    (name) => {
      const simulated = new SimulatedRoom('bad names', Calm)
      const host = simulated.startHost()
      const guest = simulated.startGuest('one', { make: (options) => new GuestRoom({ ...options, name }) })
      simulated.internet.run(10_000)
      expect([host.of('member'), guest.of('joined')]).toEqual([[], []])
    },
  )
})

describe('a guest', () => {
  it('points out who comes under a name that was another’s before, once, over restarts of its own', () => {
    const simulated = new SimulatedRoom('pins', Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const [first, , bob] = join(simulated, { one: 'anna', other: 'carl', two: 'bob' })
    expect(first!.of('warning')).toEqual([])
    internet.run(2000)
    internet.kill(first!)
    internet.input(bob!, (machine, now) => machine.leave(now))
    internet.run(2000)
    internet.kill(host)
    // The host remembers no names any more, or lies.
    simulated.disk('host').remove('names')
    simulated.startHost()
    const [again] = join(simulated, { one: 'anna', three: 'bob' })
    internet.run(3000)
    const warnings = again!.of('warning')
    expect(warnings.map(({ code }) => code)).toEqual(['member-key-changed'])
    expect(warnings[0]?.message).toContain(formatKey(simulated.identity('two').publicKey))
    expect(warnings[0]?.message).toContain(formatKey(simulated.identity('three').publicKey))
    expect(warnings[0]?.message).not.toMatch(/\n/)
    expect(namesAt(again!)).toContain('bob')
    internet.kill(again!)
    const [third] = join(simulated, { one: 'anna' })
    expect(third!.of('warning')).toHaveLength(1)
  })

  it('goes on where its disk is full, and says so', () => {
    const simulated = new SimulatedRoom('full disk', Calm)
    simulated.startHost()
    const disk = simulated.disk('one')
    const write = disk.write.bind(disk)
    disk.write = (name, bytes) => {
      if (name === 'members') throw new GonetError('store-failed', 'the disk is full')
      write(name, bytes)
    }
    const [guest] = join(simulated, { one: 'anna' })
    expect(guest!.of('error')).toMatchObject([{ code: 'store-failed' }])
    expect(guest!.machine.ended).toBeUndefined()
  })
})

it('a roster is the same for all under loss and reordering, with members that come and go', () => {
  const simulated = new SimulatedRoom('roster storm', Storm)
  const { internet } = simulated
  const host = simulated.startHost()
  const guests = Array.from({ length: 12 }, (_, index) => simulated.startGuest(`guest ${index}`))
  internet.runUntil('all are in', 60_000, all(guests))
  for (const guest of guests.slice(0, 4)) {
    internet.input(guest, (machine, now) => machine.leave(now))
    internet.run(300)
  }
  internet.run(20_000)
  const stay = guests.slice(4)
  for (const { machine, events } of stay) {
    expect(machine.members).toEqual(host.machine.members)
    expect(events.filter(({ event }) => event === 'error')).toEqual([])
  }
  internet.kill(host)
  internet.run(40_000)
  // What is known stays while the host is away.
  for (const { machine } of stay) expect(machine.members).toHaveLength(13)
})
