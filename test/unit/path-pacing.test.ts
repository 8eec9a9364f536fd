import { describe, expect, it } from 'vitest'
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { type Candidate, MaxCandidates } from '../../src/transports/path/candidate.js'
import { generateCredentials, type IceCredentials } from '../../src/transports/path/credentials.js'
import { TargetPacing, TokenBucket } from '../../src/transports/path/pacing.js'
import { at, candidates, checkFrom, mostWithin, PathNet, type PathNode, type Sent } from './path-net.js'

const victim = at('203.0.113.66', 53)
const SilentTarget = { burst: 3, perSecond: 1 / 60 }

/** A machine that many peers, who never answer, have given these candidates. */
function hostOf(peers: number, candidatesOf: (peer: number) => readonly Candidate[]) {
  const net = new PathNet('pacing')
  const host = net.add('host', [at('192.0.2.1')])
  const credentials: { local: IceCredentials; remote: IceCredentials }[] = []
  for (let peer = 0; peer < peers; peer++) {
    const each = { local: generateCredentials(net.random), remote: generateCredentials(net.random) }
    credentials.push(each)
    host.paths.add(net.now, `peer ${peer}`, { ...each, remoteCandidates: candidatesOf(peer) })
  }
  return { net, host, credentials }
}

const ip = (number: number): string => `198.51.${number >> 8}.${number & 255}`

/** Over every window: a burst at first, then no more than the rate. */
function expectWithin(
  sent: readonly Sent[],
  { burst, perSecond }: { burst: number; perSecond: number },
): void {
  for (const seconds of [0.001, 0.1, 0.5, 1, 2, 5, 20, 60]) {
    const allowed = burst + perSecond * seconds
    expect(mostWithin(1000 * seconds, sent), `within ${seconds} s`).toBeLessThanOrEqual(Math.floor(allowed))
  }
}

describe('checks are paced', () => {
  it('to an ip:port that never answers: three at once, then one a minute', () => {
    const { net, host } = hostOf(1, () => candidates('srflx', victim))
    net.run(120_000)
    const checks = net.checks(host)
    expectWithin(checks, SilentTarget)
    expect(mostWithin(1000, checks)).toBe(3)
    expect(checks.length).toBe(5)
  })

  it('to an ip:port that never answers, however many peers name it', () => {
    const { net, host } = hostOf(100, () => candidates('srflx', victim))
    net.run(0)
    expect(net.checks(host)).toHaveLength(3)
    net.run(30_000)
    expect(net.checks(host)).toHaveLength(3)
  })

  it('to an ip:port that never answers, however often a peer is added anew or signals it', () => {
    const { net, host, credentials } = hostOf(1, () => candidates('srflx', victim))
    for (let count = 0; count < 200; count++) {
      const remoteCandidates = candidates('srflx', victim)
      host.paths.add(net.now, 'peer 0', { ...credentials[0]!, remoteCandidates })
      host.paths.addRemoteCandidates(net.now, 'peer 0', remoteCandidates)
      host.paths.authenticated(net.now, 'peer 0', victim)
      net.run(20)
    }
    expect(net.checks(host)).toHaveLength(3)
  })

  it('to an ip:port that asks, but answers nothing: one more for each time', () => {
    const { net, host, credentials } = hostOf(20, () => candidates('srflx', victim))
    net.run(5000)
    expect(net.checks(host)).toHaveLength(3)
    for (const { local, remote } of credentials.slice(0, 5)) {
      host.paths.handleDatagram(net.now, victim, checkFrom(remote, local, net.random))
      net.run(5000)
    }
    expect(net.checks(host)).toHaveLength(3 + 5)
  })

  it('to all ports of an address that never answers', () => {
    const { net, host } = hostOf(50, (peer) =>
      Array.from({ length: MaxCandidates }, (_, index) => {
        return { kind: 'srflx', address: at(victim.address, 1 + peer * MaxCandidates + index) }
      }),
    )
    net.run(30_000)
    expectWithin(net.checks(host), { burst: 36, perSecond: 10 })
    expect(net.checks(host).length).toBeGreaterThan(300)
  })

  it('in all: 500 a second, and yet every peer has its turn', () => {
    const { net, host } = hostOf(300, (peer) =>
      Array.from({ length: MaxCandidates }, (_, index) => {
        return { kind: 'srflx', address: at(ip(peer), 1000 + index) }
      }),
    )
    net.run(10_000)
    const checks = net.checks(host)
    expectWithin(checks, { burst: 50, perSecond: 500 })
    expect(checks.length).toBeGreaterThan(4800)
    const targets = new Set(checks.map(({ to }) => formatSocketAddress(to)))
    expect(targets.size).toBe(300 * MaxCandidates)
  })

  it('for one peer: two rounds at once, then twenty a second', () => {
    const { net, host } = hostOf(1, () =>
      Array.from({ length: 24 }, (_, index) => ({ kind: 'srflx', address: at(ip(index)) })),
    )
    net.run(25_000)
    expectWithin(net.checks(host), { burst: 24, perSecond: 20 })
    expect(net.checks(host)).toHaveLength(24 * 3)
  })

  it('of a candidate that never answers while there is no path: at once, and then once a minute', () => {
    const { net, host } = hostOf(1, () => candidates('srflx', victim))
    net.run(1_200_000)
    const times = net.checks(host).map((check) => check.at)
    const gaps = times.slice(1).map((time, index) => time - times[index]!)
    expect(gaps.length).toBeGreaterThan(17)
    for (const [index, gap] of gaps.entries()) {
      if (index < 2) expect(gap).toBeLessThan(331)
      if (index > 2) expect(gap).toBeGreaterThan(53_000)
      expect(gap).toBeLessThan(66_001)
    }
  })

  it('not at all to a peer that was removed while they waited for their turn', () => {
    const { net, host } = hostOf(300, (peer) => candidates('srflx', at(ip(peer))))
    net.run(0)
    expect(net.checks(host)).toHaveLength(50)
    host.paths.remove('peer 299')
    net.run(5000)
    expect(net.checks(host, at(ip(298))).length).toBeGreaterThan(1)
    expect(net.checks(host, at(ip(299)))).toEqual([])
  })

  it('triggered ones first, also where they had to be put off', () => {
    const { net, host, credentials } = hostOf(300, (peer) =>
      Array.from({ length: 24 }, (_, index) => ({ kind: 'srflx', address: at(ip(peer), 1000 + index) })),
    )
    net.run(1)
    // The first peer has had all checks that it may have at once.
    expect(net.checks(host)).toHaveLength(50)
    expect(net.checks(host, at(ip(0), 1023))).toHaveLength(1)
    const { local, remote } = credentials[0]!
    host.paths.handleDatagram(net.now, victim, checkFrom(remote, local, net.random))
    net.run(100)
    expect(net.checks(host, victim)).toHaveLength(1)
    expect(net.checks(host, at(ip(299), 1000))).toHaveLength(0)
  })
})

describe('answers', () => {
  it('to one who has answered nothing are paced like checks, whatever ports it has', () => {
    const { net, host, credentials } = hostOf(1, () => [])
    const { local, remote } = credentials[0]!
    for (let count = 0; count < 300; count++) {
      const source = count % 3 === 0 ? victim : at(victim.address, 10_000 + count)
      host.paths.handleDatagram(net.now, source, checkFrom(remote, local, net.random))
      net.run(10)
    }
    const answers = net.sent.filter(({ isCheck }) => !isCheck)
    expectWithin(answers, { burst: 36, perSecond: 10 })
    expectWithin(
      answers.filter(({ to }) => to.port === victim.port),
      { burst: 3, perSecond: 2 },
    )
    expect(host.paths.counters.unansweredRequest).toBe(300 - answers.length)
  })

  it('to one who has answered are not', () => {
    const net = new PathNet()
    const [a, b] = [net.add('a', [at('192.0.2.1')]), net.add('b', [at('198.51.100.1')])]
    const { ofA, ofB } = net.join(a, b)
    net.run(100)
    const before = net.sent.length
    for (let count = 0; count < 50; count++) {
      a.paths.handleDatagram(net.now, at('198.51.100.1'), checkFrom(ofB, ofA, net.random))
    }
    net.run(0)
    expect(net.sent.length - before).toBe(50)
  })
})

describe('candidates are bounded', () => {
  const lately = (net: PathNet, host: PathNode, sinceMs: number): Set<string> =>
    new Set(
      net
        .checks(host)
        .filter((check) => check.at > net.now - sinceMs)
        .map(({ to }) => formatSocketAddress(to)),
    )

  it('to 24 signalled ones and 8 that were seen, of each the latest', () => {
    const { net, host, credentials } = hostOf(1, () => [])
    const { local, remote } = credentials[0]!
    const signalled: SocketAddress[] = Array.from({ length: 40 }, (_, index) => at(ip(index)))
    const seen: SocketAddress[] = Array.from({ length: 40 }, (_, index) => at(ip(256 + index)))
    for (const address of signalled) {
      host.paths.addRemoteCandidates(net.now, 'peer 0', candidates('srflx', address))
    }
    for (const source of seen) {
      host.paths.handleDatagram(net.now, source, checkFrom(remote, local, net.random))
    }
    expect(host.paths.counters.surplusCandidate).toBe(16 + 32)
    net.run(120_000)
    const expected = [...signalled.slice(-24), ...seen.slice(-8)].map(formatSocketAddress)
    expect(lately(net, host, 100_000)).toEqual(new Set(expected))
  })

  it('also where a peer signals what it was seen at', () => {
    const { net, host, credentials } = hostOf(1, () => [])
    const { local, remote } = credentials[0]!
    for (let index = 0; index < 200; index++) {
      host.paths.handleDatagram(net.now, at(ip(index)), checkFrom(remote, local, net.random))
      host.paths.addRemoteCandidates(net.now, 'peer 0', candidates('host', at(ip(index))))
    }
    net.run(120_000)
    expect(lately(net, host, 100_000).size).toBeLessThanOrEqual(24 + 8)
  })
})

describe('three hundred guests at once', () => {
  it('all have a path both ways within three seconds', () => {
    const net = new PathNet('three hundred')
    const host = net.add('host', [at('192.0.2.1'), at('10.0.0.1')])
    // Only the first link works; guests are on private networks of their own.
    net.isUp = (link) => link === 0
    net.latencyMs = (_link, from) => (from === 'host' ? 20 : 30)
    const guests = Array.from({ length: 300 }, (_, index) =>
      net.add(`guest ${index}`, [at(ip(index)), at(`10.${1 + (index >> 8)}.${index & 255}.2`)]),
    )
    for (const guest of guests) net.join(host, guest)
    net.run(3000)
    for (const guest of guests) {
      expect(guest.said('host')).toEqual(['srflx 192.0.2.1:41641'])
      expect(host.said(guest.name)).toEqual([`srflx ${formatSocketAddress(guest.addresses[0]!)}`])
    }
    expectWithin(net.checks(host), { burst: 50, perSecond: 500 })
    const times = guests.map((guest) => guest.events[0]!.at - 1000).sort((x, y) => x - y)
    expect(times[149]!).toBeLessThan(200)
    expect(host.paths.counters.unansweredRequest).toBe(0)
  })

  it('all have a path also from behind one address that the host does not know', () => {
    const net = new PathNet('one address')
    const host = net.add('host', [at('192.0.2.1')])
    const guests = Array.from({ length: 300 }, (_, index) =>
      net.add(`guest ${index}`, [at('198.51.100.1', 1000 + index)]),
    )
    for (const guest of guests) net.join(host, guest, { ofB: [] })
    net.run(5000)
    for (const guest of guests) {
      expect(guest.said('host')).toEqual(['srflx 192.0.2.1:41641'])
      expect(host.said(guest.name)).toEqual([`prflx ${formatSocketAddress(guest.addresses[0]!)}`])
    }
  })
})

describe('a token bucket', () => {
  it('starts full, refills at its rate, and never beyond its burst', () => {
    const bucket = new TokenBucket({ perSecond: 2, burst: 3 })
    const takeAll = (now: number): number => {
      let count = 0
      for (; bucket.waitMs(now) === 0; count++) bucket.take()
      return count
    }
    expect(takeAll(1000)).toBe(3)
    expect(bucket.waitMs(1000)).toBe(500)
    expect(bucket.waitMs(1100)).toBeCloseTo(400)
    expect(takeAll(1499)).toBe(0)
    expect(takeAll(1500)).toBe(1)
    expect(takeAll(1_000_000)).toBe(3)
  })

  it('of a target is kept while others come, and forgotten among very many', () => {
    const pacing = new TargetPacing(SilentTarget)
    const [first] = pacing.bucketsOf(victim)
    for (let port = 1; port <= 65_000; port++) pacing.bucketsOf(at('198.51.100.1', port))
    expect(pacing.bucketsOf(victim)[0]).toBe(first)
    for (let port = 1; port <= 2 * 65_536; port++) pacing.bucketsOf(at('198.51.100.2', port))
    expect(pacing.bucketsOf(victim)[0]).not.toBe(first)
  })

  it('of a target that has answered is its own, and that of its address is none', () => {
    const pacing = new TargetPacing(SilentTarget)
    expect(pacing.bucketsOf(victim)).toHaveLength(2)
    expect(pacing.hasAnswered(victim)).toBe(false)
    pacing.answered(victim)
    expect(pacing.hasAnswered(victim)).toBe(true)
    expect(pacing.bucketsOf(victim)).toHaveLength(1)
    const neighbour = at(victim.address, 54)
    expect(pacing.hasAnswered(neighbour)).toBe(false)
    expect(pacing.bucketsOf(neighbour)).toHaveLength(1)
    expect(pacing.bucketsOf(neighbour)[0]).not.toBe(pacing.bucketsOf(victim)[0])
  })
})
