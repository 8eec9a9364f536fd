/** Every pair of NATs, held against what a pure oracle says of it. */
import { describe, expect, it } from 'vitest'
import { type Outcome, predictOutcome } from './nat-oracle.js'
import { Calm, type SimulatedMember } from './simulated-internet.js'
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

/** What the pair's path is after a second, when each has heard the other. */
function outcomeOf(a: NatPath, b: NatPath, seed: string): 'direct' | 'relay' {
  const simulated = new SimulatedRoom(seed, Calm)
  const { internet } = simulated
  const host = simulated.startHost({ behind: a })
  internet.run(1000)
  const guest = simulated.startGuest('guest', { behind: b })
  internet.runUntil('the guest has joined', 3000, () => guest.of('joined').length > 0)
  internet.post(guest, 'from the guest')
  internet.runUntil('it is shown', 1000, () => host.texts.length === 1)
  internet.run(1000)
  return isRelayed([host, guest]) ? 'relay' : 'direct'
}

const Expected: Readonly<Record<Outcome, 'direct' | 'relay'>> = {
  direct: 'direct',
  'direct by search': 'relay',
  relay: 'relay',
  'relay over tcp': 'relay',
}

describe('a host and a guest chat within seconds, and directly where that takes no search', () => {
  it.each(pairs)('%s and %s', (nameA, nameB, a, b) => {
    expect(outcomeOf(a, b, `${nameA} and ${nameB}`)).toBe(Expected[predictOutcome(a, b)])
  })
})
