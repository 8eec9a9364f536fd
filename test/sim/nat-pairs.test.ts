/** Every pair of NATs, held against what a pure oracle says of it. */
import { describe, expect, it } from 'vitest'
import { predictOutcome } from './nat-oracle.js'
import { Calm, type SimulatedInternet, type SimulatedMember } from './simulated-internet.js'
import { type NatPath, type NatType, NatTypes, natPath } from './simulated-nat.js'
import { SimulatedRoom } from './simulated-room.js'

/** A router that lets a packet from outside take the entry that the inside's answer would have had. */
const occupying = natPath('port-restricted', { early: 'occupy' })
const paths: readonly (readonly [string, NatPath])[] = [
  ...(Object.keys(NatTypes) as NatType[]).map((type) => [type, NatTypes[type]] as const),
  ['occupying', occupying],
]
/** Each pair once, and those both ways where it matters who begins. */
const pairs = paths.flatMap((a, index) =>
  paths
    .filter((b, other) => other >= index || a[1] === occupying || b[1] === occupying)
    .map((b) => [a[0], b[0], a[1], b[1]] as const),
)

function isRelayed(members: readonly SimulatedMember[]): boolean {
  return members.some((member) => member.of('path').at(-1)?.kind === 'relay')
}

/** A host and a guest who have told each other something. */
function chat(
  a: NatPath,
  b: NatPath,
  seed: string,
): { internet: SimulatedInternet; members: SimulatedMember[] } {
  const simulated = new SimulatedRoom(seed, Calm)
  const { internet } = simulated
  const host = simulated.startHost({ behind: a })
  internet.run(1000)
  const guest = simulated.startGuest('guest', { behind: b })
  internet.runUntil('the guest has joined', 3000, () => guest.of('joined').length > 0)
  internet.post(guest, 'from the guest')
  internet.runUntil('it is shown', 1000, () => host.texts.length === 1)
  return { internet, members: [host, guest] }
}

describe('a host and a guest chat within seconds, and directly where that takes no search', () => {
  it.each(pairs)('%s and %s', (nameA, nameB, a, b) => {
    const { internet, members } = chat(a, b, `${nameA} and ${nameB}`)
    internet.run(1000)
    const outcome = predictOutcome(a, b)
    // A search may have found a port by now, or not.
    if (outcome !== 'direct by search') expect(isRelayed(members)).toBe(outcome !== 'direct')
  })
})

describe('where it takes a search, they are direct once a port is found', () => {
  it.each([
    ['port-restricted', 'symmetric'],
    ['symmetric-sequential', 'cgnat'],
    ['firewall', 'address-symmetric'],
  ] as const)('%s and %s', (a, b) => {
    expect(predictOutcome(NatTypes[a], NatTypes[b])).toBe('direct by search')
    const { internet, members } = chat(NatTypes[a], NatTypes[b], `a search, ${a} and ${b}`)
    internet.runUntil('both send directly', 12_000, () => !isRelayed(members))
  })
})
