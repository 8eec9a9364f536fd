/** What a running room is told to do by other processes, on the simulated internet. */
import { describe, expect, it } from 'vitest'
import { GuestRoom } from '../../src/room/guest-room.js'
import { decodeEcho, encodeEcho } from '../../src/transports/ip/icmp.js'
import { decodeIpv6, encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { Calm, type SimulatedMember, Storm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

function roomOf(name: string, weather = Calm, hasInterfaces = false) {
  const simulated = new SimulatedRoom(name, weather, { hasInterfaces })
  const { internet } = simulated
  const host = simulated.startHost()
  const guests = ['alice', 'bob'].map((guest) => simulated.startGuest(guest)) as [
    SimulatedMember,
    SimulatedMember,
  ]
  internet.runUntil('joined', 30_000, () => guests.every(({ machine }) => machine.members.length === 3))
  return { simulated, internet, host, guests }
}

describe('a room that its host closes', () => {
  it('ends for its guests, under loss too, and its beacon is gone', () => {
    const { simulated, internet, host, guests } = roomOf('close', Storm)
    internet.input(host, (machine, now) => machine.leave(now, { close: true }))
    internet.runUntil('all have ended', 5000, () =>
      [host, ...guests].every(({ machine }) => machine.ended !== undefined),
    )
    expect(host.machine.ended).toEqual({})
    for (const { machine } of guests) expect(machine.ended?.failure?.code).toBe('room-closed')
    expect(internet.beacons).toEqual([])
    const late = simulated.startGuest('late', { timeoutMs: 5000 })
    internet.runUntil('it gave up', 6000, () => late.machine.ended !== undefined)
    expect(late.machine.ended?.failure?.code).toBe('room-not-found')
  })

  it('is waited for where the host only leaves', () => {
    const { internet, host, guests } = roomOf('leave')
    internet.input(host, (machine, now) => machine.leave(now))
    internet.run(60_000)
    expect(guests.map(({ machine }) => machine.ended)).toEqual([undefined, undefined])
  })

  it('is closed by nobody else', () => {
    const { simulated, internet, host, guests } = roomOf('close by a guest')
    const [alice] = guests
    expect(() => alice.machine.leave(internet.now, { close: true })).toThrow(
      expect.objectContaining({ code: 'not-the-host' }),
    )
    const mallory = simulated.startGuest('mallory', { make: (options) => new Closer(options) })
    internet.runUntil('joined', 10_000, () => mallory.of('joined').length === 1)
    const { address6 } = host.machine.members[0]!
    internet.input(mallory, (machine, now) => machine instanceof Closer && machine.sayClose(now, address6))
    internet.run(2000)
    expect(host.machine.dropped()).toContainEqual(['close-from-guest', 1])
    expect([host, alice, mallory].map(({ machine }) => machine.ended)).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })
})

/** A guest that says what only a host may. */
class Closer extends GuestRoom {
  sayClose(now: number, to: string): void {
    this.control.send(now, to, { type: 'close' })
    this.collect(now)
  }
}

describe('a ping', () => {
  function ping(
    from: SimulatedMember,
    who: string,
    { internet }: ReturnType<typeof roomOf>,
  ): number | undefined {
    let handle: number | undefined
    internet.input(from, (machine, now) => {
      handle = machine.ping(now, who).handle
    })
    let rttMs: number | undefined
    internet.runUntil('it is over', 6000, () => {
      const echo = from.machine.pollEcho()
      if (echo === undefined) return false
      expect(echo.handle).toBe(handle)
      rttMs = echo.rttMs
      return true
    })
    return rttMs
  }

  it('measures the round trip to every member that is there', () => {
    const room = roomOf('ping')
    const { host, guests } = room
    const [alice] = guests
    const toHost = ping(alice, 'host', room)
    expect(toHost).toBeGreaterThan(0)
    expect(ping(host, 'alice', room)).toBeGreaterThan(0)
    expect(ping(alice, 'bob', room)).toBeGreaterThan(toHost!)
  })

  it('goes without an answer where the way is cut off', () => {
    const room = roomOf('ping into the dark')
    const [alice, bob] = room.guests
    room.internet.cutOff.add(bob)
    expect(ping(room.host, bob.name, room)).toBeUndefined()
    expect(ping(alice, 'host', room)).toBeGreaterThan(0)
  })

  it('is answered by the system where programs have an interface, and the answer is none of theirs', () => {
    const { internet, host, guests } = roomOf('ping a system', Calm, true)
    const [alice] = guests
    internet.input(host, (machine, now) => machine.ping(now, 'alice'))
    internet.run(200)
    const request = decodeIpv6(alice.packets.pop()!)
    const echo = { ...decodeEcho(request)!, kind: 'reply' } as const
    const reply = (sequence: number): Uint8Array =>
      encodeIpv6(encodeEcho(request.destination, request.source, { ...echo, sequence }))
    for (const packet of [reply(echo.sequence), reply(echo.sequence + 1)]) {
      internet.input(alice, (machine, now) => machine.handlePackets(now, [packet]))
      internet.run(200)
    }
    expect(host.machine.pollEcho()?.rttMs).toBeGreaterThan(0)
    // The other one answers a program.
    expect(host.packets).toHaveLength(1)
  })

  it('is refused where there is nobody to answer', () => {
    const { internet, host, guests } = roomOf('ping nobody')
    const [, bob] = guests
    internet.input(bob, (machine, now) => machine.leave(now))
    internet.run(2000)
    const code = (who: string): unknown => {
      try {
        return host.machine.ping(internet.now, who)
      } catch (error) {
        return (error as { readonly code?: string }).code
      }
    }
    expect([code('bob'), code('host'), code('carol')]).toEqual([
      'member-away',
      'member-self',
      'member-unknown',
    ])
  })
})
