import { describe, expect, it } from 'vitest'
import { formatSocketAddress } from '../../src/core/machine.js'
import { at, candidates, checkFrom, createPair, type PathNet, type PathNode, type Sent } from './path-net.js'

const A1 = '192.0.2.1:41641'
const A2 = '192.0.2.2:41641'
const B1 = '198.51.100.1:41641'
const B2 = '198.51.100.2:41641'
const routeOf = (from: PathNode, to: string): string | undefined => {
  const route = from.paths.route(to)
  return route && formatSocketAddress(route)
}
const gaps = (sent: readonly Sent[]): number[] =>
  sent.slice(1).map((each, index) => each.at - sent[index]!.at)

/** A pair whose paths are all up and at rest: the first link has been selected. */
function connected(links = 1): { net: PathNet; a: PathNode; b: PathNode } {
  const pair = createPair(links)
  pair.net.latencyMs = (link) => 10 + link
  pair.net.join(pair.a, pair.b)
  pair.net.runBusy(10_000, pair.a, pair.b)
  expect([pair.a.said('b'), pair.b.said('a')]).toEqual([[`srflx ${B1}`], [`srflx ${A1}`]])
  return pair
}

describe('a better path is promoted', () => {
  it('where its round trip is clearly shorter, on the second answer', () => {
    const { net, a, b } = createPair(2)
    net.latencyMs = (link) => (link === 0 ? 40 : 10)
    // The faster link is there a little later.
    net.isUp = (link) => link === 0 || net.now >= 1100
    net.join(a, b)
    net.runBusy(60_000, a, b)
    expect(a.said('b')).toEqual([`srflx ${B1}`, `srflx ${B2}`])
    expect(b.said('a')).toEqual([`srflx ${A1}`, `srflx ${A2}`])
    const selectedAt = a.selectedAt('b')!
    expect(selectedAt).toBeLessThan(4000)
    const answered = net.checks(a, at('198.51.100.2')).filter((check) => {
      return check.at >= 1100 && check.at <= selectedAt - 20
    })
    expect(answered).toHaveLength(2)
  })

  it.each([
    ['by less than a fifth', 100, 82],
    ['by less than 5 ms', 10, 7.6],
  ])('but not where it is shorter %s', (_how, slow, fast) => {
    const { net, a, b } = createPair(2)
    net.latencyMs = (link) => (link === 0 ? slow : fast)
    net.isUp = (link) => link === 0 || net.now >= 1300
    net.join(a, b)
    net.runBusy(300_000, a, b, 500)
    expect(a.said('b')).toEqual([`srflx ${B1}`])
  })

  it('and does not change back and forth under jitter', () => {
    const { net, a, b } = createPair(2)
    net.latencyMs = () => 20 + 15 * net.random.fraction()
    net.join(a, b)
    net.runBusy(600_000, a, b, 500)
    expect(a.events.length + b.events.length).toBeLessThan(8)
  })

  it('where it is direct and the other is relayed, though it is slower and comes much later', () => {
    const { net, a, b } = createPair(2)
    net.latencyMs = (link) => (link === 0 ? 10 : 50)
    net.isUp = (link) => link === 0 || net.now > 400_000
    const known = (...addresses: readonly string[]) => [
      ...candidates('relay', at(addresses[0]!)),
      ...candidates('srflx', at(addresses[1]!)),
    ]
    net.join(a, b, { ofA: known('192.0.2.1', '192.0.2.2'), ofB: known('198.51.100.1', '198.51.100.2') })
    net.run(400_000)
    expect([a.said('b'), b.said('a')]).toEqual([[`relay ${B1}`], [`relay ${A1}`]])
    const before = a.paths.route('b')
    net.run(66_200)
    expect(before).toEqual(at('198.51.100.1'))
    expect([a.said('b'), b.said('a')]).toEqual([
      [`relay ${B1}`, `srflx ${B2}`],
      [`relay ${A1}`, `srflx ${A2}`],
    ])
  })

  it('where it is on the same network, at its first answer', () => {
    const { net, a, b } = createPair(2)
    net.latencyMs = (link) => (link === 0 ? 10 : 12)
    net.join(a, b, {
      ofB: [...candidates('srflx', at('198.51.100.1')), ...candidates('host', at('198.51.100.2'))],
    })
    net.run(30)
    expect(a.said('b')).toEqual([`srflx ${B1}`, `host ${B2}`])
  })
})

describe('the selected path is checked', () => {
  it('every 3 s while there is traffic, and 15 to 25 s apart without', () => {
    const { net, a, b } = connected()
    net.sent.length = 0
    net.runBusy(60_000, a, b)
    for (const gap of gaps(net.checks(a))) {
      expect(gap).toBeGreaterThanOrEqual(3000)
      expect(gap).toBeLessThan(3100)
    }
    expect(net.checks(a).length).toBeGreaterThan(18)
    net.run(10_000)
    net.sent.length = 0
    net.run(600_000)
    for (const gap of gaps(net.checks(a))) {
      expect(gap).toBeGreaterThanOrEqual(15_000)
      expect(gap).toBeLessThan(25_100)
    }
    expect(net.checks(a).length).toBeGreaterThan(22)
    // The first packet after a rest has it checked at once.
    net.sent.length = 0
    net.run(5000)
    net.sent.length = 0
    net.tunnel(a, b)
    net.run(100)
    expect(net.checks(a).length + net.checks(b).length).toBeGreaterThanOrEqual(1)
  })

  it('no more often for what a quiet room says', () => {
    const { net, a, b } = connected()
    net.runBusy(10_000, a, b, 2500)
    net.sent.length = 0
    net.runBusy(300_000, a, b, 2500)
    for (const gap of gaps(net.checks(a))) expect(gap).toBeGreaterThanOrEqual(15_000)
    // Though it is heard all the time: its NAT's binding may have changed, or the round trip.
    expect(net.checks(a).length).toBeGreaterThan(3)
    for (const gap of gaps(net.checks(a))) expect(gap).toBeLessThan(85_000)
  })

  it('soon where several packets bring no answer', () => {
    const { net, a, b } = connected()
    net.runBusy(10_000, a, b, 2500)
    net.sent.length = 0
    a.paths.sent(net.now, 'b')
    a.paths.sent(net.now, 'b')
    net.run(100)
    expect(net.checks(a)).toHaveLength(0)
    a.paths.sent(net.now, 'b')
    net.run(3000)
    expect(net.checks(a)).toHaveLength(1)
  })

  it('again after 500 ms where an answer is missed, and kept', () => {
    const { net, a, b } = connected()
    net.sent.length = 0
    const start = net.now
    let dropped = 0
    net.isUp = (_link, from) => from === 'b' || net.now < start + 1 || dropped++ > 0
    for (let step = 0; step < 60; step++) {
      a.paths.sent(net.now, 'b')
      net.run(100)
    }
    expect(gaps(net.checks(a))[0]).toBe(500)
    expect(gaps(net.checks(a))[1]).toBeGreaterThan(2900)
    expect(a.said('b')).toEqual([`srflx ${B1}`])
    expect(routeOf(b, 'a')).toBe(A1)
  })
})

describe('a path that fails', () => {
  it('is kept until another one is verified, which takes seconds', () => {
    const { net, a, b } = connected(2)
    const start = net.now
    net.isUp = (link) => link !== 0
    net.runBusy(3000, a, b)
    expect(routeOf(a, 'b')).toBe(B1)
    net.runBusy(3000, a, b)
    expect([a.said('b'), b.said('a')]).toEqual([
      [`srflx ${B1}`, `srflx ${B2}`],
      [`srflx ${A1}`, `srflx ${A2}`],
    ])
    expect(a.selectedAt('b')! - start).toBeLessThan(5000)
    // When it is back, it is no better than the other one, and so stays unused.
    net.isUp = () => true
    net.runBusy(120_000, a, b)
    expect(a.said('b')).toHaveLength(2)
  })

  it('is lost after 15 s, its search has failed after another 15 s, and it comes back by itself', () => {
    const { net, a, b } = connected(2)
    const start = net.now
    net.isUp = () => false
    net.runBusy(300_000, a, b)
    expect(a.said('b').slice(1)).toEqual(['lost', 'failed'])
    const [lost, failed] = a.events.slice(1).map((event) => event.at - start) as [number, number]
    expect(lost).toBeGreaterThan(14_900)
    expect(lost).toBeLessThan(19_000)
    expect(failed - lost).toBe(15_000)
    expect(routeOf(a, 'b')).toBe(B1)
    net.isUp = () => true
    net.runBusy(66_100, a, b)
    for (const said of [a.said('b'), b.said('a')]) {
      expect(said.slice(1, 3)).toEqual(['lost', 'failed'])
      expect(said[3]).toMatch('srflx')
    }
  })

  it('is lost only when the peer was asked for 15 s, however long nobody spoke before', () => {
    const { net, a, b } = connected()
    net.run(14_000)
    const isAsked = (): boolean => net.checks(a).length > 0
    net.sent.length = 0
    net.isUp = (_link, from) => from === 'a'
    while (!isAsked()) net.run(100)
    net.run(14_000)
    expect(net.checks(a).length).toBeGreaterThan(20)
    expect([a.said('b'), b.said('a')]).toEqual([[`srflx ${B1}`], [`srflx ${A1}`]])
    net.run(2000)
    expect(a.said('b')).toEqual([`srflx ${B1}`, 'lost'])
    // b hears a all the time: only the way there is broken.
    expect(b.said('a')).toEqual([`srflx ${A1}`])
  })

  it('is looked for at once where a packet of the lost peer arrives', () => {
    const { net, a, b } = connected()
    net.isUp = () => false
    net.runBusy(200_000, a, b)
    net.isUp = () => true
    net.tunnel(b, a)
    net.run(50)
    expect(a.said('b').at(-1)).toBe(`srflx ${B1}`)
    expect(a.selectedAt('b')).toBeGreaterThan(net.now - 50)
  })

  it('is left where it works only one way, though the peer is heard by it all the time', () => {
    const { net, a, b } = createPair(2)
    net.latencyMs = (link) => (link === 0 ? 10 : 100)
    const { ofA, ofB } = net.join(a, b)
    net.run(2500)
    expect(routeOf(a, 'b')).toBe(B1)
    // What a sends on the first link is lost; b, of another make, goes on asking by it.
    const start = net.now
    net.isUp = (link, from) => link === 1 || from === 'b'
    for (let step = 0; step < 40; step++) {
      a.paths.sent(net.now, 'b')
      a.paths.handleDatagram(net.now, at('198.51.100.1'), checkFrom(ofB, ofA, net.random))
      a.paths.authenticated(net.now, 'b', at('198.51.100.1'))
      net.run(300)
    }
    expect(routeOf(a, 'b')).toBe(B2)
    expect(a.said('b')).toEqual([`srflx ${B1}`, `srflx ${B2}`])
    expect(a.selectedAt('b')! - start).toBeLessThan(9000)
  })
})

describe('a peer whose port changes in mid-session', () => {
  it('is checked at its new source and followed, but not obeyed', () => {
    const { net, a, b } = connected()
    const moved = at('198.51.100.1', 50_000)
    net.sent.length = 0
    b.addresses[0] = moved
    const start = net.now
    net.tunnel(b, a)
    net.run(10)
    expect(routeOf(a, 'b')).toBe(B1)
    net.run(0)
    expect(net.checks(a, moved)).toHaveLength(1)
    net.runBusy(5000, a, b)
    expect(routeOf(a, 'b')).toBe('198.51.100.1:50000')
    // Its own going over makes one miss of its old port enough.
    expect(a.selectedAt('b')! - start).toBeLessThan(1300)
    expect(a.said('b').at(-1)).toBe('prflx 198.51.100.1:50000')
    expect(routeOf(b, 'a')).toBe(A1)
  })

  it('stays where it is when only its packets come from elsewhere', () => {
    const { net, a, b } = connected()
    const elsewhere = at('203.0.113.9', 9)
    net.sent.length = 0
    for (let step = 0; step < 600; step++) {
      a.paths.authenticated(net.now, 'b', elsewhere)
      net.tunnel(a, b)
      net.run(100)
    }
    expect(routeOf(a, 'b')).toBe(B1)
    expect(a.said('b')).toHaveLength(1)
    expect(net.checks(a, elsewhere).length).toBeGreaterThan(2)
    expect(net.checks(a, elsewhere).length).toBeLessThan(16)
    expect(net.checks(a, at('198.51.100.1')).length).toBeGreaterThan(18)
  })

  it('is followed however often that happens over the days', () => {
    const { net, a, b } = connected()
    for (let move = 1; move <= 40; move++) {
      b.addresses[0] = at('198.51.100.1', 50_000 + move)
      net.runBusy(5000, a, b)
      expect(routeOf(a, 'b'), `move ${move}`).toBe(`198.51.100.1:${50_000 + move}`)
      net.run(120_000)
    }
    expect(a.said('b')).not.toContain('lost')
  })

  it('is followed though replayed checks come from everywhere', () => {
    const { net, a, b } = createPair()
    const { ofA, ofB } = net.join(a, b)
    net.runBusy(10_000, a, b)
    const moved = at('198.51.100.1', 50_000)
    const replayed = checkFrom(ofB, ofA, net.random)
    const start = net.now
    for (let step = 0; step < 400; step++) {
      if (step === 100) b.addresses[0] = moved
      for (let index = 0; index < 10; index++) {
        a.paths.handleDatagram(net.now, at(`203.0.113.${index}`, 1 + step), replayed)
      }
      if (step % 10 === 0) net.tunnel(b, a)
      net.run(10)
    }
    expect(routeOf(a, 'b')).toBe('198.51.100.1:50000')
    const firstCheckAt = net.checks(a, moved)[0]!.at
    expect(firstCheckAt - start).toBeLessThan(1000 + 10 + 10 + 100)
    expect(a.selectedAt('b')! - start).toBeLessThan(1000 + 2500)
  })
})
