import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/core/identity.js'
import { isNewer, MaxRosterMembers, type Roster, readRoster, writeRoster } from '../../src/core/roster.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import {
  fragmentRoster,
  RosterAssembly,
  type RosterFragment,
  readControl,
  writeControl,
} from '../../src/room/control.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('roster')
const host = identityFromSeed(crypto, random.bytes(32))
const room = 'cf83e1357eef'
const member = (name: string, online = true): Roster['members'][number] => ({
  publicKey: random.bytes(32),
  name,
  address: '10.7.200.3',
  online,
})
const link = random.bytes(32)
const roster: Roster = { term: 3, version: 7, link, members: [member('alice'), member('Zoë ☃', false)] }

describe('a roster', () => {
  const bytes = writeRoster(crypto.signer(host.secretKey), room, roster)

  it('comes back as it was written', () => {
    expect(readRoster(crypto, host.publicKey, room, bytes)).toEqual(roster)
  })

  it('is refused from another host, for another room, changed or cut', () => {
    const other = identityFromSeed(crypto, random.bytes(32))
    expect(() => readRoster(crypto, other.publicKey, room, bytes)).toThrow(/not signed/)
    expect(() => readRoster(crypto, host.publicKey, 'cf83e1', bytes)).toThrow(/not signed/)
    for (const at of [0, 4, 30, bytes.length - 1]) {
      const changed = Uint8Array.from(bytes)
      changed[at]! ^= 1
      expect(() => readRoster(crypto, host.publicKey, room, changed)).toThrow(/roster/)
    }
    expect(() => readRoster(crypto, host.publicKey, room, bytes.subarray(0, 40))).toThrow(/not a roster/)
  })

  it('is refused with a bad name, or bytes too many, though the host signed it', () => {
    const bad = writeRoster(crypto.signer(host.secretKey), room, {
      ...roster,
      members: [member('a\u001b[2J')],
    })
    expect(() => readRoster(crypto, host.publicKey, room, bad)).toThrow(/member/)
  })

  it('is newer by term, then by version', () => {
    expect(isNewer({ term: 2, version: 1 }, { term: 1, version: 9 })).toBe(true)
    expect(isNewer({ term: 1, version: 2 }, { term: 1, version: 1 })).toBe(true)
    expect(isNewer({ term: 1, version: 1 }, { term: 1, version: 1 })).toBe(false)
  })

  it('of the largest size crosses in datagrams that fit, in any order, and doubled', () => {
    const members = Array.from({ length: MaxRosterMembers }, (_, index) =>
      member(`${'☃'.repeat(30)}${index % 9}`),
    )
    const whole = writeRoster(crypto.signer(host.secretKey), room, { term: 1, version: 1, link, members })
    const fragments = fragmentRoster({ term: 1, version: 1 }, whole)
    const datagrams = fragments.map(writeControl)
    expect(Math.max(...datagrams.map((datagram) => datagram.length))).toBeLessThanOrEqual(1232)
    const assembly = new RosterAssembly()
    const shuffled = datagrams.toReversed().flatMap((datagram) => [datagram, datagram])
    const done = shuffled.flatMap((datagram) => assembly.add(readControl(datagram) as RosterFragment) ?? [])
    expect(done).toHaveLength(1)
    expect(readRoster(crypto, host.publicKey, room, done[0]!).members).toHaveLength(MaxRosterMembers)
  })
})

describe('control messages', () => {
  it.each([
    { type: 'chat', payload: Uint8Array.of(1, 2, 3) },
    { type: 'roster', number: { term: 1, version: 2 }, index: 0, count: 2, bytes: Uint8Array.of(9) },
    { type: 'state', number: { term: 4_000_000_000, version: 0 } },
    { type: 'leave' },
    { type: 'leave-ack' },
    { type: 'search' },
    { type: 'roster-change', bytes: Uint8Array.of(1, 2, 3) },
    { type: 'roster-receipt', number: { term: 4, version: 5 } },
  ] as const)('come back as they were written: $type', (message) => {
    expect(readControl(writeControl(message))).toEqual(message)
  })

  it.each([
    [],
    [0],
    [7],
    [6, 0],
    [3, 0],
    [4, 0],
    [12, 0],
    [10, ...new Array<number>(1001).fill(0)],
    [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 9],
    [2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 255, 255, 9],
  ])('are refused in any other form: %j', (...bytes) => {
    expect(() => readControl(Uint8Array.from(bytes))).toThrow(/not a control message/)
  })
})
