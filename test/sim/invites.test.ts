/** Rooms that are entered by an invite, whole, on a simulated internet. */
import { describe, expect, it } from 'vitest'
import { DecodeError } from '../../src/core/errors.js'
import { beaconKey, openBeacon, roomTopic } from '../../src/core/sealing.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import type { NewInvite } from '../../src/room/admission/host-invites.js'
import type { Invite, InviteOptions } from '../../src/room/admission/invite-register.js'
import { MemoryStore } from './memory-store.js'
import { Calm, type SimulatedMember, Storm } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const HourMs = 3_600_000

function invite(simulated: SimulatedRoom, host: SimulatedMember, options: InviteOptions = {}): NewInvite {
  return simulated.internet.input(host, (machine, now) => machine.invite(now, options))
}

function failureOf({ machine }: SimulatedMember): string | undefined {
  return machine.ended?.failure?.code
}

function isIn(guest: SimulatedMember): boolean {
  return guest.of('joined').length === 1
}

function isDecided(guest: SimulatedMember): boolean {
  return isIn(guest) || guest.machine.ended !== undefined
}

/** What becomes of a guest that comes by a link. */
function outcomeOf(simulated: SimulatedRoom, name: string, link: string): string {
  const guest = simulated.startGuest(name, { link, timeoutMs: 30_000 })
  simulated.internet.runUntil(`${name} is in or not`, 40_000, () => isDecided(guest))
  const outcome = failureOf(guest) ?? 'in'
  if (outcome === 'in') simulated.internet.input(guest, (machine, now) => machine.leave(now))
  simulated.internet.run(2000)
  return outcome
}

describe('a room that is entered by invite only', () => {
  it('is found by nobody who knows its id, and by whoever has an invite', () => {
    const simulated = new SimulatedRoom('invite only', Storm)
    const { internet, room } = simulated
    const host = simulated.startHost({ admission: 'invite' })
    const { link } = invite(simulated, host)
    expect(host.of('room')[0]).not.toHaveProperty('invite')
    const byId = simulated.startGuest('mallory', { timeoutMs: 20_000 })
    const invited = simulated.startGuest('anna', { link })
    internet.runUntil('she is in', 20_000, () => isIn(invited))
    internet.runUntil('he has given up', 20_000, () => byId.machine.ended !== undefined)
    expect(failureOf(byId)).toBe('room-not-found')
    // What the backend has: nothing where the id leads to, nothing that opens by it, and nothing that says it.
    expect(internet.records.length).toBeGreaterThan(2)
    const ofHost = internet.records.filter(({ record }) => record.topic === host.machine.topics[0])
    expect(host.machine.topics).toHaveLength(1)
    expect(ofHost).toHaveLength(internet.records.length)
    for (const { member, record } of internet.records) {
      if (member !== byId) expect(record.topic).not.toBe(roomTopic(crypto, room))
      expect(() => openBeacon(crypto, beaconKey(crypto, room), record.bytes)).toThrow(DecodeError)
      expect(new TextDecoder('latin1').decode(record.bytes)).not.toContain(room)
    }
  })

  it('knows whom it has let in, over restarts on both sides, by the room id alone', () => {
    const simulated = new SimulatedRoom('let in before', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'invite' })
    const { link } = invite(simulated, host, { once: true })
    const guest = simulated.startGuest('anna', { link })
    internet.runUntil('she is in', 20_000, () => isIn(guest))
    internet.kill(guest)
    internet.kill(host)
    simulated.startHost({ admission: 'invite' })
    expect(outcomeOf(simulated, 'anna', `gonet://join/${simulated.room}`)).toBe('in')
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
  })

  it('lets in nobody who was given the way to it, and no invite', () => {
    const simulated = new SimulatedRoom('the way only', Calm)
    const host = simulated.startHost({ admission: 'invite' })
    const { link } = invite(simulated, host)
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
    simulated.disk('mallory').write('room-secret', simulated.disk('anna').read('room-secret')!)
    expect(outcomeOf(simulated, 'mallory', `gonet://join/${simulated.room}`)).toBe('invite-needed')
  })
})

describe('an invite', () => {
  it('for one is used by one', () => {
    const simulated = new SimulatedRoom('once', Calm)
    const host = simulated.startHost({ admission: 'invite' })
    const { id, link } = invite(simulated, host, { once: true })
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
    expect(outcomeOf(simulated, 'mallory', link)).toBe('invite-used')
    expect(host.machine.invites).toMatchObject([{ id, state: 'used', usedBy: [{ name: 'anna' }] }])
  })

  it('for many is used by many, until it is revoked', () => {
    const simulated = new SimulatedRoom('many', Calm)
    const host = simulated.startHost({ admission: 'invite' })
    const { id, link } = invite(simulated, host)
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
    expect(outcomeOf(simulated, 'ben', link)).toBe('in')
    simulated.internet.input(host, (machine, now) => machine.revokeInvite(now, id))
    expect(outcomeOf(simulated, 'mallory', link)).toBe('invite-revoked')
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
  })

  it('that has expired, or is for another name, says so', () => {
    const simulated = new SimulatedRoom('expired', Calm)
    const host = simulated.startHost({ admission: 'invite' })
    const soon = invite(simulated, host, { expiresInMs: HourMs })
    const named = invite(simulated, host, { name: 'anna' })
    expect(outcomeOf(simulated, 'mallory', named.link)).toBe('invite-name')
    expect(outcomeOf(simulated, 'anna', named.link)).toBe('in')
    expect(outcomeOf(simulated, 'ben', soon.link)).toBe('in')
    simulated.stepClock('host', HourMs)
    expect(outcomeOf(simulated, 'clara', soon.link)).toBe('invite-expired')
    expect(host.machine.invites.map(({ state }) => state)).toEqual(['expired', 'open'])
  })

  it('with another secret, or that there is not, is not known: its state is told to nobody else', () => {
    const simulated = new SimulatedRoom('wrong secret', Calm)
    const host = simulated.startHost({ admission: 'invite' })
    const { id, link } = invite(simulated, host, { once: true, name: 'anna' })
    const wrong = link.replace(/[0-9a-f]{32}$/, '0'.repeat(32))
    const other = id === '00000000' ? '11111111' : '00000000'
    expect(outcomeOf(simulated, 'anna', wrong)).toBe('invite-unknown')
    expect(outcomeOf(simulated, 'anna', link.replace(id, other))).toBe('invite-unknown')
    simulated.internet.input(host, (machine, now) => machine.revokeInvite(now, id))
    expect(outcomeOf(simulated, 'anna', wrong)).toBe('invite-unknown')
    expect(host.machine.members).toHaveLength(1)
  })

  it('is revoked by the ban of who came by it', () => {
    const simulated = new SimulatedRoom('banned', Calm)
    const { internet } = simulated
    const host = simulated.startHost({ admission: 'invite' })
    const { link } = invite(simulated, host)
    const guest = simulated.startGuest('mallory', { link })
    internet.runUntil('he is in', 20_000, () => isIn(guest))
    internet.input(host, (machine, now) => machine.administer(now, 'ban', 'mallory'))
    internet.runUntil('he is out', 20_000, () => guest.machine.ended !== undefined)
    expect(failureOf(guest)).toBe('banned')
    expect(outcomeOf(simulated, 'the same under another key', link)).toBe('invite-revoked')
    internet.input(host, (machine, now) => machine.administer(now, 'unban', 'mallory'))
    expect(outcomeOf(simulated, 'mallory', link)).toBe('invite-revoked')
  })

  it('stands for the yes of who would be asked, and for no password', () => {
    const simulated = new SimulatedRoom('approved', Calm)
    const host = simulated.startHost({ admission: 'approve' })
    const { link } = invite(simulated, host)
    expect(outcomeOf(simulated, 'anna', link)).toBe('in')
    expect(outcomeOf(simulated, 'anna', `gonet://join/${simulated.room}`)).toBe('in')
    expect(host.of('asks')).toEqual([])
    const guarded = new SimulatedRoom('password besides', Calm)
    const guard = guarded.startHost({ admission: 'password', password: () => undefined })
    const guest = guarded.startGuest('anna', { link: invite(guarded, guard).link })
    guarded.internet.run(10_000)
    expect(isIn(guest)).toBe(false)
  })

  it('leaves the room to be found by its id where others may enter', () => {
    const simulated = new SimulatedRoom('both ways', Storm)
    const { internet } = simulated
    const host = simulated.startHost()
    const before = simulated.startGuest('ben')
    internet.runUntil('he is in', 20_000, () => isIn(before))
    const { link } = invite(simulated, host)
    const invited = simulated.startGuest('anna', { link })
    const later = simulated.startGuest('clara')
    internet.runUntil('they are in', 20_000, () => isIn(invited) && isIn(later))
    expect(host.machine.topics).toHaveLength(2)
    internet.kill(host)
    const again = simulated.startHost()
    internet.runUntil(
      'all are back',
      60_000,
      () => again.machine.members.every(({ online }) => online) && again.machine.members.length === 4,
    )
  })
})

/** Stops what writes to it, as a process that is killed does: before the disk has the value, or after. */
class DyingStore extends MemoryStore {
  dies: 'before' | 'after' | undefined

  override write(name: string, bytes: Uint8Array): void {
    const dies = name === 'invites' ? this.dies : undefined
    if (dies === 'before') throw new Killed()
    super.write(name, bytes)
    if (dies === 'after') throw new Killed()
  }
}

class Killed extends Error {}

/** Two guests with an invite for one, and a host that dies after so many of its inputs, or at its write. */
function race(
  seed: string,
  dies: number | 'before' | 'after' | undefined,
): {
  readonly inputs: number
  readonly invite: Invite
  readonly outcomes: readonly string[]
} {
  const simulated = new SimulatedRoom(seed, Storm)
  const { internet } = simulated
  const disk = new DyingStore()
  simulated.setDisk('host', disk)
  let host = simulated.startHost({ admission: 'invite' })
  const { link } = invite(simulated, host, { once: true })
  const guests = ['anna', 'ben'].map((name) => simulated.startGuest(name, { link, timeoutMs: 120_000 }))
  let inputs = 0
  const restart = (): void => {
    disk.dies = undefined
    internet.kill(host)
    host = simulated.startHost({ admission: 'invite' })
  }
  if (typeof dies === 'string') disk.dies = dies
  else {
    internet.onInput = (member) => {
      if (member !== host) return
      inputs += 1
      if (inputs === dies) throw new Killed()
    }
  }
  const isOver = (): boolean => guests.every(isDecided)
  for (let tries = 0; tries < 2; tries += 1) {
    try {
      internet.runUntil('both are in or not', 120_000, isOver)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
      restart()
    }
  }
  expect(isOver()).toBe(true)
  const outcomes = guests.map((guest) => failureOf(guest) ?? 'in')
  return { inputs, invite: host.machine.invites[0]!, outcomes }
}

describe('two guests who race for an invite for one', () => {
  const inputs = race('race', undefined).inputs

  it('one gets in, at whatever step the host is killed and comes back', { timeout: 30_000 }, () => {
    expect(inputs).toBeGreaterThan(10)
    for (const dies of [
      'before',
      'after',
      ...Array.from({ length: Math.min(inputs, 60) }, (_, index) => index + 1),
    ] as const) {
      const { invite: used, outcomes } = race('race', dies)
      expect([dies, outcomes.filter((outcome) => outcome === 'in')]).toEqual([dies, ['in']])
      expect(outcomes.join()).toMatch(/invite-(?:used|busy)/)
      expect(used).toMatchObject({ state: 'used', usedBy: [{}] })
    }
  })
})
