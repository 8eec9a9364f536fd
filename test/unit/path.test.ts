import { describe, expect, it } from 'vitest'
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { CheckCredentials } from '../../src/transports/path/checks.js'
import { generateCredentials, type IceCredentials } from '../../src/transports/path/credentials.js'
import { Paths } from '../../src/transports/path/paths.js'
import { errorCodeAttribute, usernameAttribute } from '../../src/transports/stun/attributes.js'
import { answerBinding } from '../../src/transports/stun/binding.js'
import { AttributeType, Binding } from '../../src/transports/stun/constants.js'
import {
  type Attribute,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type Message,
} from '../../src/transports/stun/message.js'
import { at, candidates, checkFrom, createPair, PathNet, type PathNode } from './path-net.js'

const keyOf = ({ password }: IceCredentials): Uint8Array => new TextEncoder().encode(password)
const stranger = at('203.0.113.66', 6666)
const total = ({ paths }: PathNode): number =>
  Object.values(paths.counters).reduce((sum: number, count: number) => sum + count, 0)

describe('two peers', () => {
  it('select the first path that works, at once', () => {
    const { net, a, b } = createPair(3)
    net.isUp = (link) => link > 0
    net.latencyMs = (link) => (link === 1 ? 30 : 10)
    net.join(a, b)
    net.run(60_000)
    expect(a.said('b')[0]).toBe('srflx 198.51.100.3:41641')
    expect(b.said('a')[0]).toBe('srflx 192.0.2.3:41641')
    expect([a.events[0]!.at, b.events[0]!.at]).toEqual([1020, 1020])
    expect(a.events[0]).toMatchObject({ rttMs: 20 })
    expect([a.events.length, b.events.length]).toEqual([1, 1])
    expect(a.paths.route('b')).toEqual(at('198.51.100.3'))
  })

  it('have no path before one is verified, and then say no more than that', () => {
    const { net, a, b } = createPair()
    net.join(a, b)
    net.run(19)
    expect(a.paths.route('b')).toBeUndefined()
    net.run(600_000)
    expect(a.said('b')).toEqual(['srflx 198.51.100.1:41641'])
    expect([total(a), total(b)]).toEqual([0, 0])
  })

  it('find each other where only one knows an address of the other', () => {
    const { net, a, b } = createPair()
    net.join(a, b, { ofB: [] })
    net.run(100)
    expect(a.said('b')).toEqual(['prflx 198.51.100.1:41641'])
    expect(b.said('a')).toEqual(['srflx 192.0.2.1:41641'])
    // The kind becomes known when the address is signalled after all.
    a.paths.addRemoteCandidates(net.now, 'b', candidates('host', at('198.51.100.1')))
    a.paths.addRemoteCandidates(net.now, 'b', candidates('prflx', at('198.51.100.1')))
    net.run(100)
    expect(a.said('b').slice(1)).toEqual(['host 198.51.100.1:41641'])
  })

  it('find each other by candidates that come later, even after the search has failed', () => {
    const { net, a, b } = createPair()
    net.join(a, b, { ofA: [], ofB: [] })
    net.run(14_999)
    expect(a.said('b')).toEqual([])
    net.run(40_000)
    expect(a.said('b')).toEqual(['failed'])
    a.paths.addRemoteCandidates(net.now, 'b', candidates('srflx', at('198.51.100.1')))
    net.run(25)
    expect(a.said('b')).toEqual(['failed', 'srflx 198.51.100.1:41641'])
    net.run(25)
    expect(b.said('a')).toEqual(['failed', 'prflx 192.0.2.1:41641'])
  })

  it('answer a tunnel packet, before a path is selected, where an authentic check came from', () => {
    const { net, a, b } = createPair()
    const { ofA, ofB } = net.join(a, b, { ofB: [] })
    expect(a.paths.route('b', stranger)).toBeUndefined()
    a.paths.authenticated(net.now, 'b', stranger)
    expect(a.paths.route('b', stranger)).toBeUndefined()
    a.paths.handleDatagram(net.now, stranger, checkFrom(ofB, ofA, net.random))
    expect(a.paths.route('b', stranger)).toEqual(stranger)
    expect(a.paths.route('b')).toBeUndefined()
    net.run(100)
    expect(a.paths.route('b', stranger)).toEqual(at('198.51.100.1'))
    expect(a.paths.route('nobody', stranger)).toBeUndefined()
  })
})

describe('many peers on one port', () => {
  it('each get their own path', () => {
    const net = new PathNet('many')
    const host = net.add('host', [at('192.0.2.1')])
    const guests = Array.from({ length: 30 }, (_, index) =>
      net.add(`guest ${index}`, [at('198.51.100.1', 1000 + index)]),
    )
    for (const guest of guests) net.join(host, guest, { ofB: [] })
    net.run(2000)
    for (const guest of guests) {
      expect(host.paths.route(guest.name)).toEqual(guest.addresses[0])
      expect(guest.paths.route('host')).toEqual(at('192.0.2.1'))
    }
    host.paths.remove('guest 3')
    host.paths.remove('guest 3')
    expect(host.paths.route('guest 3')).toBeUndefined()
    const before = net.checks(host, guests[3]!.addresses[0]).length
    net.run(60_000)
    expect(net.checks(host, guests[3]!.addresses[0])).toHaveLength(before)
    expect(host.paths.counters.unknownUsername).toBeGreaterThan(0)
    expect(host.paths.route('guest 4')).toEqual(guests[4]!.addresses[0])
  })

  it('are as many as allowed, with a username of their own each', () => {
    const { net, a } = createPair(1, { maxPeers: 2 })
    const credentials = Array.from({ length: 4 }, () => generateCredentials(net.random))
    const add = (peer: string, index: number) => (): void =>
      a.paths.add(net.now, peer, {
        local: credentials[index]!,
        remote: credentials[3]!,
        remoteCandidates: [],
      })
    const throws = (code: string): unknown => expect.objectContaining({ name: 'GonetError', code })
    add('one', 0)()
    expect(add('two', 0)).toThrow(throws('path-ufrag-in-use'))
    add('two', 1)()
    expect(add('three', 2)).toThrow(throws('path-too-many-peers'))
    add('two', 1)()
    expect(add('two', 0)).toThrow(throws('path-ufrag-in-use'))
    add('two', 2)()
    a.paths.remove('one')
    add('three', 0)()
    add('three', 1)()
  })

  it('with new credentials, one of them is looked for anew, and the old ones are worth nothing', () => {
    const { net, a, b } = createPair()
    const old = net.join(a, b)
    net.run(100)
    net.join(a, b)
    expect(a.paths.route('b')).toBeUndefined()
    a.paths.handleDatagram(net.now, at('198.51.100.1'), checkFrom(old.ofB, old.ofA, net.random))
    expect(a.paths.counters.unknownUsername).toBe(1)
    net.run(100)
    expect(a.said('b')).toHaveLength(2)
  })
})

describe('what is not authentic is dropped, counted, and has no effect', () => {
  /** One who is asked nothing yet and waits for b, whom it knows no address of. */
  function waiting(): { net: PathNet; a: PathNode; ofA: IceCredentials; ofB: IceCredentials } {
    const { net, a } = createPair()
    const [ofA, ofB] = [generateCredentials(net.random), generateCredentials(net.random)]
    a.paths.add(net.now, 'b', { local: ofA, remote: ofB, remoteCandidates: [] })
    return { net, a, ofA, ofB }
  }

  function expectDropped(
    net: PathNet,
    a: PathNode,
    bytes: Uint8Array,
    counter: string,
    source = stranger,
  ): void {
    const before = { ...a.paths.counters } as Record<string, number>
    const [route, timeout] = [a.paths.route('b'), a.paths.pollTimeout()]
    a.paths.handleDatagram(net.now, source, bytes)
    expect(a.paths.counters).toEqual({ ...before, [counter]: before[counter]! + 1 })
    expect(a.paths.pollTransmit()).toBeUndefined()
    expect(a.paths.pollEvent()).toBeUndefined()
    expect(a.paths.pollTimeout()).toBe(timeout)
    expect(a.paths.route('b')).toEqual(route)
    if (route === undefined) expect(a.paths.route('b', source)).toBeUndefined()
  }

  const request = (net: PathNet, ...attributes: Attribute[]): Message => {
    return { class: 'request', method: Binding, transactionId: net.random.bytes(12), attributes }
  }

  it('a request under a wrong password, or under none', () => {
    const { net, a, ofA, ofB } = waiting()
    const wrong = { ...ofA, password: ofB.password }
    expectDropped(net, a, checkFrom(ofB, wrong, net.random), 'forgedRequest')
    const named = request(net, usernameAttribute(`${ofA.ufrag}:${ofB.ufrag}`))
    expectDropped(net, a, encodeMessage(named, { fingerprint: true }), 'forgedRequest')
    const integrity = { crypto: nodeCrypto, key: keyOf(ofA) }
    expectDropped(net, a, encodeMessage(named, { integrity }), 'forgedRequest')
    const valid = checkFrom(ofB, ofA, net.random)
    const withoutFingerprint = valid.slice(0, -8)
    new DataView(withoutFingerprint.buffer).setUint16(2, withoutFingerprint.length - 20)
    expectDropped(net, a, withoutFingerprint, 'forgedRequest')
    a.paths.handleDatagram(net.now, stranger, valid)
    expect(a.paths.pollTransmit()).toBeDefined()
  })

  it('a request with the username of nobody, of another, or with none', () => {
    const { net, a, ofA, ofB } = waiting()
    const other = generateCredentials(net.random)
    const integrity = { crypto: nodeCrypto, key: keyOf(ofA) }
    const names = [
      `${other.ufrag}:${ofB.ufrag}`,
      `${ofA.ufrag}:${other.ufrag}`,
      `${ofB.ufrag}:${ofA.ufrag}`,
      `${ofA.ufrag}:`,
      `:${ofB.ufrag}`,
      `${ofA.ufrag}:${ofB.ufrag}:`,
      `${ofA.ufrag}:${ofB.ufrag}:${ofB.ufrag}`,
      ofA.ufrag,
      '',
      ':',
    ]
    for (const name of names) {
      const bytes = encodeMessage(request(net, usernameAttribute(name)), { integrity, fingerprint: true })
      expectDropped(net, a, bytes, 'unknownUsername')
    }
    expectDropped(net, a, encodeMessage(request(net), { integrity, fingerprint: true }), 'unknownUsername')
  })

  it('what is no binding request or response, or no STUN', () => {
    const { net, a, ofA, ofB } = waiting()
    const check = decodeMessage(checkFrom(ofB, ofA, net.random))
    const options = { integrity: { crypto: nodeCrypto, key: keyOf(ofA) }, fingerprint: true }
    expectDropped(net, a, encodeMessage({ ...check, class: 'indication' }, options), 'unexpected')
    expectDropped(net, a, encodeMessage({ ...check, method: 3 }, options), 'unexpected')
    expectDropped(net, a, encodeMessage({ ...check, class: 'success' }, options), 'unmatchedResponse')
    expectDropped(net, a, checkFrom(ofB, ofA, net.random).subarray(0, -4), 'malformed')
    expectDropped(net, a, new Uint8Array(20), 'malformed')
  })

  it.each(['127.0.0.1', '0.0.0.0', '224.0.0.1', '169.254.1.1', 'fe80::1%eth0', '::ffff:c633:6401'])(
    'an authentic request from %s, where no check may go',
    (address) => {
      const { net, a, ofA, ofB } = waiting()
      const bytes = checkFrom(ofB, ofA, net.random)
      expectDropped(net, a, bytes, 'unusableSource', at(address))
      expectDropped(net, a, bytes, 'unusableSource', at('203.0.113.1', 0))
      a.paths.authenticated(net.now, 'b', at(address))
      expect(a.paths.counters.unusableSource).toBe(3)
      expect(a.paths.pollTransmit()).toBeUndefined()
    },
  )

  it('a response that is forged, from elsewhere, late or doubled', () => {
    const { net, a } = createPair()
    const [ofA, ofB] = [generateCredentials(net.random), generateCredentials(net.random)]
    const there = at('198.51.100.1')
    const remoteCandidates = candidates('srflx', there)
    a.paths.add(net.now, 'b', { local: ofA, remote: ofB, remoteCandidates })
    const check = decodeMessage(a.paths.pollTransmit()!.bytes)
    const answer = (key: IceCredentials): Uint8Array =>
      answerBinding(check, at('192.0.2.1'), { crypto: nodeCrypto, key: keyOf(key) })
    expectDropped(net, a, answer(ofB), 'wrongSource', stranger)
    expectDropped(net, a, answer(ofB), 'wrongSource', { ...there, port: 1 })
    // Our own password is not what responses are keyed with.
    expectDropped(net, a, answer(ofA), 'forgedResponse', there)
    expectDropped(net, a, answerBinding(check, there), 'forgedResponse', there)
    const success = { ...check, class: 'success' as const, attributes: [] }
    const integrity = { crypto: nodeCrypto, key: keyOf(ofB) }
    expectDropped(net, a, encodeMessage(success, { integrity }), 'forgedResponse', there)
    const guessed = { ...check, transactionId: net.random.bytes(12) }
    const unasked = answerBinding(guessed, there, { crypto: nodeCrypto, key: keyOf(ofB) })
    expectDropped(net, a, unasked, 'unmatchedResponse', there)
    expectDropped(net, a, encodeMessage(check, { fingerprint: true }), 'unknownUsername', there)
    net.now += 150
    a.paths.handleDatagram(net.now, there, answer(ofB))
    expect(a.paths.pollEvent()).toMatchObject({ type: 'selected', rttMs: 150 })
    expectDropped(net, a, answer(ofB), 'unmatchedResponse', there)
  })

  it('a response after 5 s', () => {
    const { net, a, b } = createPair()
    net.latencyMs = () => 2500.5
    net.join(a, b)
    net.run(60_000)
    expect(a.said('b')).toEqual(['failed'])
    expect(a.paths.counters.unmatchedResponse).toBeGreaterThan(3)
    net.latencyMs = () => 2499
    net.run(70_000)
    expect(a.said('b')).toEqual(['failed', 'srflx 198.51.100.1:41641'])
  })

  it('an authentic response that refuses, or names no address', () => {
    const { net, a } = createPair()
    const [ofA, ofB] = [generateCredentials(net.random), generateCredentials(net.random)]
    const there = at('198.51.100.1')
    const remoteCandidates = candidates('srflx', there)
    a.paths.add(net.now, 'b', { local: ofA, remote: ofB, remoteCandidates })
    const options = { integrity: { crypto: nodeCrypto, key: keyOf(ofB) }, fingerprint: true }
    const refusal = [errorCodeAttribute({ code: 420, reason: '' })]
    const answers = [
      { class: 'error', attributes: refusal } as const,
      { class: 'success', attributes: [] } as const,
    ]
    for (const answer of answers) {
      const check = decodeMessage(a.paths.pollTransmit()!.bytes)
      expectDropped(net, a, encodeMessage({ ...check, ...answer }, options), 'refusedCheck', there)
      net.now = a.paths.pollTimeout()!
      a.paths.handleTimeout(net.now)
    }
  })

  it('a check that comes back to its sender', () => {
    const { net, a, b } = createPair()
    net.join(a, b)
    const check = a.paths.pollTransmit()!
    expectDropped(net, a, check.bytes, 'unknownUsername', check.destination)
  })
})

describe('a check', () => {
  it('is keyed and answered with the password of the one who is asked', () => {
    const random = new PathNet().random
    const [ours, theirs] = [generateCredentials(random), generateCredentials(random)]
    const [here, there] = [
      new CheckCredentials(nodeCrypto, ours, theirs),
      new CheckCredentials(nodeCrypto, theirs, ours),
    ]
    const request = decodeMessage(here.request(random.bytes(12)))
    const username = new TextDecoder().decode(findAttribute(request, AttributeType.Username))
    expect(username).toBe(`${theirs.ufrag}:${ours.ufrag}`)
    expect(there.isAuthenticRequest(request)).toBe(true)
    expect(here.isAuthenticRequest(request)).toBe(false)
    const answer = decodeMessage(there.answer(request, stranger))
    expect(here.isAuthenticResponse(answer)).toBe(true)
    expect(there.isAuthenticResponse(answer)).toBe(false)
  })

  it('goes to loopback only where that is allowed', () => {
    const loopback = [...candidates('host', at('127.0.0.1')), ...candidates('host', at('::1'))]
    const targets = (allowed: boolean): SocketAddress[] => {
      const { net, a, b } = createPair(1, { loopback: allowed })
      net.join(a, b, { ofB: loopback })
      net.run(0)
      expect(a.paths.counters.unusableCandidate).toBe(allowed ? 0 : 2)
      return net.checks(a).map(({ to }) => to)
    }
    expect(targets(true)).toEqual([at('127.0.0.1'), at('::1')])
    expect(targets(false)).toEqual([])
  })

  it('never goes where none may, whoever says so', () => {
    const { net, a, b } = createPair()
    const bad = ['0.0.0.0', '224.0.0.1', '255.255.255.255', '169.254.0.1', 'fe80::1', 'ff02::1', '::7f00:1']
    const refused = candidates('host', ...bad.map((address) => at(address)), at('192.0.2.9', 0))
    net.join(a, b, { ofB: refused })
    a.paths.addRemoteCandidates(net.now, 'b', refused)
    a.paths.addRemoteCandidates(net.now, 'nobody', refused)
    net.run(30_000)
    expect(a.paths.counters.unusableCandidate).toBe(2 * refused.length)
    expect(new Set(net.checks(a).map(({ to }) => formatSocketAddress(to)))).toEqual(
      new Set(['198.51.100.1:41641']),
    )
  })
})

describe('a machine of paths', () => {
  it('has nothing to do without peers, and takes what is of nobody', () => {
    const paths = new Paths({ crypto: nodeCrypto, random: new PathNet().random, loopback: false })
    paths.handleTimeout(5)
    paths.remove('nobody')
    paths.sent(5, 'nobody')
    paths.authenticated(5, 'nobody', stranger)
    expect(paths.pollTimeout()).toBeUndefined()
    expect(paths.pollTransmit()).toBeUndefined()
    expect(paths.pollEvent()).toBeUndefined()
  })
})
