/** What a guest takes for the list of members, and what it does not: forged, older and forked ones. */
import { beforeEach, describe, expect, it } from 'vitest'
import { Counters } from '../../src/core/bounded.js'
import { identityFromSeed } from '../../src/core/identity.js'
import { type Roster, type RosterMember, writeRoster } from '../../src/core/roster.js'
import {
  applyChange,
  type ChangedMember,
  changesBetween,
  MaxChangeBytes,
  NoLink,
  readChange,
  writeChange,
} from '../../src/core/roster-change.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { fragmentRoster, type RosterStep } from '../../src/room/control.js'
import { type RosterNews, RosterReader } from '../../src/room/roster-reader.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('roster chain')
const [host, self, mallory, bob] = ['host', 'self', 'mallory', 'bob'].map(() =>
  identityFromSeed(crypto, random.bytes(32)),
) as [Identity, Identity, Identity, Identity]
type Identity = ReturnType<typeof identityFromSeed>
const room = 'cf83e1357eef'

function member({ publicKey }: Identity, name: string, online = true): RosterMember {
  return { publicKey, name, address: '10.7.0.9', online }
}
const changed = (each: RosterMember, removed = false): ChangedMember => ({ ...each, removed })
const here = [member(host, 'host'), member(self, 'self')]

/** A host's side of the chain, that may be made to lie. */
class Chain {
  readonly #signer: Identity
  readonly #term: number
  version = 0
  link = NoLink
  members: readonly RosterMember[] = []

  constructor(term: number, signer: Identity = host) {
    this.#term = term
    this.#signer = signer
    this.step(...here.map((each) => changed(each)))
  }

  step(...members: readonly ChangedMember[]): RosterStep {
    this.version += 1
    const change = { term: this.#term, version: this.version, previous: this.link, members }
    const written = writeChange(crypto, crypto.signer(this.#signer.secretKey), room, change)
    this.link = written.link
    const before = new Map(this.members.map((each) => [Buffer.from(each.publicKey).toString('base64'), each]))
    this.members = Array.from(applyChange(before, members).values())
    return { type: 'roster-change', bytes: written.bytes }
  }

  /** Another chain that has the same behind it. */
  fork(): Chain {
    const twin = new Chain(this.#term, this.#signer)
    Object.assign(twin, { version: this.version, link: this.link, members: this.members })
    return twin
  }

  get roster(): Roster {
    return { term: this.#term, version: this.version, link: this.link, members: this.members }
  }
}

let reader: RosterReader
let now: number

beforeEach(() => {
  reader = new RosterReader({ crypto, room, self: self.publicKey, counters: new Counters() })
  now = 0
})

const take = (step: RosterStep): RosterNews => reader.add(now, host.publicKey, step)
function takeWhole(roster: Roster, signer: Identity = host): RosterNews {
  const bytes = writeRoster(crypto.signer(signer.secretKey), room, roster)
  return fragmentRoster(roster, bytes)
    .map((fragment) => reader.add(now, host.publicKey, fragment))
    .at(-1)!
}
const names = (): string[] => reader.members.map(({ name }) => name)

describe('a chain of rosters', () => {
  it('is followed step by step from the whole one on', () => {
    const chain = new Chain(1)
    expect(takeWhole(chain.roster)).toMatchObject({ isNewer: true, reply: 'receipt' })
    expect(take(chain.step(changed(member(bob, 'bob')))).changed).toEqual([member(bob, 'bob')])
    take(chain.step(changed(member(bob, 'bob', false))))
    expect(reader.members.at(-1)).toEqual(member(bob, 'bob', false))
    expect(take(chain.step(changed(member(bob, 'bob', false), true))).changed).toEqual([])
    expect(names()).toEqual(['host', 'self'])
    expect(reader.number).toEqual({ term: 1, version: 4 })
  })

  it('survives loss, doubling and reordering: what is missing is asked for', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const [first, second, third] = [
      chain.step(changed(member(bob, 'bob'))),
      chain.step(changed(member(mallory, 'mallory'))),
      chain.step(changed(member(bob, 'bob', false))),
    ]
    expect(take(third)).toMatchObject({ isNewer: false, reply: 'state' })
    expect(take(second)).toMatchObject({ isNewer: false, reply: 'state' })
    expect(take(first)).toMatchObject({ isNewer: true, reply: 'receipt' })
    expect(names()).toEqual(['host', 'self', 'bob', 'mallory'])
    expect(reader.number.version).toBe(4)
    expect(take(second)).toEqual({ changed: [], isNewer: false, reply: 'receipt', fault: undefined })
  })

  it('begins anew with a host that does, and only with a roster that names the reader', () => {
    takeWhole(new Chain(1).roster)
    const next = new Chain(2)
    expect(take(next.step(changed(member(bob, 'bob')))).reply).toBe('state')
    expect(takeWhole({ ...next.roster, members: here.slice(0, 1) })).toMatchObject({ isNewer: false })
    expect(takeWhole(next.roster).changed).toEqual([member(bob, 'bob')])
    expect(reader.number).toEqual({ term: 2, version: 2 })
  })

  it('is cut into changes that each fit into a datagram, and lead to the same', () => {
    const before = new Map([['gone', member(bob, 'bob')]])
    const after = Array.from({ length: 50 }, (_, index) =>
      member(identityFromSeed(crypto, random.bytes(32)), `${'☃'.repeat(30)}${index % 9}`),
    )
    const pieces = changesBetween(before, after)
    const signer = crypto.signer(host.secretKey)
    for (const members of pieces) {
      const change = { term: 1, version: 1, previous: NoLink, members }
      const { bytes } = writeChange(crypto, signer, room, change)
      expect(bytes.length).toBeLessThanOrEqual(MaxChangeBytes)
      expect(readChange(crypto, host.publicKey, room, bytes).change).toEqual(change)
    }
    expect(pieces.flat().filter(({ removed }) => !removed)).toHaveLength(50)
    expect(changesBetween(new Map(), [])).toEqual([])
  })
})

describe('a guest refuses', () => {
  it('a change that the host has not signed', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const forger = new Chain(1, mallory)
    Object.assign(forger, { version: chain.version, link: chain.link })
    expect(take(forger.step(changed(member(mallory, 'mallory')))).fault).toBe('roster-forged')
    expect(names()).toEqual(['host', 'self'])
  })

  it('a whole roster that the host has not signed', () => {
    expect(takeWhole(new Chain(9, mallory).roster, mallory).fault).toBe('roster-forged')
    expect(names()).toEqual([])
  })

  it('a change of another room, or one with a name that is none', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const sign = crypto.signer(host.secretKey)
    const change = { term: 1, version: 2, previous: chain.link, members: [changed(member(bob, 'bob'))] }
    const { bytes } = writeChange(crypto, sign, 'cf83e1', change)
    expect(take({ type: 'roster-change', bytes }).fault).toBe('roster-forged')
    for (const name of ['a\u001b[2J', 'two\nlines', 'a: b', '* left', 'zero\u200bwidth']) {
      const named = { ...change, members: [changed(member(bob, name))] }
      const bad = writeChange(crypto, sign, room, named).bytes
      expect(take({ type: 'roster-change', bytes: bad }).isNewer).toBe(false)
    }
    expect(names()).toEqual(['host', 'self'])
  })

  it('a whole roster that is older than what it has, once it cannot have been under way', () => {
    const chain = new Chain(1)
    const older = chain.roster
    takeWhole(older)
    take(chain.step(changed(member(bob, 'bob'))))
    now = 1000
    expect(takeWhole(older)).toMatchObject({ isNewer: false, fault: undefined })
    now = 6000
    expect(takeWhole(older)).toMatchObject({ isNewer: false, fault: 'roster-rolled-back' })
    expect(names()).toEqual(['host', 'self', 'bob'])
  })

  it('anything of a term before the one that it has', () => {
    const old = new Chain(1)
    takeWhole(new Chain(2).roster)
    expect(take(old.step(changed(member(bob, 'bob')))).fault).toBe('roster-rolled-back')
    expect(takeWhole(old.roster).fault).toBe('roster-rolled-back')
    expect(names()).toEqual(['host', 'self'])
  })

  it('a second change with a number that it has seen', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const twin = chain.fork()
    take(chain.step(changed(member(bob, 'bob'))))
    expect(take(twin.step(changed(member(mallory, 'mallory')))).fault).toBe('roster-forked')
    expect(names()).toEqual(['host', 'self', 'bob'])
  })

  it('a change that follows on another history than its own', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const twin = chain.fork()
    take(chain.step(changed(member(bob, 'bob'))))
    twin.step(changed(member(mallory, 'mallory')))
    expect(take(twin.step(changed(member(mallory, 'm2')))).fault).toBe('roster-forked')
    expect(names()).toEqual(['host', 'self', 'bob'])
  })

  it('a whole roster that has the number of another, or its link and other members', () => {
    const chain = new Chain(1)
    takeWhole(chain.roster)
    const twin = chain.fork()
    take(chain.step(changed(member(bob, 'bob'))))
    twin.step(changed(member(mallory, 'mallory')))
    expect(takeWhole(twin.roster).fault).toBe('roster-forked')
    const lie = { ...chain.roster, members: [...here, member(mallory, 'mallory')] }
    expect(takeWhole(lie).fault).toBe('roster-forked')
    expect(takeWhole(chain.roster)).toMatchObject({ fault: undefined, reply: 'receipt' })
    expect(names()).toEqual(['host', 'self', 'bob'])
  })
})
