import { describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { ipv4Packet, Net, type Node, type Sent } from './wireguard-net.js'

const AtoB = ipv4Packet('10.0.0.1', '10.0.0.2', 'a')
const BtoA = ipv4Packet('10.0.0.2', '10.0.0.1', 'b')
const Moved: SocketAddress = { address: '203.0.113.5', port: 4000 }
const Stranger: SocketAddress = { address: '198.51.100.66', port: 666 }

/** b is a's peer and the other way round, with a session; a knows where b is, b waits for what comes. */
function pair(isFollowing: boolean): { readonly net: Net; readonly a: Node; readonly b: Node } {
  const net = new Net()
  const [a, b] = [net.add('a'), net.add('b')]
  const endpoint = (node: Node): object => (isFollowing ? { endpoint: node.address } : {})
  net.peer(a, b, { allowedAddresses: ['10.0.0.2/32'], ...endpoint(b) })
  net.peer(b, a, { allowedAddresses: ['10.0.0.1/32'], ...endpoint(a) })
  a.device.send(net.now, AtoB)
  net.run(100)
  return { net, a, b }
}

/** The last datagram that a node makes of an input, not delivered. */
function take(net: Net, make: () => void): Sent {
  const { deliver } = net
  net.deliver = () => false
  const before = net.sent.length
  make()
  net.run(0)
  net.deliver = deliver
  expect(net.sent.length).toBeGreaterThan(before)
  return net.sent.at(-1)!
}

describe('a peer with an endpoint', () => {
  /** Where b's next packet to a goes. */
  const goesTo = ({ net, b }: ReturnType<typeof pair>): SocketAddress | undefined =>
    take(net, () => b.device.send(net.now, BtoA)).replyTo

  it('is followed by its data, its keepalives, its initiations and its responses', () => {
    for (const kind of ['data', 'keepalive', 'initiation', 'response']) {
      const both = pair(true)
      const { net, a, b } = both
      net.run(6000)
      const make: Record<string, () => void> = {
        data: () => a.device.send(net.now, AtoB),
        keepalive: () => {
          a.device.handleDatagram(net.now, b.address, take(net, () => b.device.send(net.now, BtoA)).bytes)
          net.now += 10_000
          a.device.handleTimeout(net.now)
        },
        initiation: () => a.device.initiate(net.now, 'b'),
        response: () => {
          const { bytes: initiation } = take(net, () => b.device.initiate(net.now, 'a'))
          a.device.handleDatagram(net.now, b.address, initiation)
        },
      }
      const { bytes } = take(net, make[kind]!)
      expect(goesTo(both), kind).toEqual(a.address)
      b.device.handleDatagram(net.now, Moved, bytes)
      expect(goesTo(both), kind).toEqual(Moved)
    }
  })

  it('is not followed by what is forged, replayed, or a cookie', () => {
    const both = pair(true)
    const { net, a, b } = both
    const { bytes: data } = take(net, () => a.device.send(net.now, AtoB))
    const forged = data.slice()
    forged[20]! ^= 1
    b.device.handleDatagram(net.now, Stranger, forged)
    expect(goesTo(both)).toEqual(a.address)
    b.device.handleDatagram(net.now, a.address, data)
    b.device.handleDatagram(net.now, Stranger, data)
    for (const { bytes, from } of net.sent)
      if (from === 'a') b.device.handleDatagram(net.now, Stranger, bytes)
    expect(b.device.counters).toMatchObject({ forged: 1, replayedInitiation: 1 })
    expect(b.device.counters.replayed).toBeGreaterThanOrEqual(3)
    expect(goesTo(both)).toEqual(a.address)
  })

  it('is followed by both sides at once, each moving in turn', () => {
    const both = pair(true)
    const { net, a, b } = both
    for (let i = 0; i < 10; i++) {
      const place = { address: '203.0.113.5', port: 5000 + i }
      const { bytes, replyTo } = take(net, () => a.device.send(net.now, AtoB))
      expect(replyTo).toEqual(i === 0 ? b.address : { address: '203.0.113.9', port: 6000 + i - 1 })
      b.device.handleDatagram(net.now, place, bytes)
      const answer = take(net, () => b.device.send(net.now, BtoA))
      expect(answer.replyTo).toEqual(place)
      a.device.handleDatagram(net.now, { address: '203.0.113.9', port: 6000 + i }, answer.bytes)
    }
    net.run(0)
    expect(a.payloads()).toHaveLength(10)
  })
})

describe('a peer without an endpoint', () => {
  it('is never followed: the caller is told the source, and decides', () => {
    const { net, a, b } = pair(false)
    b.take('authenticated')
    const { bytes } = take(net, () => a.device.send(net.now, AtoB))
    b.device.handleDatagram(net.now, Moved, bytes)
    expect(take(net, () => b.device.send(net.now, BtoA)).replyTo).toBeUndefined()
    expect(b.take('authenticated')).toEqual([{ type: 'authenticated', peer: 'a', source: Moved }])
  })
})
