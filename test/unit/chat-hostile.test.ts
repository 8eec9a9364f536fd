import { beforeEach, describe, expect, it } from 'vitest'
import { decodeEntry, type Entry, MaxTime } from '../../src/chat/entry.js'
import {
  fragmentEntry,
  type LinesPayload,
  readPayload,
  type VectorLine,
  writeLines,
} from '../../src/chat/payload.js'
import { type Base, NoHead } from '../../src/chat/vector.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { type Author, ChatNet, delivered, type Node, newAuthor, Writer } from './chat-net.js'

const hash = 'ee'.repeat(32)
let net: ChatNet
let hub: Node
let honest: Node
let mallory: Node
let forger: Writer

/** Sends entries as mallory. */
const send = (...entries: readonly Entry[]): void => {
  for (const entry of entries) for (const piece of fragmentEntry(entry)) net.inject(mallory, hub, piece)
}
const line = (stream: string, change: Partial<VectorLine> = {}): VectorLine => ({
  stream,
  have: 0,
  head: NoHead,
  beyond: 0,
  delivered: 0,
  floor: undefined,
  ...change,
})
const say = (lines: readonly VectorLine[], change: Partial<LinesPayload> = {}): void =>
  net.inject(mallory, hub, writeLines({ ask: false, whole: false, digest: NoHead, lines, ...change }))
const sayFloor = (stream: string, floor: Base): void =>
  say([line(stream, { have: floor.sequence, head: floor.hash.slice(0, 16), floor })])
const count = (code: string): number => hub.replica.counters.get(code)
/** What the hub last said of a stream. */
const saidOf = (stream: string): VectorLine | undefined =>
  net.sent
    .flatMap(({ from, payload: bytes }) => {
      const payload = readPayload(bytes)
      return from === hub.name && payload.type === 'lines' ? payload.lines : []
    })
    .findLast((each) => each.stream === stream)
const streamsOf = (author: Author): Set<string> => {
  const key = Buffer.from(author.publicKey).toString('hex')
  const payloads = net.sent.map(({ payload }) => readPayload(payload))
  const lines = payloads.flatMap((payload) => (payload.type === 'lines' ? payload.lines : []))
  return new Set(lines.map(({ stream }) => stream).filter((stream) => stream.startsWith(key)))
}
/** That the others can still talk with each other, both ways. */
const expectTalk = (): void => {
  const texts = [`hub at ${net.now}`, `guest at ${net.now}`] as const
  const ids = [net.post(hub, texts[0]), net.post(honest, texts[1])]
  net.run(3000)
  expect(honest.shown).toContain(texts[0])
  expect(hub.shown).toContain(texts[1])
  net.disconnect(mallory)
  net.run(3000)
  expect(delivered(hub)).toContain(ids[0])
  expect(delivered(honest)).toContain(ids[1])
}

beforeEach(() => {
  net = new ChatNet('hostile')
  hub = net.add('hub')
  honest = net.add('honest')
  mallory = net.add('mallory')
  net.connect(honest, mallory)
  net.run(1000)
  net.post(hub, 'welcome')
  net.post(honest, 'hello')
  net.run(1000)
  // From here on a program of its own speaks for mallory.
  net.drop = (from) => from === mallory.name
  forger = new Writer(mallory.author)
})

describe('the hub takes no entry', () => {
  it('that another than its author has signed', () => {
    const forged = new Writer({
      publicKey: honest.author.publicKey,
      sign: (bytes) => mallory.author.sign(bytes),
    })
    send(forged.write('not me'))
    expect(count('chat-entry-forged')).toBe(1)
    expect(hub.shown).not.toContain('not me')
    expectTalk()
  })

  it('of another room', () => {
    send(forger.write('elsewhere', [], {}, 'another room'))
    expect(count('chat-entry-forged')).toBe(1)
    expectTalk()
  })

  it('of somebody who is not a member', () => {
    send(new Writer(newAuthor('stranger')).write('let me in'))
    expect(count('chat-author-unknown')).toBe(1)
    expectTalk()
  })

  it('with a huge sequence number', () => {
    send(forger.write('x', [], { sequence: 2 ** 32 - 1, previous: hash, lamport: 1 }))
    expect(count('chat-entry-ahead')).toBe(1)
    expectTalk()
  })

  it('beside another of the same number', () => {
    send(forger.write('one'), forger.write('two'))
    const other = new Writer(mallory.author)
    send(other.write('another'), other.write('more'))
    expect(count('chat-entry-fork')).toBe(2)
    net.run(1000)
    expect(honest.shown.filter((text) => ['one', 'two', 'another', 'more'].includes(text))).toEqual([
      'one',
      'two',
    ])
    expectTalk()
  })

  it('with a huge Lamport time', () => {
    send(forger.write('x', [], { lamport: MaxTime }))
    expect(count('chat-entry-lamport')).toBe(1)
    const unknown = new Writer(newAuthor('nobody')).write('never sent')
    const leaper = new Writer(mallory.author, 2)
    send(leaper.write('leap', [unknown], { lamport: MaxTime }))
    net.run(20_000)
    expect(hub.shown).not.toContain('leap')
    expectTalk()
  })

  it('that begins otherwise than its pieces said', () => {
    const piece = fragmentEntry(forger.write('x'))[0]!.slice()
    piece[1]! ^= 1
    net.inject(mallory, hub, piece)
    expect(count('chat-fragments')).toBe(1)
    expect(hub.shown).not.toContain('x')
  })
})

describe('the hub is not moved by floors', () => {
  it('of what others wrote', () => {
    const stream = Array.from(streamsOf(honest.author))[0]!
    const before = saidOf(stream)
    sayFloor(stream, { sequence: 1000, hash, lamport: 1000 })
    const unheard = new Writer(honest.author, 77).stream
    sayFloor(unheard, { sequence: 5, hash, lamport: 5 })
    sayFloor(Array.from(streamsOf(hub.author))[0]!, { sequence: 1000, hash, lamport: 1000 })
    say([], { ask: true })
    net.run(1000)
    expect(saidOf(stream)).toMatchObject({ have: before!.have, floor: undefined })
    expect(saidOf(unheard)).toBeUndefined()
    expectTalk()
  })

  it('to the end of Lamport time', () => {
    sayFloor(forger.stream, { sequence: 1, hash, lamport: MaxTime })
    say([], { ask: true })
    net.run(1000)
    expect(saidOf(forger.stream)).toBeUndefined()
    expectTalk()
  })

  it('that name what others wrote as their own', () => {
    const named = lastOf(hub.author)
    for (const [sequence, lamport] of [
      [1, 0],
      [2, 1000],
      [3, 0],
    ] as const) {
      sayFloor(forger.stream, { sequence, hash: sequence === 3 ? hash : named.hash, lamport })
      net.run(100)
    }
    expectTalk()
  })

  it('after which it would have to begin at a Lamport time before its own', () => {
    send(forger.write('names all', [lastOf(hub.author)]))
    net.run(100)
    sayFloor(forger.stream, { sequence: 9, hash, lamport: 0 })
    net.run(1000)
    expectTalk()
  })

  it('more often than now and then', () => {
    let writes = 0
    hub.store.onWrite = () => {
      writes += 1
    }
    for (let sequence = 1; sequence <= 5000; sequence += 1) {
      sayFloor(forger.stream, { sequence, hash, lamport: 5 })
    }
    net.run(1000)
    expect(count('chat-rate')).toBeGreaterThan(4900)
    expect(writes).toBeLessThan(10)
    expect(hub.store.read('chat')!.length).toBeLessThan(20_000)
    expectTalk()
  })
})

describe('claims', () => {
  it('to have more of what the hub writes do not make it change its stream', () => {
    for (let index = 0; index < 200; index += 1) {
      net.post(hub, `${index}`)
      net.run(20)
      const streams = Array.from(streamsOf(hub.author))
      say(streams.map((stream) => line(stream, { have: 2 ** 32 - 1, head: 'ff'.repeat(8) })).slice(-9))
    }
    net.run(1000)
    expect(streamsOf(hub.author).size).toBe(1)
    expectTalk()
  })

  it('do so once where its stream comes from the disk, since that may be an old copy', () => {
    net.restart(hub)
    net.connect(honest, mallory)
    net.run(1000)
    for (let index = 0; index < 100; index += 1) {
      net.post(hub, `${index}`)
      net.run(20)
      say(Array.from(streamsOf(hub.author), (stream) => line(stream, { have: 1e9, head: 'ff'.repeat(8) })))
    }
    net.run(1000)
    expect(streamsOf(hub.author).size).toBe(2)
    expectTalk()
  })

  it('to have what it has not cost a guest what it does not get, and nobody else anything', () => {
    const stream = Array.from(streamsOf(honest.author))[0]!
    say([
      line(stream, { have: 2 ** 32 - 1, head: 'ff'.repeat(8), beyond: 2 ** 32 - 1, delivered: 2 ** 32 - 1 }),
    ])
    net.run(1000)
    expectTalk()
    net.connect(mallory)
    net.drop = () => false
    net.run(10_000)
    expect(mallory.shown.toSorted()).toEqual(hub.shown.toSorted())
  })

  it('of the hub that more was delivered than was posted are not believed', () => {
    const [stream] = Array.from(streamsOf(honest.author)) as [string]
    net.disconnect(mallory)
    net.drop = () => true
    const id = net.post(honest, 'not yet')
    const lie = line(stream, { have: 1, head: saidOf(stream)!.head, delivered: 2 ** 32 - 1 })
    net.inject(hub, honest, writeLines({ ask: false, whole: false, digest: NoHead, lines: [lie] }))
    expect(delivered(honest)).not.toContain(id)
    expect(honest.replica.undelivered).toBe(1)
  })

  it.each([5, 2 ** 32 - 1])('of the hub that a stream is trimmed up to %i end that stream', (sequence) => {
    const [stream] = Array.from(streamsOf(honest.author)) as [string]
    const floor = { sequence, hash, lamport: 5 }
    const lie = line(stream, {
      have: floor.sequence,
      head: hash.slice(0, 16),
      floor,
      delivered: floor.sequence,
    })
    net.inject(hub, honest, writeLines({ ask: false, whole: false, digest: NoHead, lines: [lie] }))
    net.drop = () => false
    net.disconnect(mallory)
    net.post(honest, 'still here')
    // It names a floor that exists nowhere else, and is waited for.
    net.run(15_000)
    expect(hub.shown).toContain('still here')
  })
})

describe('floods', () => {
  it('of entries are cut to 1000 a second', () => {
    const entries = forger.series(1500)
    send(...entries)
    expect(count('chat-rate')).toBe(500)
    expect(hub.shown.filter((text) => text.startsWith('text'))).toHaveLength(1000)
    net.run(250)
    send(...entries.slice(1000))
    expect(hub.shown.filter((text) => text.startsWith('text'))).toHaveLength(1250)
  })

  it('of pieces that never become entries hold 64 entries at most', () => {
    const honestText = 'y'.repeat(4096)
    const long = new Writer(mallory.author).write('x'.repeat(4096))
    const pieces = fragmentEntry(long)
    const kept = pieces.slice(0, -1)
    for (const piece of kept) net.inject(mallory, hub, piece)
    for (let index = 0; index < 5000; index += 1) {
      const piece = pieces[0]!.slice()
      new DataView(piece.buffer).setUint32(1, index)
      net.inject(mallory, hub, piece)
    }
    // The first made room long ago.
    net.inject(mallory, hub, pieces.at(-1)!)
    expect(hub.shown).not.toContain(long.text)
    net.post(honest, honestText)
    net.run(1000)
    expect(hub.shown).toContain(honestText)
    send(long)
    expect(hub.shown).toContain(long.text)
  })

  it('of entries that wait for what does not exist are shown after all, and do not pile up', () => {
    const unknown = new Writer(newAuthor('nobody')).write('never sent')
    for (let second = 0; second < 2; second += 1) {
      for (let index = 0; index < 30; index += 1) {
        const writer = new Writer(mallory.author, second * 30 + index + 1)
        send(writer.write('waits', [unknown], { lamport: 2 ** 20 }), ...writer.series(30, 'follows'))
      }
      net.run(1000)
    }
    expect(hub.shown.length).toBeGreaterThan(1000)
    expectTalk()
  })

  it('of lines for unknown streams are forgotten above 4096, and said to nobody', () => {
    for (let index = 0; index < 1000; index += 1) {
      const lines = Array.from({ length: 9 }, (_, at) =>
        line((9 * index + at).toString(16).padStart(80, '0'), { have: 7, head: 'ab'.repeat(8) }),
      )
      say(lines, { ask: true, whole: true })
    }
    net.sent = []
    net.run(5000)
    expect(net.sent.length).toBeLessThan(100)
    const said = net.sent.map(({ payload }) => readPayload(payload))
    const streams = new Set(
      said.flatMap((each) => (each.type === 'lines' ? each.lines.map(({ stream }) => stream) : [])),
    )
    expect(streams.size).toBeLessThanOrEqual(2)
    expectTalk()
  })

  it('of questions get an answer every 500 ms', () => {
    net.sent = []
    for (let index = 0; index < 1000; index += 1) {
      say([], { ask: true })
      net.run(5)
    }
    expect(net.sent.filter(({ to }) => to === mallory.name).length).toBeLessThan(30)
  })

  it('of new incarnations end at 64', () => {
    for (let index = 0; index < 100; index += 1) send(new Writer(mallory.author, index).write(`${index}`))
    expect(count('chat-streams')).toBe(36)
    net.run(1000)
    expectTalk()
  })
})

describe('a guest', () => {
  it('that takes nothing of some streams gets all others', () => {
    // Forks of 64 entries that the guest has otherwise: more than are sent without an acknowledgement.
    net.disconnect(honest)
    for (const incarnation of [1, 2, 3]) {
      send(...new Writer(mallory.author, incarnation).series(40, `${incarnation} ours`))
    }
    honest.replica.addNeighbour(net.now, 'hub', hub.author.publicKey)
    for (const incarnation of [1, 2, 3]) {
      const theirs = new Writer(mallory.author, incarnation)
      for (const entry of theirs.series(40, `${incarnation} theirs`)) {
        for (const piece of fragmentEntry(entry)) net.inject(hub, honest, piece)
      }
    }
    expect(honest.shown).toContain('1 theirs 40')
    net.connect(honest)
    net.run(10_000)
    net.post(hub, 'gets through')
    net.post(honest, 'and back')
    // Each names entries that the other does not take, and waits for them.
    net.run(25_000)
    expect(honest.shown).toContain('gets through')
    expect(hub.shown).toContain('and back')
  })

  it('hears nothing from a stranger', () => {
    net.sent = []
    hub.replica.handlePayload(
      net.now,
      'nobody',
      writeLines({ ask: true, whole: true, digest: NoHead, lines: [] }),
    )
    expect(hub.replica.pollTransmit()).toBeUndefined()
    hub.replica.removeNeighbour(net.now, 'nobody')
    expectTalk()
  })
})

/** The last entry of an author that the hub sent. */
function lastOf(author: Author): Entry {
  const entries = net.sent.flatMap(({ from, payload: bytes }) => {
    const payload = readPayload(bytes)
    return from === hub.name && payload.type === 'fragment' && payload.count === 1
      ? [decodeEntry(crypto, payload.bytes)]
      : []
  })
  return entries.findLast((entry) => Buffer.compare(entry.author, author.publicKey) === 0)!
}
