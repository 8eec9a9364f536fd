import { describe, expect, it } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import { Bad, ChatNet, delivered, isFragment, type Node, newRoom, Perfect } from './chat-net.js'

const late = ({ events }: Node): string[] =>
  events.flatMap((event) => (event.type === 'message' && event.late ? [event.text] : []))

describe('messages', () => {
  it('are everywhere within a round trip, and delivered within three', () => {
    const [net, hub, one, two] = newRoom(2, 'quick') as [ChatNet, Node, Node, Node]
    const id = net.post(one, 'hello')
    expect(one.shown).toEqual(['hello'])
    expect(one.events[0]).toMatchObject({ type: 'message', own: true, id, name: 'guest 1', late: false })
    net.run(21)
    expect(hub.shown).toEqual(['hello'])
    expect(two.shown).toEqual(['hello'])
    expect(two.events[0]).toMatchObject({ own: false, id, author: one.author.publicKey, name: 'guest 1' })
    expect(one.replica.undelivered).toBe(1)
    net.run(60)
    expect(delivered(one)).toEqual([id])
    expect(one.replica.undelivered).toBe(0)
  })

  it.each([1, 2, 3])(
    'are everywhere exactly once over links that lose, delay and double (seed %i)',
    (seed) => {
      const [net, hub, ...guests] = newRoom(4, `seed ${seed}`, Bad)
      const ids = new Map<Node, string[]>()
      const all: string[] = []
      for (let index = 0; index < 80; index += 1) {
        const author = [hub, ...guests][Math.floor(net.random.fraction() * 5)]!
        const text = `${index} ${'x'.repeat(net.random.fraction() < 0.2 ? 3000 : 10)}`
        all.push(text)
        ids.set(author, [...(ids.get(author) ?? []), net.post(author, text)])
        net.run(net.random.fraction() * 100)
      }
      net.run(120_000)
      for (const node of [hub, ...guests]) {
        expect(node.shown.toSorted(), node.name).toEqual(all.toSorted())
        expect(delivered(node), node.name).toEqual(ids.get(node))
        expect(node.replica.undelivered).toBe(0)
      }
    },
  )

  it('of a member that is back go at once, also while it finds out what it lacks', () => {
    const [net, hub, one] = newRoom(1, 'back') as [ChatNet, Node, Node]
    net.post(one, 'before')
    net.run(1000)
    net.disconnect(one)
    net.restart(one)
    net.connect(one)
    net.run(0)
    net.post(one, 'at once')
    // One way takes 10 ms.
    net.run(11)
    expect(hub.shown).toEqual(['before', 'at once'])
    expect(net.sent.filter(({ from, payload }) => from === one.name && isFragment(payload))).toHaveLength(2)
  })

  it('are shown after those that they answer, whatever comes first', () => {
    const [net, hub, one, two] = newRoom(2, 'answers') as [ChatNet, Node, Node, Node]
    net.quality = Bad
    for (let index = 0; index < 40; index += 1) {
      net.post(index % 2 === 0 ? one : hub, `${index}`)
      // Each has seen the one before.
      for (let tries = 0; !hub.shown.includes(`${index}`) || !one.shown.includes(`${index}`); tries += 1) {
        if (tries > 1000) throw new Error(`${index} did not arrive`)
        net.run(10)
      }
    }
    net.run(60_000)
    expect(two.shown).toEqual(Array.from({ length: 40 }, (_, index) => `${index}`))
  })

  it('cost little when nothing is said: a comparison every 30 s each way', () => {
    const [net] = newRoom(1, 'silence')
    net.run(10_000)
    net.sent = []
    net.run(60_000)
    expect(net.sent).toHaveLength(4)
    expect(Math.max(...net.sent.map(({ payload }) => payload.length))).toBeLessThan(20)
  })

  it('are in datagrams of at most 1000 bytes', () => {
    const [net, hub, one] = newRoom(1, 'sizes') as [ChatNet, Node, Node]
    for (let index = 0; index < 12; index += 1) net.post(index % 2 === 0 ? hub : one, 'x'.repeat(4096))
    net.run(10_000)
    expect(Math.max(...net.sent.map(({ payload }) => payload.length))).toBe(1000)
    expect(one.shown).toHaveLength(12)
  })

  it.each([1, 4096])('of %i bytes arrive', (length) => {
    const [net, hub, one] = newRoom(1, 'length') as [ChatNet, Node, Node]
    net.post(one, 'x'.repeat(length))
    net.run(1000)
    expect(hub.shown).toEqual(['x'.repeat(length)])
  })

  it.each([
    ['no bytes', ''],
    ['4097 bytes', 'x'.repeat(4097)],
    ['2049 characters of two bytes', 'ü'.repeat(2049)],
    ['half a character', 'a\ud83e'],
    ['halves in the wrong order', '\udd86\ud83e'],
  ])('of %s are refused, and nothing is sent', (_, text) => {
    const [net, hub, one] = newRoom(1, 'refused') as [ChatNet, Node, Node]
    net.sent = []
    const bytes = one.store.read('chat')
    expect(() => net.post(one, text)).toThrow(UsageError)
    expect(() => net.post(one, text)).toThrow(expect.objectContaining({ code: 'message-invalid' }))
    net.run(100)
    expect(net.sent.filter(({ payload }) => isFragment(payload))).toEqual([])
    expect(hub.shown).toEqual([])
    expect(one.events).toEqual([])
    expect(one.store.read('chat')).toEqual(bytes)
  })
})

describe('delivered', () => {
  it('is nothing of the hub while nobody else is online', () => {
    const net = new ChatNet('alone')
    const hub = net.add('hub')
    net.post(hub, 'anybody?')
    net.run(60_000)
    expect(delivered(hub)).toEqual([])
    expect(hub.replica.undelivered).toBe(1)
    const guest = net.add('guest')
    net.connect(guest)
    net.run(1000)
    expect(guest.shown).toEqual(['anybody?'])
    expect(delivered(hub)).toHaveLength(1)
  })

  it('is nothing of a guest before the hub has it', () => {
    const [net, , one] = newRoom(1, 'guest alone') as [ChatNet, Node, Node]
    net.disconnect(one)
    const id = net.post(one, 'anybody?')
    net.run(60_000)
    expect(delivered(one)).toEqual([])
    net.connect(one)
    net.run(1000)
    expect(delivered(one)).toEqual([id])
  })

  it('waits for every member online, and for no others', () => {
    const [net, hub, one, two, three] = newRoom(3, 'online') as [ChatNet, Node, Node, Node, Node]
    net.disconnect(three)
    net.drop = (from, payload) => from === 'guest 2' && !isFragment(payload)
    const ids = [net.post(one, 'from a guest'), net.post(hub, 'from the hub')]
    net.run(20_000)
    expect(two.shown).toHaveLength(2)
    expect([...delivered(one), ...delivered(hub)]).toEqual([])
    net.drop = () => false
    net.run(10_000)
    expect([...delivered(one), ...delivered(hub)]).toEqual(ids)
    expect(three.shown).toEqual([])
  })

  it('counts members that leave no more', () => {
    const [net, hub, one, two] = newRoom(2, 'leaving') as [ChatNet, Node, Node, Node]
    net.drop = (from) => from === 'guest 2'
    const ids = [net.post(one, 'from a guest'), net.post(hub, 'from the hub')]
    net.run(10_000)
    expect([...delivered(one), ...delivered(hub)]).toEqual([])
    net.disconnect(two)
    net.run(2000)
    expect([...delivered(one), ...delivered(hub)]).toEqual(ids)
  })

  it('does not come of the last guest leaving', () => {
    const [net, hub, one] = newRoom(1, 'last') as [ChatNet, Node, Node]
    net.drop = () => true
    net.post(hub, 'too late')
    net.run(10)
    net.disconnect(one)
    net.run(60_000)
    expect(delivered(hub)).toEqual([])
  })

  it('does not come of a guest joining anew', () => {
    const [net, hub, , two] = newRoom(2, 'anew') as [ChatNet, Node, Node, Node]
    net.drop = (from) => from === 'guest 2'
    const id = net.post(hub, 'wait')
    net.run(5000)
    net.connect(two)
    net.run(5000)
    expect(delivered(hub)).toEqual([])
    net.drop = () => false
    net.run(10_000)
    expect(delivered(hub)).toEqual([id])
  })

  it('counts members that come from then on', () => {
    const [net, hub, one] = newRoom(1, 'coming') as [ChatNet, Node, Node]
    net.drop = (_, payload) => isFragment(payload)
    const late = net.add('late')
    const id = net.post(hub, 'for both')
    net.connect(late)
    net.run(1000)
    net.drop = (from) => from === 'late'
    net.run(10_000)
    expect(one.shown).toEqual(['for both'])
    expect(delivered(hub)).toEqual([])
    net.drop = () => false
    net.run(10_000)
    expect(delivered(hub)).toEqual([id])
  })

  it('is said again where it was lost', () => {
    const [net, , one] = newRoom(2, 'lost') as [ChatNet, Node, Node]
    const id = net.post(one, 'hello')
    net.drop = (from) => from === 'hub'
    net.run(30_000)
    expect(delivered(one)).toEqual([])
    net.drop = () => false
    net.run(6000)
    expect(delivered(one)).toEqual([id])
  })

  it('is said once, even when the link begins anew', () => {
    const [net, , one] = newRoom(1, 'once') as [ChatNet, Node, Node]
    const id = net.post(one, 'hello')
    net.run(1000)
    net.connect(one)
    net.run(10_000)
    net.restart(one)
    net.connect(one)
    net.run(10_000)
    expect(delivered(one)).toEqual([id])
    expect(one.replica.undelivered).toBe(0)
  })
})

describe('history', () => {
  const say = (net: ChatNet, nodes: readonly Node[], count: number, of = 'old'): void => {
    for (let index = 0; index < count; index += 1) {
      net.post(nodes[index % nodes.length]!, `${of} ${index + 1}`)
      net.run(100)
    }
    net.run(10_000)
  }

  it.each([
    [0, []],
    [2, ['old 5', 'old 6']],
    [6, ['old 1', 'old 2', 'old 3', 'old 4', 'old 5', 'old 6']],
  ])('for newcomers is the last %i', (limit, expected) => {
    const [net, hub, one] = newRoom(1, 'history', Perfect, limit) as [ChatNet, Node, Node]
    say(net, [hub, one], 6)
    const newcomer = net.add('newcomer')
    net.connect(newcomer)
    net.run(5000)
    expect(newcomer.shown).toEqual(expected)
    say(net, [hub, newcomer, one], 3, 'new')
    expect(newcomer.shown).toEqual([...expected, 'new 1', 'new 2', 'new 3'])
    expect(hub.shown.slice(6)).toEqual(['new 1', 'new 2', 'new 3'])
    expect(delivered(newcomer)).toHaveLength(1)
  })

  it.each([0, 2])('for newcomers is the last %i over bad links too', (limit) => {
    const [net, hub, one] = newRoom(1, 'bad history', Bad, limit) as [ChatNet, Node, Node]
    say(net, [hub, one], 6)
    const newcomer = net.add('newcomer')
    net.connect(newcomer)
    net.run(30_000)
    expect(newcomer.shown).toHaveLength(limit)
    say(net, [hub, newcomer, one], 3, 'new')
    net.run(30_000)
    expect(newcomer.shown.slice(limit).toSorted()).toEqual(['new 1', 'new 2', 'new 3'])
  })

  it.each([Perfect, Bad])('for newcomers is no more where they have posted before they joined', (quality) => {
    const [net, hub, one] = newRoom(1, 'eager', Perfect, 2) as [ChatNet, Node, Node]
    say(net, [hub, one], 6)
    net.quality = quality
    const newcomer = net.add('newcomer')
    net.post(newcomer, 'I am here')
    net.connect(newcomer)
    net.run(60_000)
    expect(newcomer.shown.toSorted()).toEqual(['I am here', 'old 5', 'old 6'])
    expect(hub.shown).toContain('I am here')
    expect(delivered(newcomer)).toHaveLength(1)
  })

  it('for members that come back has no limit', () => {
    const [net, hub, one, two] = newRoom(2, 'returning', Perfect, 2) as [ChatNet, Node, Node, Node]
    say(net, [two], 1, 'mine')
    net.disconnect(two)
    say(net, [hub, one], 40)
    net.restart(two)
    net.connect(two)
    net.run(5000)
    expect(two.shown).toHaveLength(41)
  })

  it('is none twice: a newcomer that was given nothing comes back as a member', () => {
    const [net, hub, one] = newRoom(1, 'twice', Perfect, 0) as [ChatNet, Node, Node]
    say(net, [hub, one], 4)
    const newcomer = net.add('newcomer')
    net.connect(newcomer)
    net.run(5000)
    net.disconnect(newcomer)
    say(net, [hub, one], 3, 'new')
    net.restart(newcomer)
    net.connect(newcomer)
    net.run(5000)
    expect(newcomer.shown.toSorted()).toEqual(['new 1', 'new 2', 'new 3'])
  })

  it('that was trimmed is given up: the rest comes', () => {
    const [net, hub, one, two] = newRoom(2, 'trimmed', Perfect, 200) as [ChatNet, Node, Node, Node]
    say(net, [two, hub], 2, 'early')
    net.disconnect(one, two)
    for (let index = 0; index < 5100; index += 1) net.post(hub, `${index}`)
    net.connect(two)
    net.run(60_000)
    // Above 5000 entries, a tenth goes at once.
    const kept = two.shown.slice(2)
    expect(kept.length).toBeGreaterThanOrEqual(4500)
    expect(kept.length).toBeLessThan(5000)
    expect(kept).toEqual(Array.from({ length: 5100 }, (_, index) => `${index}`).slice(-kept.length))
    net.post(two, 'I am back')
    net.run(1000)
    expect(hub.shown.at(-1)).toBe('I am back')
    expect(delivered(two)).toHaveLength(2)
    net.restart(hub)
    net.connect(two)
    net.post(hub, 'so am I')
    net.run(5000)
    expect(two.shown.at(-1)).toBe('so am I')
    expect(two.shown).toHaveLength(kept.length + 4)
  })
})

describe('late', () => {
  it('is what belongs before something that was shown 2 s ago', () => {
    const [net, hub, one, two] = newRoom(2, 'late') as [ChatNet, Node, Node, Node]
    net.disconnect(one)
    net.post(one, 'meanwhile')
    for (let index = 0; index < 5; index += 1) net.post(hub, `${index}`)
    net.run(3000)
    net.connect(one)
    net.run(3000)
    expect(two.shown.at(-1)).toBe('meanwhile')
    expect(late(two)).toEqual(['meanwhile'])
    expect(late(hub)).toEqual(['meanwhile'])
    net.post(one, 'now')
    net.run(3000)
    expect(late(two)).toEqual(['meanwhile'])
  })

  it('is not what crossed with something', () => {
    const [net, hub, one, two] = newRoom(2, 'crossed') as [ChatNet, Node, Node, Node]
    for (let index = 0; index < 3; index += 1) net.post(hub, `hub ${index}`)
    net.post(one, 'guest')
    net.run(5000)
    for (const node of [hub, one, two]) {
      expect(node.shown).toHaveLength(4)
      expect(late(node)).toEqual([])
    }
  })
})
