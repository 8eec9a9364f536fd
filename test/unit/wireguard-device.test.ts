import { describe, expect, it } from 'vitest'
import { RekeyTimeoutMs } from '../../src/transports/wireguard/constants.js'
import { createPair, ipv4Packet, ipv6Packet, Net, type Sent } from './wireguard-net.js'

const AtoB = (payload: string): Uint8Array => ipv4Packet('10.0.0.1', '10.0.0.2', payload)
const BtoA = (payload: string): Uint8Array => ipv4Packet('10.0.0.2', '10.0.0.1', payload)
const Keepalive = 32

/** A pair with a session that a initiated. */
function connectedPair(...parameters: Parameters<typeof createPair>): ReturnType<typeof createPair> {
  const pair = createPair(...parameters)
  pair.a.device.initiate(pair.net.now, 'b')
  pair.net.run(100)
  for (const node of [pair.a, pair.b]) node.events.length = 0
  return pair
}

describe('handshake', () => {
  it('takes one round trip, and the responder may send after the first message', () => {
    const { net, a, b } = createPair()
    a.device.initiate(net.now, 'b')
    net.run(100)
    expect(net.sent.map(({ from, type, at }) => [from, type, at - 1000])).toEqual([
      ['a', 1, 0],
      ['b', 2, 10],
      ['a', 4, 20],
    ])
    expect(net.sent.map((sent) => sent.bytes.length)).toEqual([148, 92, Keepalive])
    expect(a.take('session')).toEqual([{ type: 'session', peer: 'b' }])
    expect(b.take('session')).toEqual([{ type: 'session', peer: 'a' }])
    expect(b.take('authenticated')[0]).toEqual({ type: 'authenticated', peer: 'a', source: a.address })
    expect(net.sent.map((sent) => sent.replyTo)).toEqual([undefined, a.address, undefined])
    expect(net.sent[0]!.bytes.subarray(132)).toEqual(new Uint8Array(16))
  })

  it('starts with the first packet, which is sent once there is a session', () => {
    const { net, a, b } = createPair()
    expect(a.device.send(net.now, AtoB('first'))).toBe(true)
    expect(a.device.send(net.now, AtoB('second'))).toBe(true)
    net.run(100)
    expect(b.payloads()).toEqual(['first', 'second'])
    expect(net.sent.map((sent) => sent.type)).toEqual([1, 2, 4, 4])
  })

  it('works with a preshared key', () => {
    const { net, a, b } = createPair({ peer: { presharedKey: new Uint8Array(32).fill(7) } })
    a.device.send(net.now, AtoB('hello'))
    net.run(100)
    expect(b.payloads()).toEqual(['hello'])
  })

  it('fails where the preshared keys differ', () => {
    const net = new Net()
    const a = net.add('a')
    const b = net.add('b')
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], presharedKey: new Uint8Array(32).fill(1) })
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'] })
    a.device.send(net.now, AtoB('hello'))
    net.run(100)
    expect(a.device.counters.forgedHandshake).toBe(1)
    expect([...a.take('session'), ...b.take('session'), ...b.take('packet')]).toEqual([])
  })

  it('is not answered for a key that is no peer', () => {
    const net = new Net()
    const a = net.add('a')
    const b = net.add('b')
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'] })
    a.device.initiate(net.now, 'b')
    net.run(100)
    expect(b.device.counters.unknownPeer).toBe(1)
    expect(net.count('b', 2)).toBe(0)
  })

  it('drops a wrong mac1 before anything else', () => {
    const { net, a, b } = createPair()
    a.device.initiate(net.now, 'b')
    net.deliver = () => false
    net.run(0)
    const initiation = net.sent[0]!.bytes
    for (const at of [5, 50, 100, 120]) {
      const forged = initiation.slice()
      forged[at]! ^= 1
      b.device.handleDatagram(net.now, a.address, forged)
    }
    expect(b.device.counters.invalidMac1).toBe(4)
    expect(b.device.pollTransmit()).toBeUndefined()
  })

  it('refuses a replayed initiation', () => {
    const { net, a, b } = connectedPair()
    net.run(10_000)
    const initiation = net.sent.find((sent) => sent.type === 1)!
    b.device.handleDatagram(net.now, a.address, initiation.bytes)
    net.run(100)
    expect(b.device.counters.replayedInitiation).toBe(1)
    expect(net.count('b', 2)).toBe(1)
  })

  it('answers one peer no more often than 50 times a second', () => {
    const { net, a, b } = createPair()
    a.device.initiate(net.now, 'b')
    a.device.initiate(net.now, 'b')
    net.run(15)
    expect(b.device.counters.floodedInitiation).toBe(1)
    net.run(10)
    a.device.initiate(net.now, 'b')
    net.run(100)
    expect(net.count('b', 2)).toBe(2)
    expect(a.take('session')).toHaveLength(1)
  })

  it('stamps initiations in growing order where the wall clock is set back', () => {
    const { net, a } = connectedPair()
    net.wallOffsetMs -= 86_400_000
    net.run(1000)
    a.device.initiate(net.now, 'b')
    net.run(100)
    expect(a.take('session')).toHaveLength(1)
  })

  it('survives a forged response', () => {
    const { net, a } = createPair()
    const held: Sent[] = []
    net.deliver = (sent) => (sent.type === 2 ? held.push(sent) === 0 : true)
    a.device.initiate(net.now, 'b')
    net.run(20)
    const forger = new Net(9).add('forger')
    const forged = held[0]!.bytes.slice()
    forged[50]! ^= 1
    a.device.handleDatagram(net.now, forger.address, forged)
    expect(a.device.counters.invalidMac1).toBe(1)
    a.device.handleDatagram(net.now, forger.address, held[0]!.bytes)
    net.run(20)
    expect(a.take('session')).toHaveLength(1)
  })

  it('is tried again after 5 s with jitter, and given up after 90 s', () => {
    const { net, a } = createPair()
    net.deliver = () => false
    const startedAt = net.now
    a.device.send(net.now, AtoB('lost'))
    net.run(200_000)
    const times = net.sent.map((sent) => sent.at - startedAt)
    expect(net.sent.every((sent) => sent.type === 1)).toBe(true)
    expect(times.length).toBeGreaterThanOrEqual(17)
    expect(times.length).toBeLessThanOrEqual(18)
    const gaps = times.slice(1).map((time, i) => time - times[i]!)
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5000)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(5334)
    expect(new Set(gaps).size).toBeGreaterThan(10)
    expect(a.take('expired')).toEqual([{ type: 'expired', peer: 'b' }])
    expect(a.device.counters.stagedDropped).toBe(1)
    expect(new Set(net.sent.map((sent) => sent.bytes.subarray(4, 8).join())).size).toBe(times.length)
  })

  it('gives up at 90 s exactly', () => {
    const { net, a } = createPair()
    net.deliver = () => false
    a.device.initiate(net.now, 'b')
    net.run(89_999)
    expect(a.take('expired')).toEqual([])
    net.run(1)
    expect(a.take('expired')).toHaveLength(1)
    expect(a.device.pollTimeout()).toBeUndefined()
  })

  it('goes on while packets still want to be sent', () => {
    const { net, a } = createPair()
    net.deliver = () => false
    for (let i = 0; i < 20; i++) {
      a.device.send(net.now, AtoB('again'))
      net.run(10_000)
    }
    expect(a.take('expired')).toEqual([])
    net.run(90_000)
    expect(a.take('expired')).toHaveLength(1)
  })

  it('keeps the last 128 packets while there is no session', () => {
    const { net, a, b } = createPair()
    for (let i = 0; i < 200; i++) a.device.send(net.now, AtoB(`${i}`))
    net.run(100)
    expect(b.payloads()).toEqual(Array.from({ length: 128 }, (_, i) => `${72 + i}`))
    expect(a.device.counters.stagedDropped).toBe(72)
  })

  it.each([[[10]], [[10, 3, 25]], [[3, 40, 10]]])(
    'works both ways where both initiate, latencies %j',
    (latencies) => {
      const { net, a, b } = createPair()
      let i = 0
      net.latencyMs = () => latencies[i++ % latencies.length]!
      a.device.send(net.now, AtoB('from a'))
      b.device.send(net.now, BtoA('from b'))
      net.run(1000)
      expect(a.payloads()).toEqual(['from b'])
      expect(b.payloads()).toEqual(['from a'])
      for (let round = 0; round < 5; round++) {
        a.device.send(net.now, AtoB('more from a'))
        b.device.send(net.now, BtoA('more from b'))
        net.run(1000)
      }
      expect(a.payloads()).toHaveLength(5)
      expect(b.payloads()).toHaveLength(5)
      expect(net.sent.filter((sent) => sent.type === 1)).toHaveLength(2)
    },
  )
})

describe('transport', () => {
  it('carries IPv4 and IPv6 both ways, padded on the wire and trimmed at the end', () => {
    const { net, a, b } = connectedPair()
    a.device.send(net.now, AtoB('odd'))
    b.device.send(net.now, ipv6Packet(2, 1, 3))
    net.run(100)
    expect(b.take('packet')).toEqual([{ type: 'packet', peer: 'a', bytes: AtoB('odd') }])
    expect(a.take('packet')).toEqual([{ type: 'packet', peer: 'b', bytes: ipv6Packet(2, 1, 3) }])
    expect(net.sent.slice(-2).map((sent) => sent.bytes.length)).toEqual([32 + 32, 32 + 48])
  })

  it('drops a replayed message', () => {
    const { net, a, b } = connectedPair()
    a.device.send(net.now, AtoB('once'))
    net.run(100)
    b.device.handleDatagram(net.now, a.address, net.sent.at(-1)!.bytes)
    net.run(100)
    expect(b.payloads()).toEqual(['once'])
    expect(b.device.counters.replayed).toBe(1)
  })

  it('drops a forged message, and takes the right one afterwards', () => {
    const { net, a, b } = connectedPair()
    net.deliver = () => false
    a.device.send(net.now, AtoB('right'))
    net.run(0)
    const { bytes } = net.sent.at(-1)!
    for (let at = 8; at < bytes.length; at++) {
      const forged = bytes.slice()
      forged[at]! ^= 0x10
      b.device.handleDatagram(net.now, a.address, forged)
    }
    expect(b.device.counters.forged + b.device.counters.malformed).toBe(bytes.length - 8)
    b.device.handleDatagram(net.now, a.address, bytes)
    net.run(0)
    expect(b.payloads()).toEqual(['right'])
  })

  it('delivers what is left of a lossy, reordering network, each packet once', () => {
    const { net, a, b } = connectedPair({ seed: 5 })
    net.latencyMs = () => net.random.fraction() * 200
    net.deliver = () => net.random.fraction() > 0.2
    for (let i = 0; i < 500; i++) {
      a.device.send(net.now, AtoB(`${i}`))
      net.run(1)
    }
    net.run(1000)
    const payloads = b.payloads()
    expect(new Set(payloads).size).toBe(payloads.length)
    expect(payloads.length).toBeGreaterThan(350)
    expect(payloads.length).toBeLessThan(450)
    expect(payloads).not.toEqual([...payloads].sort((x, y) => Number(x) - Number(y)))
  })

  it('drops inner packets from addresses that are not the peer’s', () => {
    const { net, a, b } = connectedPair()
    a.device.send(net.now, ipv4Packet('10.0.0.9', '10.0.0.2', 'spoofed'))
    a.device.send(net.now, ipv6Packet(9, 2, 0))
    net.run(100)
    expect(b.take('packet')).toEqual([])
    expect(b.device.counters.spoofedSource).toBe(2)
  })

  it('refuses to send what is no packet or nobody’s', () => {
    const { net, a } = connectedPair()
    expect(a.device.send(net.now, new Uint8Array(0))).toBe(false)
    expect(a.device.send(net.now, AtoB('cut').subarray(0, 21))).toBe(false)
    expect(a.device.send(net.now, ipv4Packet('10.0.0.1', '10.0.0.3', ''))).toBe(false)
    expect(a.device.counters).toMatchObject({ malformedPacket: 2, unroutable: 1 })
  })

  it('counts unknown indices and junk', () => {
    const { net, a, b } = connectedPair()
    const cookieReply = new Uint8Array(64)
    cookieReply[0] = 3
    const transport = new Uint8Array(32)
    transport[0] = 4
    for (const bytes of [cookieReply, transport, new Uint8Array(3), new Uint8Array(148)]) {
      a.device.handleDatagram(net.now, b.address, bytes)
    }
    expect(a.device.counters).toMatchObject({ unknownReceiver: 2, malformed: 2 })
  })
})

describe('timers', () => {
  it('answers data with a keepalive after 10 s, and nothing more', () => {
    const { net, a } = connectedPair()
    a.device.send(net.now, AtoB('hello'))
    const sentAt = net.now
    net.sent.length = 0
    net.run(60_000)
    expect(net.sent.map(({ from, at, bytes }) => [from, at - sentAt, bytes.length])).toEqual([
      ['a', 0, 64],
      ['b', 10_010, Keepalive],
    ])
  })

  it('sends no keepalive where there is traffic both ways', () => {
    const { net, a, b } = connectedPair()
    net.sent.length = 0
    for (let i = 0; i < 10; i++) {
      a.device.send(net.now, AtoB('ping'))
      net.run(20)
      b.device.send(net.now, BtoA('pong'))
      net.run(5000)
    }
    expect(net.sent.filter((sent) => sent.bytes.length === Keepalive)).toEqual([])
  })

  it('starts a handshake 15 s after data that nothing came back for', () => {
    const { net, a } = connectedPair()
    net.deliver = ({ from }) => from === 'a'
    net.sent.length = 0
    const sentAt = net.now
    a.device.send(net.now, AtoB('hello?'))
    net.run(16_000)
    const initiation = net.sent.find((sent) => sent.type === 1)!
    expect(initiation.from).toBe('a')
    expect(initiation.at - sentAt).toBeGreaterThanOrEqual(15_000)
    expect(initiation.at - sentAt).toBeLessThanOrEqual(15_334)
  })

  it('sends persistent keepalives in silence', () => {
    const { net } = connectedPair({ peer: { persistentKeepaliveMs: 25_000 } })
    net.sent.length = 0
    net.run(100_000)
    const keepalives = net.sent.filter((sent) => sent.bytes.length === Keepalive)
    expect(keepalives.length).toBeGreaterThanOrEqual(3)
    expect(keepalives.length).toBeLessThanOrEqual(8)
  })

  it('is renewed by its initiator alone, with the first packet after 120 s', () => {
    const { net, a, b } = connectedPair()
    net.sent.length = 0
    for (let second = 0; second < 125; second++) {
      a.device.send(net.now, AtoB('a'))
      b.device.send(net.now, BtoA('b'))
      net.run(1000)
    }
    const initiations = net.sent.filter((sent) => sent.type === 1)
    expect(initiations.map((sent) => [sent.from, Math.round((sent.at - 1000) / 1000)])).toEqual([['a', 120]])
    expect(a.payloads()).toHaveLength(125)
    expect(b.payloads()).toHaveLength(125)
    expect(a.take('session')).toHaveLength(1)
    expect(b.take('session')).toHaveLength(1)
  })

  it('is renewed by an initiator that only receives, 15 s before it would be rejected', () => {
    for (const [idleMs, renewed] of [
      [164_000, 0],
      [166_000, 1],
    ] as const) {
      const { net, a, b } = connectedPair()
      net.run(idleMs)
      net.sent.length = 0
      b.device.send(net.now, BtoA('hello'))
      net.run(100)
      expect(a.payloads()).toEqual(['hello'])
      expect(net.count('a', 1)).toBe(renewed)
      expect(net.count('b', 1)).toBe(0)
    }
  })

  it('is not used after 180 s: the next packet makes a new handshake', () => {
    const { net, a, b } = connectedPair()
    net.run(181_000)
    net.sent.length = 0
    b.device.send(net.now, BtoA('late'))
    net.run(100)
    expect(net.sent.map((sent) => [sent.from, sent.type])).toEqual([
      ['b', 1],
      ['a', 2],
      ['b', 4],
    ])
    expect(a.payloads()).toEqual(['late'])
  })

  it('drops messages of a session older than 180 s', () => {
    const { net, a, b } = connectedPair()
    net.deliver = () => false
    a.device.send(net.now, AtoB('held'))
    net.run(180_000)
    const held = net.sent.find((sent) => sent.bytes.length > Keepalive && sent.type === 4)!
    b.device.handleDatagram(net.now, a.address, held.bytes)
    net.run(0)
    expect(b.device.counters.expiredSession).toBe(1)
    expect(b.payloads()).toEqual([])
  })

  it('ages with the wall clock where the machine slept', () => {
    const { net, a } = connectedPair()
    net.run(RekeyTimeoutMs)
    net.wallOffsetMs += 200_000
    net.sent.length = 0
    a.device.send(net.now, AtoB('good morning'))
    net.run(5)
    expect(net.sent.map((sent) => sent.type)).toEqual([1])
  })

  it('forgets the keys after 540 s', () => {
    const { net, a, b } = connectedPair()
    net.run(540_000)
    expect(a.take('expired')).toEqual([{ type: 'expired', peer: 'b' }])
    expect(b.take('expired')).toEqual([{ type: 'expired', peer: 'a' }])
    expect(a.device.pollTimeout()).toBeUndefined()
    const held = net.sent.findLast((sent) => sent.type === 4)!
    b.device.handleDatagram(net.now, a.address, held.bytes)
    expect(b.device.counters.unknownReceiver).toBe(1)
  })

  it('is renewed after rekeyAfterMessages, losing nothing', () => {
    const { net, a, b } = connectedPair({ device: { rekeyAfterMessages: 20 } })
    for (let i = 0; i < 200; i++) {
      a.device.send(net.now, AtoB(`${i}`))
      net.run(100)
    }
    expect(b.payloads()).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`))
    // At most one in RekeyTimeout: 20 s of traffic.
    expect(net.count('a', 1)).toBeGreaterThanOrEqual(4)
    expect(net.count('a', 1)).toBeLessThanOrEqual(5)
  })

  it('loses no message over a lossy rekey', () => {
    const { net, a, b } = connectedPair({ seed: 3 })
    net.deliver = ({ type }) => type === 4 || net.random.fraction() > 0.5
    for (let i = 0; i < 300; i++) {
      a.device.send(net.now, AtoB('a'))
      b.device.send(net.now, BtoA('b'))
      net.run(1000)
    }
    expect(a.payloads()).toHaveLength(300)
    expect(b.payloads()).toHaveLength(300)
  })
})

describe('peers', () => {
  it('are kept apart, many on one device', () => {
    const net = new Net()
    const hub = net.add('hub')
    const spokes = Array.from({ length: 100 }, (_, i) => {
      const spoke = net.add(`spoke${i}`)
      net.peer(hub, spoke, { allowedAddresses: [`10.0.1.${i}/32`] })
      net.peer(spoke, hub, { allowedAddresses: ['10.0.0.0/16'] })
      return spoke
    })
    for (const [i, spoke] of spokes.entries()) {
      spoke.device.send(net.now, ipv4Packet(`10.0.1.${i}`, '10.0.0.1', `from ${i}`))
    }
    net.run(100)
    expect(
      hub.take('packet').map(({ peer, bytes }) => [peer, new TextDecoder().decode(bytes.subarray(20))]),
    ).toEqual(spokes.map((spoke, i) => [spoke.name, `from ${i}`]))
    for (let i = 0; i < 100; i++) hub.device.send(net.now, ipv4Packet('10.0.0.1', `10.0.1.${i}`, `to ${i}`))
    net.run(100)
    for (const [i, spoke] of spokes.entries()) expect(spoke.payloads()).toEqual([`to ${i}`])

    spokes[3]!.device.send(net.now, ipv4Packet('10.0.1.4', '10.0.0.1', 'as another'))
    net.run(100)
    expect(hub.device.counters.spoofedSource).toBe(1)
  })

  it('can be removed, and are then unknown', () => {
    const { net, a, b } = connectedPair()
    b.device.removePeer(net.now, 'a')
    b.device.removePeer(net.now, 'a')
    a.device.send(net.now, AtoB('anyone?'))
    net.run(100)
    expect(b.device.counters.unknownReceiver).toBe(1)
    expect(b.device.send(net.now, BtoA('gone'))).toBe(false)
    b.device.initiate(net.now, 'a')
    net.run(20_000)
    expect(b.device.counters.unknownPeer).toBe(1)
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'] })
    net.run(20_000)
    a.device.send(net.now, AtoB('back'))
    net.run(5000)
    expect(b.payloads()).toContain('back')
  })

  it('hand an address over', () => {
    const { net, a, b } = connectedPair()
    const c = net.add('c')
    net.peer(a, c, { allowedAddresses: [] })
    net.peer(c, a, { allowedAddresses: ['10.0.0.1/32'] })
    c.device.initiate(net.now, 'a')
    net.run(100)
    a.device.setAllowedAddresses('c', ['10.0.0.2/32'])
    a.device.send(net.now, AtoB('moved'))
    b.device.send(net.now, BtoA('stale'))
    net.run(100)
    expect(c.payloads()).toEqual(['moved'])
    expect(a.take('packet')).toEqual([])
    a.device.removePeer(net.now, 'b')
    expect(a.device.send(net.now, AtoB('still there'))).toBe(true)
  })

  it('with an endpoint are followed to where they are', () => {
    const net = new Net()
    const a = net.add('a')
    const b = net.add('b')
    net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], endpoint: b.address })
    net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'], endpoint: { address: '198.51.100.1', port: 1 } })
    a.device.send(net.now, AtoB('here'))
    net.run(100)
    expect(net.sent.map((sent) => sent.replyTo)).toEqual([b.address, a.address, b.address])
    const elsewhere = { address: '203.0.113.5', port: 4000 }
    net.deliver = () => false
    a.device.send(net.now, AtoB('moved'))
    net.run(0)
    b.device.handleDatagram(net.now, elsewhere, net.sent.at(-1)!.bytes)
    b.device.send(net.now, BtoA('follow'))
    net.run(0)
    expect(net.sent.at(-1)!.replyTo).toEqual(elsewhere)
  })

  it('are reported once a drain and source', () => {
    const { net, a, b } = connectedPair()
    net.deliver = () => false
    for (let i = 0; i < 3; i++) a.device.send(net.now, AtoB(`${i}`))
    net.run(0)
    for (const { bytes } of net.sent.slice(-3)) b.device.handleDatagram(net.now, a.address, bytes)
    net.run(0)
    expect(b.take('authenticated')).toHaveLength(1)
    expect(b.payloads()).toHaveLength(3)
  })

  it('with wrong options are refused, changing nothing', () => {
    const { net, a, b } = createPair()
    const publicKey = net.random.bytes(32)
    const good = { id: 'c', publicKey, allowedAddresses: ['10.0.0.3/32'] }
    const refused = (options: object): string => {
      try {
        a.device.addPeer(net.now, { ...good, ...options })
        return 'accepted'
      } catch (error) {
        return (error as { code: string }).code
      }
    }
    expect(refused({ publicKey: new Uint8Array(31) })).toBe('wireguard-public-key')
    expect(refused({ publicKey: new Uint8Array(32) })).toBe('wireguard-public-key')
    expect(refused({ presharedKey: new Uint8Array(31) })).toBe('wireguard-preshared-key')
    expect(refused({ id: 'b' })).toBe('wireguard-peer-exists')
    expect(refused({ id: '' })).toBe('wireguard-peer-id')
    expect(refused({ publicKey: b.device.publicKey })).toBe('wireguard-peer-exists')
    expect(refused({ allowedAddresses: ['10.0.0.2/32', '10.0.0.3/33'] })).toBe('allowed-address')
    expect(refused({ persistentKeepaliveMs: 0 })).toBe('persistent-keepalive')
    a.device.send(net.now, AtoB('still b’s'))
    net.run(100)
    expect(b.payloads()).toEqual(['still b’s'])
    expect(refused({})).toBe('accepted')
    const small = net.add('small', { maxPeers: 1 })
    net.peer(small, a, { allowedAddresses: [] })
    expect(() => net.peer(small, b, { allowedAddresses: [] })).toThrow(
      expect.objectContaining({ code: 'wireguard-too-many-peers' }),
    )
  })

  it('are all forgotten on close, twice', () => {
    const { net, a, b } = connectedPair()
    b.device.close()
    b.device.close()
    a.device.send(net.now, AtoB('anyone?'))
    net.run(100)
    expect(b.device.counters.unknownReceiver).toBe(1)
    expect(b.device.pollTimeout()).toBeUndefined()
  })
})
