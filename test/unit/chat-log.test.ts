import { beforeEach, describe, expect, it } from 'vitest'
import { compareEntries, type Entry, MaxTime } from '../../src/chat/entry.js'
import { ChatLog } from '../../src/chat/log.js'
import { Window } from '../../src/chat/stream.js'
import { NoHead } from '../../src/chat/vector.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { newAuthor, Room, Writer } from './chat-net.js'

const aliceKeys = newAuthor('alice')
const bobKeys = newAuthor('bob')
const carolKeys = newAuthor('carol')

let log: ChatLog
let alice: Writer
let bob: Writer

const newLog = (maxEntries = 100): ChatLog => new ChatLog({ crypto, room: Room, maxEntries })
const admitted = (of = log): string[] => {
  const texts: string[] = []
  for (let entry = of.pollAdmitted(); entry; entry = of.pollAdmitted()) texts.push(entry.text)
  return texts
}
const receive = (entries: readonly Entry[], into = log): string[] =>
  entries.map((entry) => into.receive(entry))
const baseOf = ({ sequence, hash, lamport }: Entry): { sequence: number; hash: string; lamport: number } => ({
  sequence,
  hash,
  lamport,
})
const shuffled = <T>(items: readonly T[], random: SeededRandom): T[] =>
  items
    .map((item) => [random.fraction(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item)

beforeEach(() => {
  log = newLog()
  alice = new Writer(aliceKeys)
  bob = new Writer(bobKeys)
})

describe('a stream', () => {
  it('that is unknown has nothing', () => {
    expect(log.have(alice.stream)).toBe(0)
    expect(log.beyond(alice.stream)).toBe(0)
    expect(log.base(alice.stream)).toBeUndefined()
    expect(log.state(alice.stream)).toEqual({ have: 0, head: NoHead })
  })

  it('is admitted entry by entry, each once', () => {
    const entries = alice.series(3)
    expect(receive(entries)).toEqual(['added', 'added', 'added'])
    expect(receive(entries)).toEqual(['known', 'known', 'known'])
    expect(admitted()).toEqual(['text 1', 'text 2', 'text 3'])
    expect(log.state(alice.stream)).toEqual({ have: 3, head: entries[2]!.hash.slice(0, 16) })
    expect(log.size).toBe(3)
  })

  it('with a gap waits for what is missing, and says what it has beyond', () => {
    const [first, second, third, fourth] = alice.series(4) as [Entry, Entry, Entry, Entry]
    expect(receive([fourth, second])).toEqual(['added', 'added'])
    expect(log.have(alice.stream)).toBe(0)
    expect(log.beyond(alice.stream)).toBe(0b101)
    expect(admitted()).toEqual([])
    expect(receive([second])).toEqual(['known'])
    receive([first])
    expect(log.have(alice.stream)).toBe(2)
    expect(log.beyond(alice.stream)).toBe(0b1)
    receive([third])
    expect(log.beyond(alice.stream)).toBe(0)
    expect(admitted()).toEqual(['text 1', 'text 2', 'text 3', 'text 4'])
  })

  it('is kept up to the window beyond a gap, and no further', () => {
    const entries = alice.series(Window + 3)
    expect(log.receive(entries[Window + 1]!)).toBe('chat-entry-ahead')
    expect(log.receive(entries[Window]!)).toBe('added')
    expect(log.beyond(alice.stream)).toBe(2 ** 31)
    receive([entries[0]!])
    expect(log.receive(entries[Window + 1]!)).toBe('added')
    expect(log.receive(entries[Window + 2]!)).toBe('chat-entry-ahead')
    expect(log.beyond(alice.stream)).toBe(0b11 * 2 ** 30)
  })

  it('that comes backwards within the window is whole in the end', () => {
    const entries = alice.series(Window + 1)
    expect(new Set(receive(entries.toReversed()))).toEqual(new Set(['added']))
    expect(admitted()).toEqual(entries.map(({ text }) => text))
  })

  it('has one entry at each number: a second is a fork', () => {
    const [first, second] = alice.series(2) as [Entry, Entry]
    const other = new Writer(aliceKeys)
    const [otherFirst, otherSecond] = other.series(2, 'other') as [Entry, Entry]
    receive([first])
    expect(log.receive(otherFirst)).toBe('chat-entry-fork')
    expect(log.receive(otherSecond)).toBe('chat-entry-fork')
    expect(log.receive(second)).toBe('added')
    expect(log.receive(otherSecond)).toBe('chat-entry-fork')
    expect(admitted()).toEqual(['text 1', 'text 2'])
  })

  it('drops what turns out not to continue it once the gap is filled, and takes what does', () => {
    const [first, second, third] = alice.series(3) as [Entry, Entry, Entry]
    const other = new Writer(aliceKeys)
    const otherThird = other.series(3, 'other')[2]!
    expect(receive([otherThird, first])).toEqual(['added', 'added'])
    expect(log.receive(second)).toBe('added')
    expect(log.have(alice.stream)).toBe(2)
    expect(log.beyond(alice.stream)).toBe(0)
    expect(log.receive(third)).toBe('added')
    expect(admitted()).toEqual(['text 1', 'text 2', 'text 3'])
  })

  it('takes nothing that its author did not sign', () => {
    const mallory = new Writer({ publicKey: aliceKeys.publicKey, sign: (bytes) => bobKeys.sign(bytes) })
    expect(log.receive(mallory.write('forged'))).toBe('chat-entry-forged')
    expect(log.receive(alice.write('elsewhere', [], {}, 'another room'))).toBe('chat-entry-forged')
    expect(Array.from(log.streams)).toEqual([])
  })
})

describe('a Lamport time', () => {
  it.each([2, 4])('that is off by one is refused: %i instead of 3', (lamport) => {
    receive(bob.series(2))
    expect(log.receive(alice.write('wrong', [bob.last!], { lamport }))).toBe('chat-entry-lamport')
    expect(admitted()).toEqual(['text 1', 'text 2'])
    expect(log.have(alice.stream)).toBe(0)
  })

  it('is verified against the parents and the previous entry', () => {
    const [, , third] = bob.series(3)
    receive([alice.write('a')])
    expect(log.receive(alice.write('too low', [third!], { lamport: 2 }))).toBe('added')
    const before = new Writer(bobKeys)
    receive(before.series(3))
    // It waited for its parent, and is out with it.
    expect(admitted()).not.toContain('too low')
    expect(log.have(alice.stream)).toBe(1)
  })

  it('that is wrong takes with it what follows in its stream, and the right one can come after', () => {
    const wrong = new Writer(aliceKeys)
    const bad = [wrong.write('a'), wrong.write('wrong', [], { lamport: 5 }), wrong.write('follows')]
    expect(receive([bad[0]!, bad[2]!, bad[1]!])).toEqual(['added', 'added', 'chat-entry-lamport'])
    expect(log.have(alice.stream)).toBe(1)
    expect(log.isWaiting).toBe(false)
    alice.last = bad[0]
    expect(log.receive(alice.write('right'))).toBe('added')
    expect(admitted()).toEqual(['a', 'right'])
  })

  it('at its end stands still, and the log goes on', () => {
    log.skipTo(bob.stream, { sequence: 7, hash: 'ee'.repeat(32), lamport: MaxTime })
    for (const text of ['one', 'two', 'three']) {
      const position = log.position(alice.stream)
      expect(position.lamport).toBe(MaxTime)
      log.add(alice.write(text, [], position))
    }
    expect(admitted()).toEqual(['one', 'two', 'three'])
    expect(log.have(alice.stream)).toBe(3)
  })

  it('may not leap far where nothing verifies it', () => {
    const unknown = new Writer(carolKeys).write('never sent')
    const leap = (lamport: number, incarnation: number): string[] => {
      const writer = new Writer(aliceKeys, incarnation)
      expect(log.receive(writer.write(`${lamport}`, [unknown], { lamport }))).toBe('added')
      log.release()
      return admitted()
    }
    expect(leap(2 ** 24 + 1, 1)).toEqual([])
    expect(leap(2 ** 24, 2)).toEqual([`${2 ** 24}`])
    expect(leap(2 ** 25, 3)).toEqual([`${2 ** 25}`])
  })
})

describe('an entry whose parents are unknown', () => {
  it('waits for them, and is admitted after them', () => {
    const question = alice.write('question')
    const answer = bob.write('answer', [question])
    const thanks = alice.write('thanks', [answer])
    expect(receive([answer])).toEqual(['added'])
    expect(log.isWaiting).toBe(true)
    expect(log.have(bob.stream)).toBe(1)
    expect(log.admitted(bob.stream)).toBe(0)
    expect(log.size).toBe(0)
    expect(log.entries).toEqual([answer])
    receive([thanks])
    expect(admitted()).toEqual([])
    receive([question])
    expect(admitted()).toEqual(['question', 'answer', 'thanks'])
    expect(log.isWaiting).toBe(false)
  })

  it('is admitted without them when they are not to be had', () => {
    const question = alice.write('question')
    receive([bob.write('answer', [question]), bob.write('more')])
    log.release()
    expect(admitted()).toEqual(['answer', 'more'])
    expect(log.isWaiting).toBe(false)
    // The question is late then, and still comes.
    expect(log.receive(question)).toBe('added')
    expect(admitted()).toEqual(['question'])
    expect(log.entries.map(({ text }) => text)).toEqual(['question', 'answer', 'more'])
  })

  it('is released with others in the order of the log', () => {
    const lost = new Writer(carolKeys).write('lost')
    const first = alice.write('first', [lost])
    const second = bob.write('second', [first])
    receive([second, first])
    log.release()
    expect(admitted()).toEqual(['first', 'second'])
  })

  it('does not wait once too many do', () => {
    const lost = new Writer(carolKeys).write('lost')
    const series = [alice, bob].flatMap((writer) => [writer.write('waits', [lost]), ...writer.series(500)])
    receive(series.slice(0, 1000))
    expect(admitted()).toEqual([])
    receive(series.slice(1000))
    expect(admitted().length).toBe(1002)
  })
})

describe('the position of the next entry', () => {
  it('is after all that nobody has named yet', () => {
    const a = alice.write('a')
    const b = bob.write('b', [a])
    const other = new Writer(carolKeys).write('c')
    receive([a, b, other])
    expect(log.position('unheard of')).toEqual({
      sequence: 1,
      previous: undefined,
      parents: [b.hash, other.hash].sort(),
      lamport: 3,
    })
    expect(log.position(bob.stream)).toMatchObject({ sequence: 2, previous: b.hash, parents: [other.hash] })
  })

  it('names the 8 latest, at most', () => {
    const writers = Array.from({ length: 12 }, (_, index) => new Writer(aliceKeys, index + 2))
    writers.forEach((writer, index) => receive(writer.series(index + 1)))
    const position = log.position(alice.stream)
    const latest = writers.slice(4).map((writer) => writer.last!.hash)
    expect(position).toMatchObject({ parents: latest.sort(), lamport: 13 })
    const entry = alice.write('all', [], position)
    log.add(entry)
    expect(log.position(bob.stream).parents).toContain(entry.hash)
    expect(log.position(bob.stream).parents).toHaveLength(5)
  })

  it('does not depend on what others say of what they trimmed', () => {
    const a = alice.write('a')
    receive([a, bob.write('b', [a])])
    log.skipTo(bob.stream, { sequence: 5, hash: 'ee'.repeat(32), lamport: 0 })
    const position = log.position(alice.stream)
    expect(position.lamport).toBe(2)
    log.add(alice.write('goes on', [], position))
    expect(log.have(alice.stream)).toBe(2)
  })
})

describe('trimming', () => {
  it('drops the first tenth in the order of the log, and keeps where streams begin', () => {
    log = newLog(20)
    const entries = [...alice.series(10), ...bob.series(11)]
    receive(entries)
    expect(log.size).toBe(18)
    const kept = entries.toSorted(compareEntries).slice(3)
    expect(log.entries).toEqual(kept)
    expect(log.have(alice.stream)).toBe(10)
    expect(log.entry(alice.stream, 1)).toBeUndefined()
    const bases = [alice, bob].map(({ stream }) => log.base(stream)!.sequence)
    expect(bases.toSorted()).toEqual([1, 2])
    expect(log.receive(entries[0]!)).toBe('known')
    expect(admitted()).toHaveLength(21)
  })

  it('leaves the last that was trimmed to be named', () => {
    log = newLog(10)
    const entries = alice.series(11)
    receive(entries)
    expect(log.base(alice.stream)).toEqual(baseOf(entries[1]!))
    expect(log.receive(bob.write('answer', [entries[1]!], {}))).toBe('added')
    expect(log.isWaiting).toBe(false)
    receive([new Writer(carolKeys).write('answer', [entries[0]!])])
    expect(log.isWaiting).toBe(true)
  })

  it('does not change the digest', () => {
    const entries = alice.series(15)
    const all = newLog(100)
    const few = newLog(10)
    receive(entries, all)
    receive(entries, few)
    expect(few.size).toBeLessThan(all.size)
    expect(few.digest).toBe(all.digest)
  })
})

describe('skipping to a base', () => {
  it('gives up what is missing, and goes on behind it', () => {
    const entries = alice.series(5)
    expect(log.skipTo(alice.stream, baseOf(entries[2]!))).toBe(true)
    expect(log.have(alice.stream)).toBe(3)
    expect(receive(entries)).toEqual(['known', 'known', 'known', 'added', 'added'])
    expect(admitted()).toEqual(['text 4', 'text 5'])
  })

  it('takes in what was beyond the gap', () => {
    const entries = alice.series(5)
    receive([entries[0]!, entries[3]!, entries[4]!])
    log.skipTo(alice.stream, baseOf(entries[2]!))
    expect(log.have(alice.stream)).toBe(5)
    expect(admitted()).toEqual(['text 1', 'text 4', 'text 5'])
  })

  it('never goes back', () => {
    const entries = alice.series(5)
    receive(entries)
    expect(log.skipTo(alice.stream, baseOf(entries[4]!))).toBe(false)
    expect(log.skipTo(alice.stream, baseOf(entries[1]!))).toBe(false)
    expect(log.size).toBe(5)
  })

  it('shows what is here and waits', () => {
    const lost = bob.write('lost')
    const entries = [alice.write('here', [lost]), ...alice.series(4)]
    receive([entries[0]!])
    log.skipTo(alice.stream, baseOf(entries[3]!))
    expect(admitted()).toEqual(['here'])
    expect(log.isWaiting).toBe(false)
    log.release()
    expect(log.have(alice.stream)).toBe(4)
  })

  it('to the hash of another entry takes nothing from that one', () => {
    const a = alice.write('a')
    receive([a])
    log.skipTo(bob.stream, { sequence: 1, hash: a.hash, lamport: 1000 })
    log.skipTo(bob.stream, { sequence: 2, hash: 'ee'.repeat(32), lamport: 1000 })
    expect(log.receive(new Writer(carolKeys).write('answer', [a]))).toBe('added')
    expect(admitted()).toEqual(['a', 'answer'])
  })
})

describe('the tail', () => {
  it('is where streams begin for one who gets the latest entries only', () => {
    const a = alice.series(3)
    const b = bob.series(2)
    receive([...a, ...b])
    expect(log.tail(5)).toEqual(new Map())
    expect(log.tail(9)).toEqual(new Map())
    expect(log.tail(0)).toEqual(
      new Map([
        [alice.stream, baseOf(a[2]!)],
        [bob.stream, baseOf(b[1]!)],
      ]),
    )
    expect(log.tail(1)).toEqual(
      new Map([
        [alice.stream, baseOf(a[1]!)],
        [bob.stream, baseOf(b[1]!)],
      ]),
    )
  })

  it('begins no earlier than the log', () => {
    log = newLog(10)
    receive(alice.series(11))
    expect(log.tail(1000)).toEqual(log.bases)
    expect(log.bases.get(alice.stream)?.sequence).toBe(2)
  })
})

describe('truncating', () => {
  it('takes back what only this log has, and its numbers can be filled with something else', () => {
    const a = alice.write('a')
    const other = new Writer(aliceKeys)
    other.write('a')
    other.last = a
    const b = bob.write('b', [a])
    const mine = alice.write('mine', [b])
    receive([a, b, mine])
    log.truncate(alice.stream, 1)
    expect(log.state(alice.stream)).toEqual({ have: 1, head: a.hash.slice(0, 16) })
    expect(log.position(bob.stream)).toMatchObject({ previous: b.hash, parents: [a.hash] })
    expect(log.position('unheard of').parents).toContain(b.hash)
    expect(log.position('unheard of').parents).not.toContain(mine.hash)
    expect(log.receive(other.write('theirs'))).toBe('added')
    expect(log.entries.map(({ text }) => text)).not.toContain('mine')
  })
})

describe('caps', () => {
  it('are 64 streams of an author', () => {
    const writers = Array.from({ length: 65 }, (_, index) => new Writer(aliceKeys, index))
    const verdicts = receive(writers.map((writer) => writer.write('x')))
    expect(verdicts.slice(0, 64)).toEqual(Array<string>(64).fill('added'))
    expect(verdicts[64]).toBe('chat-streams')
    expect(log.skipTo(new Writer(aliceKeys, 99).stream, { sequence: 1, hash: '', lamport: 1 })).toBe(false)
    expect(log.receive(bob.write('x'))).toBe('added')
    expect(log.receive(writers[0]!.write('y'))).toBe('added')
  })

  it('are 4096 streams in all', () => {
    const base = { sequence: 1, hash: 'ee'.repeat(32), lamport: 1 }
    const taken = Array.from({ length: 4100 }, (_, index) =>
      log.skipTo(index.toString(16).padStart(64, '0') + '00'.repeat(8), base),
    )
    expect(taken.filter(Boolean)).toHaveLength(4096)
    expect(log.receive(alice.write('x'))).toBe('chat-streams')
  })
})

describe('the digest', () => {
  it('is of what is had: equal for equal logs, whatever the order in which entries came', () => {
    const random = new SeededRandom('digest')
    const writers = [alice, bob, new Writer(carolKeys), new Writer(aliceKeys, 2)]
    const all: Entry[] = []
    for (let index = 0; index < 60; index += 1) {
      const parent = random.fraction() < 0.5 ? all[Math.floor(random.fraction() * all.length)] : undefined
      const writer = writers[Math.floor(random.fraction() * writers.length)]!
      const isOwn = parent === undefined || parent.stream === writer.stream
      all.push(writer.write(`${index}`, isOwn ? [] : [parent]))
    }
    const logs = Array.from({ length: 8 }, () => {
      const into = newLog()
      // What is refused as too far ahead comes again, as it does from a neighbour.
      for (const entry of [...shuffled(all, random), ...all]) into.receive(entry)
      return into
    })
    const order = all.toSorted(compareEntries)
    for (const each of logs) {
      expect(each.digest).toBe(logs[0]!.digest)
      expect(each.entries).toEqual(order)
      expect(admitted(each).toSorted()).toEqual(all.map(({ text }) => text).toSorted())
    }
    log.receive(all[0]!)
    expect(log.digest).not.toBe(logs[0]!.digest)
  })

  it('tells apart logs that have different entries at the same numbers', () => {
    const other = newLog()
    receive([new Writer(aliceKeys).write('one')])
    receive([new Writer(aliceKeys).write('another')], other)
    expect(log.have(alice.stream)).toBe(other.have(alice.stream))
    expect(log.digest).not.toBe(other.digest)
  })

  it('leaves out what is beyond a gap', () => {
    const digest = log.digest
    receive([alice.series(2)[1]!])
    expect(log.digest).toBe(digest)
  })
})

describe('restoring', () => {
  it('takes entries in any order, and shows none that was shown', () => {
    const entries = [...alice.series(40), ...bob.series(5)]
    const random = new SeededRandom('restoring')
    log.restore(shuffled(entries, random), () => 100)
    expect(log.have(alice.stream)).toBe(40)
    expect(log.have(bob.stream)).toBe(5)
    expect(admitted()).toEqual([])
    const fresh = newLog()
    receive(entries, fresh)
    expect(log.digest).toBe(fresh.digest)
    expect(log.entries).toEqual(fresh.entries)
  })

  it('leaves waiting what was not shown, until its parents come', () => {
    const question = alice.write('question')
    const answer = bob.write('answer', [question])
    log.restore([answer], () => 0)
    expect(admitted()).toEqual([])
    expect(log.isWaiting).toBe(true)
    receive([question])
    expect(admitted()).toEqual(['question', 'answer'])
  })

  it('does not wait again for parents that were given up', () => {
    const answer = bob.write('answer', [alice.write('lost')])
    log.restore([answer], () => 1)
    expect(log.isWaiting).toBe(false)
    expect(log.size).toBe(1)
    expect(admitted()).toEqual([])
  })
})
