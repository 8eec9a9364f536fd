import { beforeEach, describe, expect, it } from 'vitest'
import { Journal, type JournalContent } from '../../src/chat/journal.js'
import { newAuthor, TestStore, Writer } from './chat-net.js'

const alice = new Writer(newAuthor('alice'))
const bob = new Writer(newAuthor('bob'))
const [first, second, third] = alice.series(3)
const base = { sequence: 5, hash: 'ab'.repeat(32), lamport: 2 ** 40 + 1 }
const Nothing: JournalContent = {
  entries: [],
  shown: new Map(),
  bases: new Map(),
  delivered: new Map(),
  incarnation: undefined,
}

let store: TestStore
let journal: Journal

const load = (from = store): JournalContent => new Journal(from).load()
const bytesOf = ({ entries }: JournalContent): Uint8Array[] =>
  entries.map(({ bytes }) => Uint8Array.from(bytes))
/** A disk with these bytes. */
const diskWith = (bytes: Uint8Array): TestStore => {
  const disk = new TestStore()
  disk.write('chat', bytes)
  return disk
}
const onDisk = (): Uint8Array => store.read('chat') ?? new Uint8Array()

beforeEach(() => {
  store = new TestStore()
  journal = new Journal(store)
  journal.load()
})

describe('a journal', () => {
  it('of nothing is empty', () => {
    expect(load()).toEqual(Nothing)
    expect(journal.records).toBe(0)
    journal.flush()
    expect(store.read('chat')).toBeUndefined()
  })

  it('has what was written, and the last of what was written twice', () => {
    journal.addIncarnation(alice.incarnation)
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.addEntry({ bytes: second!.bytes, waits: true })
    journal.addDelivered(alice.stream, 1)
    journal.addDelivered(alice.stream, 2)
    journal.addShown(bob.stream, 7)
    journal.addBase(bob.stream, { ...base, sequence: 1 })
    journal.addBase(bob.stream, base)
    journal.flush()
    journal.addIncarnation(bob.incarnation)
    journal.flush()
    expect(journal.records).toBe(9)
    const reader = new Journal(store)
    const content = reader.load()
    expect(reader.records).toBe(9)
    expect(bytesOf(content)).toEqual([first!.bytes, second!.bytes])
    expect(content).toMatchObject({
      entries: [{ waits: false }, { waits: true }],
      shown: new Map([[bob.stream, 7]]),
      bases: new Map([[bob.stream, base]]),
      delivered: new Map([[alice.stream, 2]]),
      incarnation: bob.incarnation,
    })
  })

  it('writes nothing before it is flushed, and then all at once', () => {
    let writes = 0
    store.onWrite = () => {
      writes += 1
    }
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.addEntry({ bytes: second!.bytes, waits: false })
    expect(writes).toBe(0)
    journal.flush()
    journal.flush()
    expect(writes).toBe(1)
    expect(bytesOf(load())).toHaveLength(2)
  })

  it('that is written anew has what is given and no more', () => {
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.flush()
    journal.addEntry({ bytes: second!.bytes, waits: false })
    const content = {
      ...Nothing,
      entries: [{ bytes: third!.bytes, waits: true }],
      bases: new Map([[bob.stream, base]]),
      delivered: new Map([[alice.stream, 3]]),
      incarnation: alice.incarnation,
    }
    journal.rewrite(content)
    journal.flush()
    expect(load()).toEqual(content)
    expect(journal.records).toBe(4)
  })

  it('ignores records of kinds and sizes that it does not know', () => {
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.flush()
    const unknown = [Uint8Array.of(0, 0, 0, 2, 99, 1), Uint8Array.of(0, 0, 0, 3, 2, 1, 2)]
    const short = [Uint8Array.of(0, 0, 0, 3, 3, 1, 2), Uint8Array.of(0, 0, 0, 4, 4, 1, 2, 3)]
    for (const record of [...unknown, ...short]) store.append('chat', record)
    journal.addEntry({ bytes: second!.bytes, waits: false })
    journal.flush()
    expect(load()).toEqual({
      ...Nothing,
      entries: [first, second].map((entry) => ({ bytes: entry!.bytes, waits: false })),
    })
  })
})

describe('a torn journal', () => {
  it('keeps all whole records at every length, and what is written then is read back', () => {
    journal.addIncarnation(alice.incarnation)
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.addDelivered(alice.stream, 1)
    journal.addEntry({ bytes: second!.bytes, waits: true })
    journal.addBase(bob.stream, base)
    journal.addEntry({ bytes: third!.bytes, waits: false })
    journal.flush()
    const whole = onDisk()
    const ends: number[] = []
    for (let offset = 0; offset < whole.length; ) {
      offset += 4 + new DataView(whole.buffer, whole.byteOffset).getUint32(offset)
      ends.push(offset)
    }
    expect(ends).toHaveLength(6)
    for (let length = 0; length <= whole.length; length += 1) {
      const disk = diskWith(whole.subarray(0, length))
      const torn = new Journal(disk)
      torn.load()
      const records = ends.filter((end) => end <= length).length
      expect(torn.records, `${length} bytes`).toBe(records)
      torn.addEntry({ bytes: bob.last?.bytes ?? bob.write('after').bytes, waits: false })
      torn.flush()
      const again = new Journal(disk)
      const content = again.load()
      expect(again.records, `${length} bytes`).toBe(records + 1)
      const survivors = [first, second, third].filter((_, index) => ends[[1, 3, 5][index]!]! <= length)
      expect(bytesOf(content)).toEqual([...survivors, bob.last].map((entry) => Uint8Array.from(entry!.bytes)))
      expect(content.bases.has(bob.stream)).toBe(length >= ends[4]!)
      expect(content.delivered.has(alice.stream)).toBe(length >= ends[2]!)
      expect(content.incarnation !== undefined).toBe(length >= ends[0]!)
    }
  })

  it('keeps all whole records before a tail of zeros, as some file systems leave it', () => {
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.flush()
    for (const zeros of [1, 4, 5, 100]) {
      const disk = diskWith(Buffer.concat([onDisk(), new Uint8Array(zeros)]))
      expect(bytesOf(load(disk))).toEqual([first!.bytes])
      expect(disk.read('chat')).toEqual(onDisk())
    }
  })
})

describe('a failing disk', () => {
  beforeEach(() => {
    journal.addEntry({ bytes: first!.bytes, waits: false })
    journal.flush()
    store.failing = true
  })

  it('fails the flush, once: what waited is not written behind what comes later', () => {
    journal.addEntry({ bytes: second!.bytes, waits: false })
    expect(() => journal.flush()).toThrow(expect.objectContaining({ code: 'store-failed' }))
    expect(() => journal.flush()).not.toThrow()
    store.failing = false
    journal.flush()
    expect(bytesOf(load())).toEqual([first!.bytes])
  })

  it('leaves what lay there when it cannot be written anew', () => {
    expect(() => journal.rewrite(Nothing)).toThrow(expect.objectContaining({ code: 'store-failed' }))
    expect(bytesOf(load())).toEqual([first!.bytes])
    store.failing = false
    journal.rewrite(Nothing)
    expect(load()).toEqual(Nothing)
  })

  it('cannot take a torn tail away, and says so', () => {
    store.failing = false
    store.append('chat', Uint8Array.of(0, 0, 0, 9))
    store.failing = true
    expect(() => load()).toThrow(expect.objectContaining({ code: 'store-failed' }))
  })
})
