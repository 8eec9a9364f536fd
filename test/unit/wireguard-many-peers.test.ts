import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { RekeyTimeoutJitterMaxMs } from '../../src/transports/wireguard/constants.js'
import { Tunnel } from '../../src/transports/wireguard/tunnel.js'
import { WakeQueue } from '../../src/transports/wireguard/wake-queue.js'
import { ipv4Packet, Net, type Node } from './wireguard-net.js'

describe('the queue of deadlines', () => {
  it('agrees with a sorted list', () => {
    const step = fc.tuple(fc.nat(40), fc.option(fc.nat(50), { nil: undefined, freq: 2 }))
    fc.assert(
      fc.property(fc.array(step, { minLength: 100, maxLength: 400 }), (steps) => {
        const queue = new WakeQueue<number>()
        const model = new Map<number, number>()
        for (const [item, deadline] of steps) {
          queue.schedule(item, deadline)
          if (deadline === undefined) model.delete(item)
          else model.set(item, deadline)
          const next = model.size === 0 ? undefined : Math.min(...model.values())
          expect(queue.next).toBe(next)
          expect(queue.due((next ?? 1000) - 1)).toBeUndefined()
          const due = queue.due(next ?? 1000)
          expect(due === undefined ? undefined : model.get(due)).toBe(next)
        }
        const order: number[] = []
        for (let due = queue.due(1000); due !== undefined; due = queue.due(1000)) {
          order.push(queue.next!)
          queue.schedule(due, undefined)
        }
        expect(order).toEqual([...model.values()].sort((a, b) => a - b))
      }),
      { numRuns: 300 },
    )
  })

  it('is empty when cleared', () => {
    const queue = new WakeQueue<string>()
    for (const item of ['a', 'b', 'c']) queue.schedule(item, 1)
    queue.clear()
    expect([queue.next, queue.due(10)]).toEqual([undefined, undefined])
    queue.schedule('b', 2)
    expect(queue.due(2)).toBe('b')
  })
})

describe('a device with 500 peers', () => {
  const Peers = 500
  const inner = (i: number): string => `10.0.${1 + (i >> 8)}.${i & 255}`

  function hubAndSpokes(): {
    readonly net: Net
    readonly hub: Node
    readonly all: readonly (readonly [number, Node])[]
  } {
    const net = new Net(11)
    const hub = net.add('hub')
    const all = Array.from({ length: Peers }, (_, i) => {
      const spoke = net.add(`${i}`)
      net.peer(hub, spoke, { allowedAddresses: [`${inner(i)}/32`] })
      net.peer(spoke, hub, { allowedAddresses: ['10.0.0.1/32'] })
      return [i, spoke] as const
    })
    return { net, hub, all }
  }

  it('wakes only those whose time has come', () => {
    const { net, hub, all } = hubAndSpokes()
    for (const [i, spoke] of all) spoke.device.send(net.now, ipv4Packet(inner(i), '10.0.0.1', `${i}`))
    net.run(100)
    expect(hub.take('packet').map(({ peer }) => peer)).toEqual(all.map(([i]) => `${i}`))
    expect(hub.take('session')).toHaveLength(Peers)

    const woken = vi.spyOn(Tunnel.prototype, 'handleTimeout')
    const polled = vi.spyOn(Tunnel.prototype, 'pollTimeout')
    const Rounds = 5
    for (let round = 0; round < Rounds; round++) {
      for (const [i] of all) {
        hub.device.send(net.now, ipv4Packet('10.0.0.1', inner(i), 'x'))
        for (let out = hub.device.pollTransmit(); out !== undefined; out = hub.device.pollTransmit());
        hub.device.handleTimeout(net.now)
        hub.device.pollTimeout()
      }
      net.now += 100
    }
    expect(woken).not.toHaveBeenCalled()
    expect(polled).toHaveBeenCalledTimes(Rounds * Peers)

    // Nothing came back: a new handshake with each 15 s after the first packet, spread by the jitter.
    net.now += 15_000 - Rounds * 100 + RekeyTimeoutJitterMaxMs / 2
    hub.device.handleTimeout(net.now)
    let initiations = 0
    while (hub.device.pollTransmit() !== undefined) initiations++
    expect(initiations).toBeGreaterThan(100)
    expect(initiations).toBeLessThan(400)
    expect(woken).toHaveBeenCalledTimes(initiations)
    woken.mockRestore()
    polled.mockRestore()
  })

  it('computes the same for a handshake as with one', () => {
    const { net, hub, all } = hubAndSpokes()
    const polled = vi.spyOn(Tunnel.prototype, 'pollTimeout')
    const [, last] = all.at(-1)!
    last.device.initiate(net.now, 'hub')
    const initiation = last.device.pollTransmit()!.bytes
    polled.mockClear()
    hub.device.handleDatagram(net.now, last.address, initiation)
    hub.device.handleTimeout(net.now)
    expect(polled).toHaveBeenCalledTimes(1)
    polled.mockRestore()
  })

  it('carries traffic both ways through two rekeys, losing nothing', () => {
    const { net, hub, all } = hubAndSpokes()
    const received = new Map<string, number>()
    for (let round = 0; round < 29; round++) {
      for (const [i, spoke] of all) {
        spoke.device.send(net.now, ipv4Packet(inner(i), '10.0.0.1', `${round}`))
        if (round > 0) hub.device.send(net.now, ipv4Packet('10.0.0.1', inner(i), `${round}`))
      }
      net.run(10_000)
      for (const { peer } of hub.take('packet')) received.set(peer, (received.get(peer) ?? 0) + 1)
    }
    expect(received.size).toBe(Peers)
    expect(new Set(received.values())).toEqual(new Set([29]))
    for (const [, spoke] of all) expect(spoke.payloads()).toHaveLength(28)
    expect(hub.take('session')).toHaveLength(3 * Peers)
    expect(Object.values(hub.device.counters).every((count) => count === 0)).toBe(true)
  }, 60_000)
})
