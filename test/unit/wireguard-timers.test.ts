import { describe, expect, it } from 'vitest'
import { nodeNoiseCrypto } from '../../src/node/noise-crypto.js'
import * as constants from '../../src/transports/wireguard/constants.js'
import type { NoiseCrypto } from '../../src/transports/wireguard/crypto.js'
import { createPair, ipv4Packet, Net, type Node } from './wireguard-net.js'

const AtoB = (payload: string): Uint8Array => ipv4Packet('10.0.0.1', '10.0.0.2', payload)
const BtoA = (payload: string): Uint8Array => ipv4Packet('10.0.0.2', '10.0.0.1', payload)
const Keepalive = 32
/** When the sessions of a connected pair begin: after half a round trip, and a whole one. */
const ResponderSince = 1010
const InitiatorSince = 1020

/** A pair with a session that a initiated. */
function connectedPair(...parameters: Parameters<typeof createPair>): ReturnType<typeof createPair> {
  const pair = createPair(...parameters)
  pair.a.device.initiate(pair.net.now, 'b')
  pair.net.run(100)
  for (const node of [pair.a, pair.b]) node.events.length = 0
  pair.net.sent.length = 0
  return pair
}

/** What a node sent, as [type, length, ms since then]. */
function sentBy(net: Net, node: Node, since: number): number[][] {
  return net.sent
    .filter(({ from }) => from === node.name)
    .map(({ type, bytes, at }) => [type, bytes.length, Math.round(at - since)])
}

describe('constants', () => {
  it('are the paper’s, section 6.1, but for the counters that a double holds', () => {
    expect(constants).toMatchObject({
      RekeyAfterTimeMs: 120_000,
      RejectAfterTimeMs: 180_000,
      RekeyAttemptTimeMs: 90_000,
      RekeyTimeoutMs: 5_000,
      KeepaliveTimeoutMs: 10_000,
      CookieRefreshTimeMs: 120_000,
    })
    expect(constants.RejectAfterMessages).toBe(Number.MAX_SAFE_INTEGER - 2 ** 13)
    expect(constants.RekeyAfterMessages).toBeLessThan(constants.RejectAfterMessages)
  })
})

describe('RejectAfterMessages', () => {
  it('ends sending at once; what waits goes with the next session', () => {
    const { net, a, b } = connectedPair({ device: { rekeyAfterMessages: 20, rejectAfterMessages: 30 } })
    net.deliver = ({ type }) => type !== 1
    for (let i = 0; i < 50; i++) a.device.send(net.now, AtoB(`${i}`))
    net.run(20)
    // The keepalive that confirmed the session was the first of the thirty.
    expect(b.payloads()).toHaveLength(29)
    net.deliver = () => true
    net.run(6000)
    expect(b.payloads()).toEqual(Array.from({ length: 21 }, (_, i) => `${29 + i}`))
    expect(a.device.counters.stagedDropped).toBe(0)
  })
})

describe('RekeyAfterTime', () => {
  it('is the initiator’s business, at 120 s and not before', () => {
    for (const [ageMs, renewed] of [
      [119_999, 0],
      [120_000, 1],
    ] as const) {
      const { net, a, b } = connectedPair()
      net.run(InitiatorSince + ageMs - net.now)
      b.device.send(net.now, BtoA('b'))
      a.device.send(net.now, AtoB('a'))
      net.run(50)
      expect([net.count('a', 1), net.count('b', 1)]).toEqual([renewed, 0])
      expect(b.payloads()).toEqual(['a'])
    }
  })
})

describe('RejectAfterTime', () => {
  it('ends sending at 180 s and not before', () => {
    for (const [ageMs, first] of [
      [179_999, 4],
      [180_000, 1],
    ] as const) {
      const { net, b } = connectedPair()
      net.run(ResponderSince + ageMs - net.now)
      net.sent.length = 0
      b.device.send(net.now, BtoA('late'))
      net.run(50)
      expect(net.sent[0]).toMatchObject({ from: 'b', type: first })
    }
  })
})

describe('RekeyTimeout', () => {
  it('holds back a second initiation, whoever asks for it', () => {
    const { net, a } = connectedPair({ device: { rekeyAfterMessages: 5 } })
    const since = net.now
    for (let i = 0; i < 40; i++) {
      a.device.send(net.now, AtoB(`${i}`))
      net.run(100)
    }
    net.run(3000)
    expect(sentBy(net, a, since).filter(([type]) => type === 1)).toEqual([[1, 148, 4900]])
  })

  it('is shorter at first where the caller knows that there is a way', () => {
    const { net, a } = createPair()
    net.deliver = () => false
    a.device.initiate(net.now, 'b')
    const since = net.now
    net.run(14_500)
    const gaps = [0, ...constants.FirstRekeyTimeoutsMs, constants.RekeyTimeoutMs, constants.RekeyTimeoutMs]
    const sent = sentBy(net, a, since).map(([, , at]) => at!)
    expect(sent).toHaveLength(gaps.length)
    for (const [index, at] of sent.entries()) {
      const sinceLast = at - (sent[index - 1] ?? 0)
      expect(sinceLast).toBeGreaterThanOrEqual(gaps[index]!)
      expect(sinceLast).toBeLessThanOrEqual(gaps[index]! + constants.RekeyTimeoutJitterMaxMs + 1)
    }
  })
})

describe('KeepaliveTimeout', () => {
  it('answers data that went on coming with a second keepalive, ten seconds after the first', () => {
    const { net, a, b } = connectedPair()
    const since = net.now
    for (let i = 0; i < 3; i++) {
      a.device.send(net.now, AtoB(`${i}`))
      net.run(4000)
    }
    net.run(60_000)
    expect(sentBy(net, b, since)).toEqual([
      [4, Keepalive, 10_010],
      [4, Keepalive, 20_010],
    ])
    expect(sentBy(net, a, since)).toHaveLength(3)
  })

  it('answers no keepalive', () => {
    const { net, a } = connectedPair()
    net.run(100_000)
    expect(net.sent).toEqual([])
    expect(a.device.pollTimeout()).toBe(InitiatorSince + 3 * constants.RejectAfterTimeMs)
  })
})

describe('RekeyAttemptTime', () => {
  it('lets the attempt rest until there is a new packet', () => {
    const { net, a } = createPair()
    net.deliver = () => false
    a.device.send(net.now, AtoB('lost'))
    net.run(400_000)
    const before = net.sent.length
    expect(a.device.pollTimeout()).toBeUndefined()
    a.device.send(net.now, AtoB('again'))
    net.run(1000)
    expect(net.sent.length).toBe(before + 1)
  })
})

describe('a persistent keepalive', () => {
  const peer = { persistentKeepaliveMs: 25_000 }

  it('is due after silence either way, and only then', () => {
    const net = new Net()
    const [a, b] = [net.add('a'), net.add('b')]
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], ...peer })
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'] })
    a.device.initiate(net.now, 'b')
    net.run(24_000)
    b.device.send(net.now, BtoA('traffic'))
    net.run(9000)
    a.device.send(net.now, AtoB('traffic'))
    net.sent.length = 0
    const since = net.now
    net.run(61_000)
    // b's passive keepalive, at 10 s, counts too.
    expect(sentBy(net, a, since).filter(([, length]) => length === Keepalive)).toEqual([
      [4, Keepalive, 35_020],
      [4, Keepalive, 60_020],
    ])
  })

  it('opens the way at once where the peer has an endpoint', () => {
    const net = new Net()
    const [a, b] = [net.add('a'), net.add('b')]
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], endpoint: b.address, ...peer })
    net.run(100)
    expect(a.take('session')).toHaveLength(1)
    b.device.send(net.now, BtoA('found you'))
    net.run(100)
    expect(a.payloads()).toEqual(['found you'])
  })

  it('never gives up', () => {
    const net = new Net()
    const [a, b] = [net.add('a'), net.add('b')]
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.deliver = () => false
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], endpoint: b.address, ...peer })
    net.run(600_000)
    expect(a.take('expired').length).toBeGreaterThanOrEqual(5)
    net.deliver = () => true
    net.run(30_000)
    expect(a.take('session')).toHaveLength(1)
  })

  it('renews a session in time that carries nothing else', () => {
    const { net, a, b } = connectedPair({ peer })
    net.run(1_000_000)
    expect(a.take('expired')).toEqual([])
    expect(b.take('expired')).toEqual([])
    expect(a.take('session').length).toBeGreaterThanOrEqual(6)
  })
})

describe('key material', () => {
  it('is zero after three times RejectAfterTime', () => {
    const keys = new Set<Uint8Array>()
    const crypto = watching(keys)
    const { net, a, b } = createPair({ device: { crypto } })
    a.device.send(net.now, AtoB('a'))
    b.device.send(net.now, BtoA('b'))
    net.run(1000)
    const isZero = (key: Uint8Array): boolean => key.every((byte) => byte === 0)
    net.run(539_000 - 20)
    expect([...keys].filter((key) => !isZero(key)).length).toBeGreaterThanOrEqual(4)
    net.run(1000)
    expect([...keys].filter((key) => !isZero(key))).toEqual([])
    expect(a.take('expired')).toHaveLength(1)
  })

  it('is zero when a peer is removed', () => {
    const keys = new Set<Uint8Array>()
    const { net, a, b } = createPair({ device: { crypto: watching(keys) } })
    a.device.send(net.now, AtoB('a'))
    net.run(1000)
    a.device.removePeer(net.now, 'b')
    b.device.close()
    expect([...keys].filter((key) => key.some((byte) => byte !== 0))).toEqual([])
  })

  /** The keys of all transport messages, and of handshake messages while they are in use. */
  function watching(keys: Set<Uint8Array>): NoiseCrypto {
    return {
      privateKey: (secretKey) => nodeNoiseCrypto.privateKey(secretKey),
      hash: (...parts) => nodeNoiseCrypto.hash(...parts),
      hmac: (key, ...parts) => nodeNoiseCrypto.hmac(key, ...parts),
      mac: (key, bytes) => nodeNoiseCrypto.mac(key, bytes),
      equal: (first, second) => nodeNoiseCrypto.equal(first, second),
      seal: (key, ...rest) => {
        keys.add(key)
        nodeNoiseCrypto.seal(key, ...rest)
      },
      open: (key, ...rest) => {
        keys.add(key)
        return nodeNoiseCrypto.open(key, ...rest)
      },
    }
  }
})

describe('a sleep that monotonic time does not show', () => {
  it.each([
    [170_000, false],
    [180_000, true],
  ])('of %i ms ends the use of the session: %s', (sleptMs, ended) => {
    const { net, a, b } = connectedPair()
    net.run(6000)
    net.wallOffsetMs += sleptMs
    a.device.send(net.now, AtoB('good morning'))
    net.run(5)
    expect(net.count('a', 4)).toBe(ended ? 0 : 1)
    net.run(100)
    expect(b.payloads()).toEqual(['good morning'])
  })

  it('of nine minutes has all keys forgotten at the next occasion, and says so', () => {
    const { net, a, b } = connectedPair()
    net.wallOffsetMs += 3 * constants.RejectAfterTimeMs
    a.device.handleTimeout(net.now)
    expect(a.device.pollEvent()).toEqual({ type: 'expired', peer: 'b' })
    b.device.handleDatagram(net.now, a.address, new Uint8Array([4, 0, 0, 0, ...new Uint8Array(28)]))
    expect(b.device.pollTimeout()).toBeLessThanOrEqual(net.now)
    b.device.handleTimeout(net.now)
    expect(b.device.pollEvent()).toEqual({ type: 'expired', peer: 'a' })
    a.device.send(net.now, AtoB('good morning'))
    net.run(6000)
    expect(b.payloads()).toEqual(['good morning'])
  })

  it('has a persistent keepalive sent at once: the NAT has not waited', () => {
    const { net, a } = connectedPair({ peer: { persistentKeepaliveMs: 25_000 } })
    net.run(6000)
    net.sent.length = 0
    net.wallOffsetMs += 60_000
    a.device.handleTimeout(net.now)
    expect(a.device.pollTransmit()?.bytes).toHaveLength(Keepalive)
  })

  it('does not end an attempt at a handshake', () => {
    const { net, a, b } = createPair()
    net.deliver = () => false
    a.device.send(net.now, AtoB('patience'))
    net.run(1000)
    net.wallOffsetMs += 3_600_000
    net.deliver = () => true
    net.run(10_000)
    expect(a.take('expired')).toEqual([])
    expect(b.payloads()).toEqual(['patience'])
  })

  it('is not what a clock shows that is set back, or forward by a little', () => {
    const { net, a, b } = connectedPair()
    net.wallOffsetMs -= 86_400_000
    for (let i = 0; i < 50; i++) {
      net.run(1000)
      net.wallOffsetMs += 9000
      a.device.send(net.now, AtoB('fine'))
      net.run(1000)
      net.wallOffsetMs -= 9000
      a.device.handleTimeout(net.now)
    }
    expect(b.payloads()).toHaveLength(50)
    expect(net.count('a', 1)).toBe(0)
    // The clock's 450 s and these 100 s are not 540 s of age.
    expect([...a.take('expired'), ...b.take('expired')]).toEqual([])
  })

  it('set back by a day, the clock stops no handshake', () => {
    const { net, a, b } = connectedPair()
    net.run(10_000)
    net.wallOffsetMs -= 86_400_000
    for (let i = 0; i < 30; i++) {
      net.run(181_000)
      a.device.send(net.now, AtoB(`${i}`))
      net.run(1000)
    }
    expect(b.payloads()).toHaveLength(30)
    expect(b.device.counters.replayedInitiation).toBe(0)
  })
})
