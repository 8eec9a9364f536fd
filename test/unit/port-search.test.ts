import { describe, expect, it } from 'vitest'
import { PortSearch, type PortSearchTransmit } from '../../src/room/port-search.js'
import type { Candidate } from '../../src/transports/path/candidate.js'
import { SeededRandom } from '../sim/seeded-random.js'

const srflx = (address: string, port: number): Candidate => ({ kind: 'srflx', address: { address, port } })
/** Two STUN servers see two ports. */
const Hard = [srflx('203.0.113.7', 1111), srflx('203.0.113.7', 2222)]
const Steady = [srflx('198.51.100.9', 4000)]

class Side {
  readonly search: PortSearch
  now = 0

  constructor(own: readonly Candidate[], theirs: readonly Candidate[]) {
    this.search = new PortSearch(new SeededRandom('port search'), () => own)
    this.search.addCandidates('peer', theirs)
    this.search.handlePath(0, 'peer', 'relay', 'a relay')
  }

  /** Lets time go on, and gives what was wanted meanwhile. */
  run(forMs: number): PortSearchTransmit[] {
    const end = this.now + forMs
    const sent = this.drain()
    for (let at = this.search.pollTimeout(); at !== undefined && at <= end; at = this.search.pollTimeout()) {
      this.now = Math.max(this.now, at)
      this.search.handleTimeout(this.now)
      sent.push(...this.drain())
    }
    this.now = end
    return sent
  }

  drain(): PortSearchTransmit[] {
    const sent: PortSearchTransmit[] = []
    for (let each = this.search.pollTransmit(); each !== undefined; each = this.search.pollTransmit())
      sent.push(each)
    return sent
  }

  get events(): number {
    let count = 0
    while (this.search.pollEvent() !== undefined) count += 1
    return count
  }
}

function opened(side: Side): readonly string[] {
  const [open] = side.run(600)
  expect(open?.type).toBe('open-sockets')
  const ids = open?.type === 'open-sockets' ? open.ids : []
  side.search.handleSockets(side.now, ids)
  return ids
}

function ports(sent: readonly PortSearchTransmit[]): number[] {
  return sent.flatMap((each) => (each.type === 'scatter' ? each.to.map(({ port }) => port) : []))
}

describe('the side behind a hard NAT', () => {
  it('opens 256 sockets, sends from each to the steady address, and then says so until it is heard', () => {
    const side = new Side(Hard, Steady)
    const ids = opened(side)
    expect(ids).toHaveLength(256)
    const [scatter] = side.drain()
    expect(scatter).toEqual({
      type: 'scatter',
      peer: 'peer',
      to: ids.map((via) => ({ ...Steady[0]!.address, via })),
    })
    side.run(2000)
    expect(side.events).toBeGreaterThan(2)
  })

  it('keeps the socket that a path goes through, and closes the others', () => {
    const side = new Side(Hard, Steady)
    const ids = opened(side)
    side.drain()
    side.search.handlePath(side.now, 'peer', 'prflx', ids[7])
    expect(side.drain()).toEqual([{ type: 'close-sockets', ids: ids.filter((id) => id !== ids[7]) }])
    side.search.removePeer('peer')
    expect(side.drain()).toEqual([{ type: 'close-sockets', ids: [ids[7]] }])
  })

  it('closes them all after 12 s in vain, and begins again a minute after the beginning', () => {
    const side = new Side(Hard, Steady)
    const ids = opened(side)
    side.drain()
    expect(side.run(12_500)).toEqual([{ type: 'close-sockets', ids }])
    expect(side.run(45_000)).toEqual([])
    expect(side.run(5000).map(({ type }) => type)).toEqual(['open-sockets'])
  })

  it('closes sockets that come too late', () => {
    const side = new Side(Hard, Steady)
    const [open] = side.run(600)
    side.search.handlePath(side.now, 'peer', 'host', undefined)
    side.drain()
    const ids = open?.type === 'open-sockets' ? open.ids : []
    side.search.handleSockets(side.now, ids)
    expect(side.drain()).toEqual([{ type: 'close-sockets', ids }])
  })

  it.each([
    ['its own NAT keeps its port', Steady, Steady],
    ['the other’s is hard too', Hard, Hard],
    ['the other is known at private addresses only', Hard, [srflx('10.0.0.1', 1)]],
  ])('opens none where %s', (_, own, theirs) => {
    expect(new Side(own, theirs).run(120_000)).toEqual([])
  })

  it('opens none where the path is direct', () => {
    const side = new Side(Hard, Steady)
    side.search.handlePath(0, 'peer', 'prflx', undefined)
    expect(side.run(120_000)).toEqual([])
  })
})

describe('the side with the steady port', () => {
  it('tries a thousand ports of the hard address, once each, a hundred a second', () => {
    const side = new Side(Steady, Hard)
    side.search.handleAgreed(0, 'peer')
    const second = side.run(1000)
    expect(ports(second).length).toBeGreaterThanOrEqual(100)
    expect(ports(second).length).toBeLessThanOrEqual(110)
    const all = ports(second).concat(ports(side.run(30_000)))
    expect(all.length).toBeLessThanOrEqual(1005)
    expect(new Set(all).size).toBe(all.length)
    for (const port of all) expect(port).toBeGreaterThanOrEqual(1024)
  })

  it('does so once a minute, however often it is asked', () => {
    const side = new Side(Steady, Hard)
    let tries = 0
    for (let second = 0; second < 59; second++) {
      side.search.handleAgreed(side.now, 'peer')
      tries += ports(side.run(1000)).length
    }
    expect(tries).toBeLessThanOrEqual(1005)
    side.search.handleAgreed(side.now + 2000, 'peer')
    expect(ports(side.drain()).length).toBeGreaterThan(0)
  })

  it('stops where a direct path is found', () => {
    const side = new Side(Steady, Hard)
    side.search.handleAgreed(0, 'peer')
    side.run(500)
    side.search.handlePath(side.now, 'peer', 'prflx', undefined)
    expect(side.run(20_000)).toEqual([])
  })

  it.each([
    ['the other has not shown a hard NAT', Steady, Steady],
    ['its own is hard too', Hard, Hard],
    ['the address is private', Steady, [srflx('192.168.1.1', 1), srflx('192.168.1.1', 2)]],
  ])('tries nothing where %s', (_, own, theirs) => {
    const side = new Side(own, theirs)
    side.search.handleAgreed(0, 'peer')
    expect(ports(side.run(20_000))).toEqual([])
  })

  it('tries nothing where there is a direct path', () => {
    const side = new Side(Steady, Hard)
    side.search.handlePath(0, 'peer', 'prflx', undefined)
    side.search.handleAgreed(0, 'peer')
    expect(ports(side.run(20_000))).toEqual([])
  })

  it('tries for one peer at a time, and for none that it does not know', () => {
    const side = new Side(Steady, Hard)
    side.search.addCandidates('other', [srflx('203.0.113.99', 1), srflx('203.0.113.99', 2)])
    side.search.handlePath(0, 'other', 'relay', 'a relay')
    side.search.handleAgreed(0, 'peer')
    side.search.handleAgreed(0, 'other')
    side.search.handleAgreed(0, 'nobody')
    const targets = side.run(5000).flatMap((each) => (each.type === 'scatter' ? each.to : []))
    expect(new Set(targets.map(({ address }) => address))).toEqual(new Set(['203.0.113.7']))
  })
})
