import { beforeEach, describe, expect, it } from 'vitest'
import { toBase64 } from '../../src/core/encoding.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { type RosterMember, readNumber } from '../../src/core/roster.js'
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
      crypto,
      sign: crypto.signer(keyPair.secretKey),
      room: defaultRoomId(crypto, keyPair.publicKey),
      members: () => members,
      send: (_now, to, message) => {
        const member = members.findIndex((each) => toBase64(each.publicKey) === to)
        if (message.type === 'roster-change') sent.push(`${member}+${readNumber(message.bytes).version}`)
        else if (message.index === 0) sent.push(`${member}:${message.number.version}`)
      },
    })
    publisher.start(0, 1)
  })

  /** Has so many members join at once, and say that they have the roster. */
  function fill(count: number): { readonly at: number; readonly version: number } {
    for (let number = 1; number <= count; number += 1) members.push(member(number))
    publisher.change(1000)
    take()
    acknowledge(count)
    return { at: 1000, version: publisher.number.version }
  }

  function acknowledge(count: number): void {
    for (let number = 1; number <= count; number += 1) publisher.acknowledge(keyOf(number), publisher.number)
  }

  it('sends the first change at once, and those that follow together: steps to those that have the rest', () => {
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
    expect(take()).toEqual(['1+3', '2:3', '3:3'])
    acknowledge(3)
    runTo(60_000)
    expect([take(), publisher.pollTimeout()]).toEqual([[], undefined])
  })

  it('gathers longer in a large room, and lets newcomers wait no longer than in a small one', () => {
    const { at, version } = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    expect(publisher.answer(at + 20, keyOf(100), nobody)).toBe(true)
    // The roster that there is does not name it.
    expect(take()).toEqual([])
    expect(publisher.pollTimeout()).toBe(at + 250)
    runTo(at + 250)
    expect(take()).toEqual([`100:${version + 1}`])
    runTo(at + 999)
    expect(take()).toEqual([])
    runTo(at + 1000)
    // The newcomer has it already.
    expect(take()).toEqual(Array.from({ length: 99 }, (_, index) => `${index + 1}+${version + 1}`))
    acknowledge(100)
    runTo(at + 60_000)
    expect([take(), publisher.pollTimeout()]).toEqual([[], undefined])
  })

  it('answers whoever asks meanwhile with what it lacks, every 200 ms at most', () => {
    const { at, version } = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    publisher.answer(at + 20, keyOf(100), nobody)
    runTo(at + 250)
    take()
    expect(publisher.answer(at + 300, keyOf(5), { term: 1, version })).toBe(true)
    expect(publisher.answer(at + 499, keyOf(5), { term: 1, version })).toBe(true)
    expect(take()).toEqual([`5+${version + 1}`])
    publisher.answer(at + 500, keyOf(5), { term: 1, version })
    expect(take()).toEqual([`5+${version + 1}`])
    expect(publisher.answer(at + 510, keyOf(5), publisher.number)).toBe(false)
  })

  it('answers with the whole roster where that is less than the steps, or they are not kept any more', () => {
    const { at, version } = fill(3)
    for (let change = 1; change <= 70; change += 1) {
      members[1] = { ...members[1]!, online: change % 2 === 0 }
      publisher.change(at + 1000 * change)
    }
    const last = publisher.number.version
    expect(last).toBe(version + 70)
    take()
    publisher.answer(at + 80_000, keyOf(2), { term: 1, version: last - 2 })
    expect(take()).toEqual([`2:${last}`])
    publisher.answer(at + 90_000, keyOf(2), { term: 1, version: last - 1 })
    expect(take()).toEqual([`2+${last}`])
    publisher.answer(at + 100_000, keyOf(3), { term: 1, version })
    publisher.answer(at + 100_000, keyOf(2), { term: 0, version: 9 })
    expect(take()).toEqual([`3:${last}`, `2:${last}`])
  })

  it('repeats what was not acknowledged, four times in all, from what the member has', () => {
    const { at, version } = fill(2)
    members[1] = { ...members[1]!, name: 'renamed' }
    publisher.change(at + 300)
    members[1] = { ...members[1], name: 'again' }
    publisher.change(at + 600)
    expect(take()).toEqual([1, 2].flatMap((step) => [`1+${version + step}`, `2+${version + step}`]))
    publisher.acknowledge(keyOf(1), publisher.number)
    publisher.acknowledge(keyOf(2), { term: 1, version: version + 1 })
    runTo(at + 1599)
    expect(take()).toEqual([])
    runTo(at + 1600)
    expect(take()).toEqual([`2+${version + 2}`])
    runTo(at + 3600)
    expect(take()).toEqual([`2+${version + 2}`])
    runTo(at + 600_000)
    expect([take().length, publisher.pollTimeout()]).toEqual([2, undefined])
  })

  it('sends nothing to a newcomer that has left again', () => {
    const { at } = fill(99)
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
    const { at } = fill(99)
    members.push(member(100))
    publisher.change(at + 10)
    publisher.answer(at + 20, keyOf(100), nobody)
    runTo(at + 250)
    take()
    publisher.introduce(at + 260, keyOf(100))
    expect(take()).toHaveLength(99)
    publisher.introduce(at + 270, keyOf(100))
    expect(take()).toEqual([])
  })
})
