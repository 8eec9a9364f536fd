/** Who gets into a room and who does not, whole rooms on a simulated internet. */
import { ready } from '@serenity-kit/opaque'
import { beforeAll, describe, expect, it } from 'vitest'
import { formatKey } from '../../src/core/identity.js'
import { memberAddress6 } from '../../src/core/overlay.js'
import type { PasswordAnswer } from '../../src/core/password-proof.js'
import { OpaqueGuest, OpaqueHost, type OpaqueSide, registerPassword } from '../../src/node/password/opaque.js'
import { GuestRoom, type GuestRoomOptions } from '../../src/room/guest-room.js'
import { parseAddress } from '../../src/transports/ip/address.js'
import { encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { Calm, type SimulatedMember, type SimulatedPassword, Storm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

/** As little stretching as Argon2 allows: what it costs is not what is tested here. */
const Quick = { 'argon2id-custom': { iterations: 1, memory: 8, parallelism: 1 } }

const sideOf =
  (side: OpaqueSide): SimulatedPassword =>
  (request, answer) => {
    const answered = side.perform(request)
    if (request.kind !== 'forget') answer(answered)
  }
const knows = (password: string): SimulatedPassword => sideOf(new OpaqueGuest(password, Quick))
const asksFor = (simulated: SimulatedRoom, password: string): SimulatedPassword =>
  sideOf(new OpaqueHost(registerPassword(password, simulated.hostKey, Quick), simulated.hostKey))

function failureOf({ machine }: SimulatedMember): string | undefined {
  return machine.ended?.failure?.code
}

beforeAll(() => ready)

describe('a room with a password', () => {
  it('lets in who knows it, under loss and reordering too', () => {
    const simulated = new SimulatedRoom('password', Storm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const guests = Array.from({ length: 10 }, (_, index) =>
      simulated.startGuest(`guest ${index}`, { hasPassword: true, password: knows('open sesame') }),
    )
    internet.runUntil('all are in', 60_000, () => guests.every((guest) => guest.of('joined').length === 1))
    internet.post(guests[0]!, 'hello')
    internet.runUntil('it is there', 20_000, () => host.texts.includes('hello'))
  })

  it('turns away who does not, tells the host once, and has nothing of them on the roster', () => {
    const simulated = new SimulatedRoom('wrong password', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const guest = simulated.startGuest('mallory', { hasPassword: true, password: knows('open barley') })
    internet.runUntil('it has ended', 20_000, () => guest.machine.ended !== undefined)
    expect(failureOf(guest)).toBe('password-wrong')
    internet.run(60_000)
    expect(host.of('refused').map(({ code }) => code)).toEqual(['password-wrong'])
    expect(host.of('member')).toEqual([])
    expect(host.machine.members).toHaveLength(1)
  })

  it('turns away who has none', () => {
    const simulated = new SimulatedRoom('no password', Calm)
    const { internet } = simulated
    simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const guest = simulated.startGuest('anna', {
      password: (_request, answer) => answer({ kind: 'unavailable' }),
    })
    internet.runUntil('it has ended', 20_000, () => guest.machine.ended !== undefined)
    expect(failureOf(guest)).toBe('password-needed')
  })

  it('waits for somebody who types it, longer than a join may take otherwise', () => {
    const simulated = new SimulatedRoom('slow fingers', Calm)
    const { internet } = simulated
    simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const side = new OpaqueGuest('open sesame', Quick)
    let type: (() => void) | undefined
    const guest = simulated.startGuest('anna', {
      timeoutMs: 30_000,
      password: (request, answer) => {
        if (request.kind === 'start') type = () => answer(side.perform(request))
        else if (request.kind === 'finish') answer(side.perform(request))
      },
    })
    internet.run(90_000)
    expect(guest.of('joined')).toEqual([])
    expect(guest.machine.ended).toBeUndefined()
    type?.()
    internet.runUntil('it is in', 10_000, () => guest.of('joined').length === 1)
  })

  it('shows nothing to who has not proved it, and takes nothing from them', () => {
    const simulated = new SimulatedRoom('quarantine', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const member = simulated.startGuest('anna', { hasPassword: true, password: knows('open sesame') })
    internet.runUntil('she is in', 20_000, () => member.of('joined').length === 1)
    // It has a tunnel, and never answers the challenge.
    const intruder = simulated.startGuest('mallory', {
      make: (options) => new Intruder(options, simulated.hostKey),
      password: () => undefined,
    })
    internet.run(5000)
    const id = internet.post(intruder, 'let me in')
    internet.input(intruder, (machine, now) => {
      if (machine instanceof Intruder) machine.barge(now)
    })
    internet.post(host, 'a secret')
    internet.run(10_000)
    expect(host.machine.members.map(({ name }) => name)).toEqual(['host', 'anna'])
    expect(member.machine.members.map(({ name }) => name)).toEqual(['host', 'anna'])
    expect(host.texts).toEqual([])
    expect(member.texts).toEqual(['a secret'])
    expect(intruder.texts).toEqual([])
    expect(intruder.machine.members).toEqual([])
    expect(intruder.of('delivered').map((event) => event.id)).not.toContain(id)
    const dropped = new Map(host.machine.dropped())
    expect(dropped.get('packet-in-quarantine') ?? 0).toBeGreaterThan(0)
  })

  it('limits guesses by fresh keys, which does not keep out who has been in before', () => {
    const simulated = new SimulatedRoom('guessing', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    const before = simulated.startGuest('anna', { hasPassword: true, password: knows('open sesame') })
    internet.runUntil('she is in', 20_000, () => before.of('joined').length === 1)
    internet.input(before, (machine, now) => machine.leave(now))
    internet.runUntil('she has left', 5000, () => before.machine.ended !== undefined)
    const guesses = Array.from({ length: 30 }, (_, index) =>
      simulated.startGuest(`guess ${index}`, { hasPassword: true, password: knows(`sesame ${index}`) }),
    )
    internet.runUntil('all have ended', 60_000, () =>
      guesses.every(({ machine }) => machine.ended !== undefined),
    )
    const codes = guesses.map(failureOf)
    // They all come from one network.
    expect(codes.filter((code) => code === 'password-wrong').length).toBeLessThanOrEqual(11)
    expect(codes.filter((code) => code === 'password-limited').length).toBeGreaterThanOrEqual(19)
    expect(host.of('refused').length).toBeLessThanOrEqual(11)
    const again = simulated.startGuest('anna', { hasPassword: true, password: knows('open sesame') })
    internet.runUntil('she is in again', 20_000, () => again.of('joined').length === 1)
  })

  it('is not entered by a host of another key that passes a login on', () => {
    const simulated = new SimulatedRoom('the true room', Calm)
    const trap = new SimulatedRoom('the squatter', Calm)
    const host = simulated.startHost({ admission: 'password', password: asksFor(simulated, 'open sesame') })
    /** What stands between the two logins. */
    const wire: Partial<Record<'ke1' | 'ke2' | 'ke3', (answered: PasswordAnswer) => void>> = {}
    let firstMessage: Uint8Array | undefined
    const mallory = (): SimulatedMember =>
      simulated.startGuest('mallory', {
        hasPassword: true,
        password: (request, answer) => {
          if (request.kind === 'start') answer({ kind: 'done', message: firstMessage ?? new Uint8Array() })
          else if (request.kind === 'finish') {
            wire.ke3 = answer
            wire.ke2?.({ kind: 'done', message: request.message })
          }
        },
      })
    let spy: SimulatedMember | undefined
    const squatter: SimulatedPassword = (request, answer) => {
      if (request.kind === 'respond') {
        firstMessage = request.message
        wire.ke2 = answer
        spy = mallory()
      } else if (request.kind === 'verify') {
        wire.ke3?.({ kind: 'done', message: request.message, sessionKey: new Uint8Array(64) })
      }
    }
    trap.startHost({ admission: 'password', password: squatter })
    const victim = trap.startGuest('anna', { hasPassword: true, password: knows('open sesame') })
    for (let step = 0; step < 600 && victim.machine.ended === undefined; step += 1) {
      trap.internet.run(50)
      simulated.internet.run(50)
    }
    expect(failureOf(victim)).toBe('password-wrong')
    simulated.internet.run(60_000)
    expect(spy).toBeDefined()
    expect(spy?.of('joined')).toEqual([])
    expect(host.machine.members).toHaveLength(1)
  })

  it('is not what somebody takes for it who has a password and is asked for none', () => {
    const simulated = new SimulatedRoom('no questions', Calm)
    const { internet } = simulated
    simulated.startHost()
    const guest = simulated.startGuest('anna', { hasPassword: true, password: knows('open sesame') })
    internet.runUntil('it has ended', 20_000, () => guest.machine.ended !== undefined)
    expect(failureOf(guest)).toBe('password-not-asked')
  })
})

describe('a room where somebody is asked', () => {
  it('lets in whom they approve, and remembers it over restarts', () => {
    const simulated = new SimulatedRoom('approval', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'approve' })
    const guest = simulated.startGuest('anna', { timeoutMs: 30_000 })
    internet.runUntil('somebody is asked', 10_000, () => host.of('asks').length === 1)
    expect(host.of('asks')[0]).toMatchObject({
      name: 'anna',
      key: formatKey(simulated.identity('anna').publicKey),
    })
    internet.run(120_000)
    expect(guest.of('waiting')).toHaveLength(1)
    expect(guest.machine.ended).toBeUndefined()
    expect(host.machine.members).toHaveLength(1)
    internet.input(host, (machine, now) => machine.administer(now, 'approve', 'anna'))
    internet.runUntil('she is in', 10_000, () => guest.of('joined').length === 1)
    internet.kill(host)
    internet.kill(guest)
    const next = simulated.startHost({ admission: 'approve' })
    const again = simulated.startGuest('anna')
    internet.runUntil('she is in again', 10_000, () => again.of('joined').length === 1)
    expect(next.of('asks')).toEqual([])
  })

  it('turns away whom they deny', () => {
    const simulated = new SimulatedRoom('denial', Storm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'approve' })
    const guest = simulated.startGuest('anna')
    internet.runUntil('somebody is asked', 20_000, () => host.of('asks').length === 1)
    internet.input(host, (machine, now) => machine.administer(now, 'deny', 'anna'))
    internet.runUntil('she has ended', 10_000, () => guest.machine.ended !== undefined)
    expect(failureOf(guest)).toBe('not-approved')
    expect(host.machine.members).toHaveLength(1)
  })

  it('asks about so many at once, of one network and in all, whoever floods it', () => {
    const simulated = new SimulatedRoom('flood of knocks', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'approve' })
    const flood = Array.from({ length: 40 }, (_, index) => simulated.startGuest(`stranger ${index}`))
    internet.run(60_000)
    expect(host.of('asks').length).toBe(8)
    expect(flood.filter((each) => failureOf(each) === 'host-busy').length).toBe(32)
  })
})

describe('a room with a list', () => {
  it('lets in the keys on it, and says to others what their key is', () => {
    const simulated = new SimulatedRoom('list', Calm)
    const { internet } = simulated
    simulated.startHost({ admission: 'allow', allow: [formatKey(simulated.identity('anna').publicKey)] })
    const [listed, other] = [simulated.startGuest('anna'), simulated.startGuest('mallory')]
    internet.runUntil('she is in', 10_000, () => listed.of('joined').length === 1)
    internet.runUntil('the other has ended', 10_000, () => other.machine.ended !== undefined)
    expect(failureOf(other)).toBe('not-allowed')
    expect(other.machine.ended?.failure?.message).toContain(
      formatKey(simulated.identity('mallory').publicKey),
    )
  })
})

describe.each(['kick', 'ban'] as const)('a member that was put out by a %s', (act) => {
  const code = act === 'kick' ? 'kicked' : 'banned'

  it('is told, is not on the roster, and does not come back, under a new epoch neither', () => {
    const simulated = new SimulatedRoom(`${act} once`, Storm)
    const { internet } = simulated
    const host = simulated.startHost()
    const [anna, mallory] = [simulated.startGuest('anna'), simulated.startGuest('mallory')]
    internet.runUntil('both are in', 20_000, () =>
      [anna, mallory].every((guest) => guest.of('joined').length === 1 && guest.machine.members.length === 3),
    )
    internet.input(host, (machine, now) => machine.administer(now, act, 'mallory'))
    internet.runUntil('he has ended', 10_000, () => mallory.machine.ended !== undefined)
    expect(failureOf(mallory)).toBe(code)
    internet.runUntil('anna sees it', 10_000, () => anna.machine.members.length === 2)
    internet.kill(host)
    simulated.startHost()
    const again = simulated.startGuest('mallory')
    internet.runUntil('he has ended again', 20_000, () => again.machine.ended !== undefined)
    expect(failureOf(again)).toBe(code)
  })

  it('may come back when that has ended', () => {
    const simulated = new SimulatedRoom(`${act} ends`, Calm)
    const { internet } = simulated
    const host = simulated.startHost()
    const mallory = simulated.startGuest('mallory')
    internet.runUntil('he is in', 10_000, () => mallory.of('joined').length === 1)
    internet.input(host, (machine, now) => machine.administer(now, act, 'mallory'))
    internet.runUntil('he has ended', 10_000, () => mallory.machine.ended !== undefined)
    if (act === 'kick') internet.run(10 * 60_000)
    else internet.input(host, (machine, now) => machine.administer(now, 'unban', 'mallory'))
    const again = simulated.startGuest('mallory')
    internet.runUntil('he is in again', 10_000, () => again.of('joined').length === 1)
  })
})

/** Talks to the room before it is in. */
class Intruder extends GuestRoom {
  private readonly options: GuestRoomOptions
  private readonly host: Uint8Array

  constructor(options: GuestRoomOptions, host: Uint8Array) {
    super(options)
    this.options = options
    this.host = host
  }

  barge(now: number): void {
    this.chat.addNeighbour(now, 'nobody', new Uint8Array(32))
    this.sendChat(now, '', Uint8Array.of(1, 2, 3))
    this.knock(now)
  }

  private knock(now: number): void {
    const [source, destination] = [this.options.identity.publicKey, this.host].map((key) =>
      parseAddress(memberAddress6(this.options.crypto, this.options.room, key)),
    )
    const payload = Uint8Array.of(128, 0, 0, 0, 0, 0, 0, 0)
    this.underlay.send(now, encodeIpv6({ source: source!, destination: destination!, protocol: 58, payload }))
  }
}
