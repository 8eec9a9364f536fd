import { beforeEach, describe, expect, it } from 'vitest'
import { toBase64 } from '../../src/core/encoding.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import type { RosterMember } from '../../src/core/roster.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { RosterPublisher } from '../../src/room/roster-publisher.js'
import { SeededRandom } from '../sim/seeded-random.js'

const random = new SeededRandom('roster publisher')

function member(number: number): RosterMember {
  return { publicKey: random.bytes(32), name: `m${number}`, address: `10.7.0.${number + 1}`, online: true }
}

describe('the publisher of rosters', () => {
  let members: RosterMember[]
  let sent: string[]
  let publisher: RosterPublisher
  const keyOf = (number: number): string => toBase64(members[number]!.publicKey)
  const take = (): string[] => sent.splice(0)
  /** Runs what is due, deadline by deadline. */
  const runTo = (now: number): void => {
    for (let at = publisher.pollTimeout(); at !== undefined && at <= now; at = publisher.pollTimeout()) {
      publisher.handleTimeout(at)
    }
  }
  const nobody = { term: 0, version: 0 }

  beforeEach(() => {
    const keyPair = crypto.signKeyPair(random.bytes(32))
    members = [member(0)]
    sent = []
    publisher = new RosterPublisher({
      sign: crypto.signer(keyPair.secretKey),
      room: defaultRoomId(crypto, keyPair.publicKey),
      members: () => members,
      send: (_now, to, { number, index }) => {
        if (index === 0)
          sent.push(`${members.findIndex((each) => toBase64(each.publicKey) === to)}:${number.version}`)
      },
    })
    publisher.start(0, 1)
  })

  /** Has so many members join at once. @returns when they all have the same roster */
  function fill(count: number): number {
    for (let number = 1; number <= count; number += 1) members.push(member(number))
    publisher.change(1000)
    take()
    return 1000
  }

  it('sends the first change at once, and those that follow together', () => {
    members.push(member(1))
    publisher.change(1000)
    expect(take()).toEqual(['1:2'])
    members.push(member(2))
    publisher.change(1010)
    members.push(member(3))
    publisher.change(1020)
    runTo(1249)
    expect(take()).toEqual([])
    runTo(1250)
    expect([take(), publisher.pollTimeout()]).toEqual([['1:3', '2:3', '3:3'], undefined])
  })

  it('gathers longer in a large room, and lets newcomers wait no longer than in a small one', () => {
    const at = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    expect(publisher.answer(at + 20, keyOf(100), nobody)).toBe(true)
    // The roster that there is does not name it.
    expect(take()).toEqual([])
    expect(publisher.pollTimeout()).toBe(at + 250)
    runTo(at + 250)
    expect(take()).toEqual(['100:3'])
    runTo(at + 999)
    expect(take()).toEqual([])
    runTo(at + 1000)
    expect(take()).toHaveLength(100)
    expect(publisher.pollTimeout()).toBeUndefined()
  })

  it('answers whoever asks meanwhile with the newest', () => {
    const at = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    publisher.answer(at + 20, keyOf(100), nobody)
    runTo(at + 250)
    take()
    expect(publisher.answer(at + 300, keyOf(5), { term: 1, version: 2 })).toBe(true)
    expect(publisher.answer(at + 300, keyOf(5), { term: 1, version: 2 })).toBe(true)
    expect(take()).toEqual(['5:3'])
    expect(publisher.answer(at + 310, keyOf(5), { term: 1, version: 3 })).toBe(false)
  })

  it('sends nothing to a newcomer that has left again', () => {
    const at = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    publisher.answer(at + 20, keyOf(100), nobody)
    members[100] = { ...members[100]!, online: false }
    publisher.change(at + 30)
    runTo(at + 250)
    expect(take()).toEqual([])
    runTo(at + 1000)
    expect(take()).toHaveLength(99)
  })

  it('introduces a newcomer that speaks to those that have not heard of it', () => {
    const at = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    publisher.answer(at + 20, keyOf(100), nobody)
    runTo(at + 250)
    take()
    publisher.introduce(at + 260, keyOf(100))
    expect(take()).toHaveLength(100)
    publisher.introduce(at + 270, keyOf(100))
    expect(take()).toEqual([])
  })
})
