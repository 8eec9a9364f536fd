import { describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { nodeNoiseCrypto as crypto } from '../../src/node/noise-crypto.js'
import { CookieChecker, CookieGenerator } from '../../src/transports/wireguard/cookie.js'
import { Device } from '../../src/transports/wireguard/device.js'
import { type DeviceTransmit, Nobody } from '../../src/transports/wireguard/device-events.js'
import { HandshakeLoad, type LoadPolicy, RateLimiter } from '../../src/transports/wireguard/load.js'
import { hasMac2, mac1Key, writeMac1 } from '../../src/transports/wireguard/macs.js'
import { type CookieReply, decodeMessage, MessageType } from '../../src/transports/wireguard/messages.js'
import { createPair, ipv4Packet, Net, type Sent, seededRandom } from './wireguard-net.js'

const Always: LoadPolicy = { isUnderLoad: () => true }
const Never: LoadPolicy = { isUnderLoad: () => false }
const Home: SocketAddress = { address: '192.0.2.7', port: 4000 }
const Elsewhere: readonly SocketAddress[] = [
  { address: '192.0.2.7', port: 4001 },
  { address: '192.0.2.8', port: 4000 },
]
const RefreshMs = 120_000

describe('a cookie', () => {
  function parts(): {
    readonly checker: CookieChecker
    readonly generator: CookieGenerator
    readonly message: () => Uint8Array
    readonly exchange: (now: number, source: SocketAddress) => void
  } {
    const random = seededRandom(3)
    const { publicKey } = crypto.privateKey(random.bytes(32))
    const checker = new CookieChecker(crypto, random, publicKey)
    const generator = new CookieGenerator(crypto, publicKey)
    const message = (): Uint8Array => {
      const bytes = random.bytes(148)
      writeMac1(crypto, mac1Key(crypto, publicKey), bytes.fill(0, 132))
      return bytes
    }
    const exchange = (now: number, source: SocketAddress): void => {
      const bytes = message()
      generator.addMac2(now, source, bytes)
      const reply = decodeMessage(checker.createReply(now, source, 1, bytes)) as CookieReply
      expect(generator.consumeReply(now, source, reply)).toBe(true)
    }
    return { checker, generator, message, exchange }
  }

  it('is good for its address and port only', () => {
    const { checker, generator, message, exchange } = parts()
    exchange(0, Home)
    const bytes = message()
    generator.addMac2(1, Home, bytes)
    expect(checker.verifyMac1(bytes)).toBe(true)
    expect(checker.verifyMac2(1, Home, bytes)).toBe(true)
    for (const source of Elsewhere) expect(checker.verifyMac2(1, source, bytes)).toBe(false)
    for (const at of [0, 60, 120, 140]) {
      const changed = bytes.slice()
      changed[at]! ^= 1
      expect(checker.verifyMac2(1, Home, changed)).toBe(false)
    }
  })

  it('ends with the secret it was made with, after two minutes', () => {
    const { checker, generator, message, exchange } = parts()
    exchange(0, Home)
    const bytes = message()
    generator.addMac2(RefreshMs - 1, Home, bytes)
    expect(checker.verifyMac2(RefreshMs - 1, Home, bytes)).toBe(true)
    expect(checker.verifyMac2(RefreshMs, Home, bytes)).toBe(false)
    exchange(RefreshMs, Home)
    expect(checker.verifyMac2(RefreshMs, Home, bytes)).toBe(false)
    generator.addMac2(RefreshMs, Home, bytes)
    expect(checker.verifyMac2(RefreshMs, Home, bytes)).toBe(true)
  })

  it('is not used by the initiator after two minutes', () => {
    const { generator, message, exchange } = parts()
    exchange(0, Home)
    for (const [now, used] of [
      [RefreshMs - 1, true],
      [RefreshMs, false],
    ] as const) {
      const bytes = message()
      generator.addMac2(now, Home, bytes)
      expect(hasMac2(bytes)).toBe(used)
    }
  })

  it('is kept for each path, and only the latest one', () => {
    const { checker, generator, message, exchange } = parts()
    exchange(0, Home)
    exchange(1, Elsewhere[0]!)
    for (const source of [Home, Elsewhere[0]!]) {
      const bytes = message()
      generator.addMac2(2, source, bytes)
      expect(checker.verifyMac2(2, source, bytes)).toBe(true)
    }
    const bytes = message()
    generator.addMac2(2, Elsewhere[1], bytes)
    expect(hasMac2(bytes)).toBe(false)
  })

  it('is the latest one of any path where the path is not known', () => {
    const { checker, generator, message, exchange } = parts()
    for (const source of [Elsewhere[0]!, Home, Elsewhere[1]!, Home]) exchange(0, source)
    const bytes = message()
    generator.addMac2(1, undefined, bytes)
    expect(checker.verifyMac2(1, Home, bytes)).toBe(true)
  })

  it('is kept for eight paths at most, the oldest makes room', () => {
    const { generator, message, exchange } = parts()
    const paths = Array.from({ length: 9 }, (_, i) => ({ address: '192.0.2.7', port: 5000 + i }))
    for (const path of paths) exchange(0, path)
    const kept = paths.filter((path) => {
      const bytes = message()
      generator.addMac2(1, path, bytes)
      return hasMac2(bytes)
    })
    expect(kept).toEqual(paths.slice(1))
  })

  it('is taken once a message, from a reply to that message', () => {
    const { checker, generator, message } = parts()
    const [older, newer] = [message(), message()]
    const reply = (bytes: Uint8Array): CookieReply =>
      decodeMessage(checker.createReply(0, Home, 1, bytes)) as CookieReply
    expect(generator.consumeReply(0, Home, reply(older))).toBe(false)
    generator.addMac2(0, Home, older)
    generator.addMac2(0, Home, newer)
    expect(generator.consumeReply(0, Home, reply(older))).toBe(false)
    const forged = reply(newer)
    forged.encryptedCookie[3]! ^= 1
    expect(generator.consumeReply(0, Home, forged)).toBe(false)
    expect(generator.consumeReply(0, Home, reply(newer))).toBe(true)
    expect(generator.consumeReply(0, Home, reply(newer))).toBe(false)
  })
})

describe('load', () => {
  it('begins with the message too many, and ends a second after the last one', () => {
    const load = new HandshakeLoad(10, 3)
    expect([0, 0, 0].map((now) => load.isUnderLoad(now))).toEqual([false, false, false])
    expect(load.isUnderLoad(0)).toBe(true)
    expect(load.isUnderLoad(500)).toBe(true)
    expect(load.isUnderLoad(999)).toBe(true)
    expect(load.isUnderLoad(1000)).toBe(false)
  })

  it('is not what comes at a bearable rate', () => {
    const load = new HandshakeLoad()
    const answers = Array.from({ length: 5000 }, (_, i) => load.isUnderLoad(i * 2.5))
    expect(answers).not.toContain(true)
  })

  it('lets 20 a second of one address through, 5 at once', () => {
    const limiter = new RateLimiter()
    const allowed = (now: number): number =>
      Array.from({ length: 10 }, () => limiter.allow(now, '192.0.2.1')).filter(Boolean).length
    expect(allowed(0)).toBe(5)
    expect(limiter.allow(0, '192.0.2.2')).toBe(true)
    expect([50, 100, 200].map(allowed)).toEqual([1, 1, 2])
    expect(allowed(10_000)).toBe(5)
  })

  it('takes an IPv6 network of 64 bits for one address, and a mapped address for IPv4', () => {
    const limiter = new RateLimiter()
    const allow = (address: string): boolean => limiter.allow(0, address)
    const inOneNetwork = Array.from({ length: 6 }, (_, i) => allow(`2001:db8:0:1::${i}`))
    expect(inOneNetwork).toEqual([true, true, true, true, true, false])
    expect(allow('2001:db8:0:2::1')).toBe(true)
    for (let i = 0; i < 5; i++) allow('::ffff:192.0.2.1')
    expect(allow('192.0.2.1')).toBe(false)
  })

  it('forgets addresses that it need not know, and never knows more than 8192', () => {
    const limiter = new RateLimiter()
    for (let i = 0; i < 20_000; i++) limiter.allow(0, `10.0.${i >> 8}.${i & 255}`)
    expect(limiter.size).toBe(8192)
    limiter.allow(250, '192.0.2.1')
    expect(limiter.size).toBe(1)
  })
})

describe('a device under load', () => {
  it('answers an initiation with a cookie, and the next one, after RekeyTimeout, with a response', () => {
    const { net, a, b } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(busy, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.peer(a, busy, { allowedAddresses: ['10.0.0.3/32'] })
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.3', 'patience'))
    net.run(10_000)
    expect(net.sent.map(({ from, type, bytes }) => [from, type, bytes.length])).toEqual([
      ['a', 1, 148],
      ['busy', 3, 64],
      ['a', 1, 148],
      ['busy', 2, 92],
      ['a', 4, 64],
    ])
    const [first, cookie, second] = net.sent as [Sent, Sent, Sent]
    expect(cookie.replyTo).toEqual(a.address)
    expect([first, second].map(({ bytes }) => hasMac2(bytes))).toEqual([false, true])
    expect(second.at - first.at).toBeGreaterThanOrEqual(5000)
    expect(second.at - first.at).toBeLessThanOrEqual(5334)
    expect(busy.payloads()).toEqual(['patience'])
    expect(busy.device.counters).toMatchObject({ underLoad: 1, rateLimited: 0 })
    expect(b.device.counters.underLoad).toBe(0)
  })

  it('asks a responder for a cookie too', () => {
    const { net, a, b } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(busy, b, { allowedAddresses: ['10.0.0.2/32'] })
    net.peer(b, busy, { allowedAddresses: ['10.0.0.3/32'] })
    busy.device.send(net.now, ipv4Packet('10.0.0.3', '10.0.0.2', 'hello'))
    net.run(20_000)
    expect(net.sent.slice(0, 5).map(({ from, type }) => [from, type])).toEqual([
      ['busy', 1],
      ['b', 2],
      ['busy', 3],
      ['busy', 1],
      ['b', 2],
    ])
    expect(b.payloads()).toEqual(['hello'])
    expect(a.events).toEqual([])
  })

  it('answers a source that cannot receive nothing but cookies, however often it asks', () => {
    const { net, a } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(busy, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.peer(a, busy, { allowedAddresses: ['10.0.0.3/32'] })
    net.deliver = ({ from }) => from !== 'busy'
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.3', 'in vain'))
    net.run(100_000)
    expect(net.sent.filter(({ from }) => from === 'busy').every(({ type }) => type === 3)).toBe(true)
    expect(busy.events).toEqual([])
    expect(busy.device.pollTimeout()).toBeUndefined()
  })

  it('still compares mac1 first, and gives no cookie for a wrong one', () => {
    const { net, a } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(a, busy, { allowedAddresses: ['10.0.0.3/32'] })
    net.deliver = () => false
    a.device.initiate(net.now, 'busy')
    net.run(0)
    const forged = net.sent[0]!.bytes.slice()
    forged[50]! ^= 1
    busy.device.handleDatagram(net.now, a.address, forged)
    expect(busy.device.counters).toMatchObject({ invalidMac1: 1, underLoad: 0 })
    expect(busy.device.pollTransmit()).toBeUndefined()
  })

  it('has nothing for a response that nobody waits for, whatever its mac1', () => {
    const busy = new Net().add('busy', { load: Always })
    const response = new Uint8Array(92)
    response[0] = MessageType.Response
    writeMac1(crypto, mac1Key(crypto, busy.device.publicKey), response)
    busy.device.handleDatagram(0, Home, response)
    expect(busy.device.counters).toMatchObject({ unknownReceiver: 1, underLoad: 0 })
    expect(busy.device.pollTransmit()).toBeUndefined()
  })

  it('computes with 5 initiations at once of an address that has its cookie', () => {
    const net = new Net()
    const busy = net.add('busy', { load: Always })
    const guests = Array.from({ length: 20 }, (_, i) => {
      const guest = new Device({
        secretKey: net.random.bytes(32),
        crypto,
        random: net.random,
        wall: { unixMs: () => net.now + net.wallOffsetMs },
      })
      guest.addPeer(net.now, { id: 'busy', publicKey: busy.device.publicKey, allowedAddresses: [] })
      busy.device.addPeer(net.now, {
        id: `guest${i}`,
        publicKey: guest.publicKey,
        allowedAddresses: [`10.0.1.${i}/32`],
      })
      return guest
    })
    const source = (i: number): SocketAddress => ({ address: '203.0.113.1', port: 1000 + i })
    const ask = (): DeviceTransmit[] =>
      guests.flatMap((guest, i) => {
        guest.initiate(net.now, 'busy')
        busy.device.handleDatagram(net.now, source(i), guest.pollTransmit()!.bytes)
        const answer = busy.device.pollTransmit()
        if (answer === undefined) return []
        guest.handleDatagram(net.now, busy.address, answer.bytes)
        while (guest.pollTransmit() !== undefined);
        return [answer]
      })
    expect(ask().map(({ peer, bytes }) => [peer, bytes[0]])).toEqual(Array(20).fill([Nobody, 3]))
    net.now += 5000
    expect(ask().map(({ peer, bytes }) => [peer, bytes[0]])).toEqual(
      Array.from({ length: 5 }, (_, i) => [`guest${i}`, 2]),
    )
    expect(busy.device.counters.rateLimited).toBe(15)
  })

  it('claims the cookie replies that its initiations got', () => {
    const { net, a } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(a, busy, { allowedAddresses: ['10.0.0.3/32'] })
    net.deliver = ({ type }) => type !== 3
    a.device.initiate(net.now, 'busy')
    net.run(100)
    const reply = net.sent.find(({ type }) => type === 3)!.bytes
    expect([a, busy].map(({ device }) => device.claims(reply))).toEqual([true, false])
    a.device.handleDatagram(net.now, busy.address, reply)
    a.device.handleDatagram(net.now, busy.address, reply)
    expect(a.device.counters.forgedCookieReply).toBe(1)
  })

  it('gets a cookie back only from who has a real one: policy never under load, mac2 does not matter', () => {
    const { net, a, b } = createPair({ device: { load: Never } })
    net.deliver = () => false
    a.device.initiate(net.now, 'b')
    net.run(0)
    const odd = net.sent[0]!.bytes.slice()
    odd.fill(9, 132)
    net.deliver = () => true
    b.device.handleDatagram(net.now, a.address, odd)
    net.run(100)
    expect(net.count('b', 2)).toBe(1)
  })
})

describe('cookies over several paths', () => {
  /** b sees a's datagrams come from a relay or from a itself, and a sees b at one of two addresses. */
  type Via = 'direct' | 'relay'
  const seenByA = {
    direct: { address: '192.0.2.2', port: 51820 },
    relay: { address: '198.51.100.1', port: 3478 },
  }
  const seenByB = {
    direct: { address: '192.0.2.1', port: 51820 },
    relay: { address: '198.51.100.1', port: 40_000 },
  }

  /** @returns what makes a try by a path, and gets the types of b's answers */
  function twoPaths(isRouteKnown: boolean): (via: Via) => (number | undefined)[] {
    let now = 0
    let route: Via = 'direct'
    const random = seededRandom(4)
    const own = { crypto, random, wall: { unixMs: () => now + 1e12 } }
    const a = new Device({
      ...own,
      secretKey: random.bytes(32),
      ...(isRouteKnown && { routeOf: () => seenByA[route] }),
    })
    const b = new Device({ ...own, secretKey: random.bytes(32), load: Always })
    a.addPeer(now, { id: 'b', publicKey: b.publicKey, allowedAddresses: [] })
    b.addPeer(now, { id: 'a', publicKey: a.publicKey, allowedAddresses: [] })
    return (via) => {
      now += 5000
      route = via
      a.initiate(now, 'b')
      const types: (number | undefined)[] = []
      for (let out = a.pollTransmit(); out !== undefined; out = a.pollTransmit()) {
        b.handleDatagram(now, seenByB[via], out.bytes)
      }
      for (let out = b.pollTransmit(); out !== undefined; out = b.pollTransmit()) {
        types.push(out.bytes[0])
        a.handleDatagram(now, seenByA[via], out.bytes)
      }
      while (a.pollTransmit() !== undefined);
      return types
    }
  }

  it('are each used on the path that they came by', () => {
    const attempt = twoPaths(true)
    const paths: readonly Via[] = ['direct', 'relay', 'direct', 'relay', 'direct']
    expect(paths.map(attempt)).toEqual([[3], [3], [2], [2], [2]])
  })

  it('would be asked for at every change of the path if one alone were kept', () => {
    const attempt = twoPaths(false)
    const paths: readonly Via[] = ['direct', 'direct', 'relay', 'direct', 'relay']
    expect(paths.map(attempt)).toEqual([[3], [2], [3], [3], [3]])
  })

  it('are asked for with the source that a response is to go back to', () => {
    const { net, a, b } = createPair()
    const asked: unknown[] = []
    const host = net.add('host', { routeOf: (...question) => void asked.push(question) })
    net.peer(host, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.peer(a, host, { allowedAddresses: ['10.0.0.3/32'] })
    net.peer(host, b, { allowedAddresses: ['10.0.0.2/32'], endpoint: b.address })
    a.device.initiate(net.now, 'host')
    host.device.initiate(net.now, 'b')
    net.run(100)
    expect(asked).toEqual([['a', a.address]])
    host.device.initiate(net.now, 'a')
    expect(asked.at(-1)).toEqual(['a', undefined])
  })
})

describe('a peer with an endpoint', () => {
  it('gets the cookie of the place where it is', () => {
    const { net, a } = createPair()
    const busy = net.add('busy', { load: Always })
    net.peer(busy, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.peer(a, busy, { allowedAddresses: ['10.0.0.3/32'], endpoint: busy.address })
    a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.3', 'here'))
    net.run(10_000)
    expect(busy.payloads()).toEqual(['here'])
    expect(net.count('busy', 3)).toBe(1)
  })
})
