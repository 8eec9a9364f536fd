import { describe, expect, it } from 'vitest'
import type { Datagram, SocketAddress } from '../../src/core/machine.js'
import { PortMapper } from '../../src/transports/portmap/port-mapper.js'
import type { PortMapperEvent } from '../../src/transports/portmap/port-mapper-events.js'
import { SeededRandom } from '../sim/seeded-random.js'

const gateway: SocketAddress = { address: '10.0.0.1', port: 5351 }
const external: SocketAddress = { address: '203.0.113.7', port: 50_000 }
const Port = 41_641

/** A mapper under a clock that jumps. */
class Bench {
  now = 1_000_000
  readonly mapper: PortMapper

  constructor(clientAddress = '10.0.0.2') {
    const random = new SeededRandom('portmap')
    this.mapper = new PortMapper({ random, gateway: gateway.address, clientAddress, internalPort: Port })
    this.mapper.start(this.now)
  }

  sent(): Uint8Array[] {
    const all: Datagram[] = []
    for (let out = this.mapper.pollTransmit(); out !== undefined; out = this.mapper.pollTransmit())
      all.push(out)
    for (const { destination } of all) expect(destination).toEqual(gateway)
    return all.map(({ bytes }) => bytes)
  }

  events(): PortMapperEvent[] {
    const all: PortMapperEvent[] = []
    for (let event = this.mapper.pollEvent(); event !== undefined; event = this.mapper.pollEvent())
      all.push(event)
    return all
  }

  jump(): void {
    this.now = this.mapper.pollTimeout()!
    this.mapper.handleTimeout(this.now)
  }

  give(bytes: Uint8Array, source = gateway): boolean {
    return this.mapper.handleDatagram(this.now, source, bytes)
  }

  /** Answers a PCP MAP request with success. */
  grant(request: Uint8Array, { at = external, lifetime = 600, epoch = 1000 } = {}): void {
    this.give(pcpAnswer(request, { at, lifetime, epoch }))
  }
}

function pcpAnswer(
  request: Uint8Array,
  { at = external, lifetime = 600, epoch = 1000, code = 0, version = 2 } = {},
): Uint8Array {
  const bytes = request.slice()
  const view = new DataView(bytes.buffer)
  bytes[0] = version
  bytes[1]! |= 0x80
  bytes[3] = code
  view.setUint32(4, lifetime)
  view.setUint32(8, epoch)
  bytes.fill(0, 12, 24)
  if (bytes.length > 24) {
    view.setUint16(42, at.port)
    bytes.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...at.address.split('.').map(Number)], 44)
  }
  return bytes
}

function natPmpAddress(address = external.address, epoch = 1000): Uint8Array {
  const bytes = Uint8Array.from([0, 128, 0, 0, 0, 0, 0, 0, ...address.split('.').map(Number)])
  new DataView(bytes.buffer).setUint32(4, epoch)
  return bytes
}

function natPmpMapping({ internal = Port, lifetime = 600, epoch = 1000 } = {}): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  bytes[1] = 129
  view.setUint32(4, epoch)
  view.setUint16(8, internal)
  view.setUint16(10, external.port)
  view.setUint32(12, lifetime)
  return bytes
}

const unsupportedVersion = Uint8Array.of(0, 129, 0, 1, 0, 0, 0, 9)
const mapped = { type: 'mapped', external, lifetimeMs: 600_000 }

describe('a port mapper', () => {
  it('asks by PCP for its port, as RFC 6887 section 11.1 lays it out', () => {
    const [request] = new Bench().sent()
    expect([...request!.subarray(0, 4)]).toEqual([2, 1, 0, 0])
    const view = new DataView(request!.buffer)
    expect(view.getUint32(4)).toBe(7200)
    expect([...request!.subarray(8, 24)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 2])
    expect([...request!.subarray(36, 40)]).toEqual([17, 0, 0, 0])
    expect([view.getUint16(40), view.getUint16(42)]).toEqual([Port, Port])
    expect(request).toHaveLength(60)
  })

  it('renews at half the lifetime, with the same nonce, for the same address, without another event', () => {
    const bench = new Bench()
    const [first] = bench.sent()
    bench.grant(first!, { lifetime: 100 })
    expect(bench.events()).toEqual([{ ...mapped, protocol: 'pcp', lifetimeMs: 100_000 }])
    const begin = bench.now
    bench.jump()
    expect(bench.now - begin).toBe(50_000)
    const [renewal] = bench.sent()
    expect(renewal!.subarray(24, 36)).toEqual(first!.subarray(24, 36))
    expect(new DataView(renewal!.buffer).getUint16(42)).toBe(external.port)
    bench.grant(renewal!, { lifetime: 100, epoch: 1050 })
    expect(bench.events()).toEqual([])
    expect(bench.mapper.pollTimeout()).toBe(bench.now + 50_000)
  })

  it('falls back to NAT-PMP at once where the router refuses the version', () => {
    const bench = new Bench()
    bench.sent()
    bench.give(unsupportedVersion)
    const [address, map] = bench.sent()
    expect([...address!]).toEqual([0, 0])
    expect([...map!]).toEqual([0, 1, 0, 0, Port >> 8, Port & 255, Port >> 8, Port & 255, 0, 0, 0x1c, 0x20])
    bench.give(natPmpMapping())
    expect(bench.events()).toEqual([])
    bench.give(natPmpAddress())
    expect(bench.events()).toEqual([{ ...mapped, protocol: 'nat-pmp' }])
  })

  it('falls back after 750 ms of silence, gives up within 3 s, and asks again in minutes', () => {
    const bench = new Bench()
    const begin = bench.now
    const sent: [number, number][] = bench.sent().map(([version]) => [0, version!])
    let events: PortMapperEvent[] = []
    while (events.length === 0) {
      bench.jump()
      for (const [version] of bench.sent()) sent.push([bench.now - begin, version!])
      events = bench.events()
    }
    const both = [750, 1000, 1500].flatMap((at) => [
      [at, 0],
      [at, 0],
    ])
    expect(sent).toEqual([[0, 2], [250, 2], ...both])
    expect(events).toEqual([{ type: 'failed', reason: 'no-answer' }])
    expect(bench.now - begin).toBe(2500)
    bench.jump()
    expect(bench.now - begin).toBeGreaterThan(150_000)
    expect(bench.now - begin).toBeLessThan(210_000)
    expect(bench.sent().map(([version]) => version)).toEqual([2])
  })

  it('hears nobody but the router, and only the answer to what it asked', () => {
    const bench = new Bench()
    const [request] = bench.sent()
    const answer = pcpAnswer(request!)
    expect(bench.give(answer, { address: '10.0.0.9', port: 5351 })).toBe(false)
    expect(bench.give(answer, { address: gateway.address, port: 5350 })).toBe(false)
    const wrongNonce = answer.slice()
    wrongNonce[24]! ^= 1
    const wrongPort = answer.slice()
    wrongPort[41]! ^= 1
    const wrongProtocol = answer.slice()
    wrongProtocol[36] = 6
    for (const wrong of [wrongNonce, wrongPort, wrongProtocol, natPmpMapping()]) bench.give(wrong)
    bench.give(request!)
    bench.give(answer.subarray(0, 40))
    expect(bench.events()).toEqual([])
    expect(bench.mapper.counters).toEqual({ foreign: 2, malformed: 2, unexpected: 4 })
    bench.give(answer)
    expect(bench.events()).toEqual([{ ...mapped, protocol: 'pcp' }])
  })

  it('takes no NAT-PMP mapping of another port', () => {
    const bench = new Bench()
    bench.give(unsupportedVersion)
    bench.give(natPmpAddress())
    bench.give(natPmpMapping({ internal: Port + 1 }))
    expect(bench.events()).toEqual([])
    expect(bench.mapper.counters.unexpected).toBe(1)
  })

  it.each(['192.168.1.5', '10.9.9.9', '172.16.0.1', '100.64.0.1', '127.0.0.1', '0.0.0.0', '169.254.1.1'])(
    'tells of a double NAT for %s, deletes the mapping, and never calls it mapped',
    (address) => {
      const bench = new Bench()
      const [request] = bench.sent()
      const at = { address, port: 50_000 }
      bench.grant(request!, { at })
      expect(bench.events()).toEqual([{ type: 'failed', reason: 'double-nat', external: at }])
      const [deletion] = bench.sent()
      expect(new DataView(deletion!.buffer).getUint32(4)).toBe(0)
    },
  )

  it('maps anew where the epoch shows a restart, and says so where the address is another', () => {
    const bench = new Bench()
    bench.grant(bench.sent()[0]!)
    bench.events()
    bench.jump()
    const [probe] = bench.sent()
    expect([...probe!.subarray(0, 2)]).toEqual([2, 0])
    bench.give(pcpAnswer(probe!, { epoch: 1060 }))
    expect(bench.sent()).toEqual([])
    bench.jump()
    bench.give(pcpAnswer(bench.sent()[0]!, { epoch: 3 }))
    const [again] = bench.sent()
    expect(again).toHaveLength(60)
    const elsewhere = { address: '203.0.113.8', port: 50_001 }
    bench.grant(again!, { epoch: 3, at: elsewhere })
    expect(bench.events()).toEqual([{ ...mapped, external: elsewhere, protocol: 'pcp' }])
  })

  it('maps anew within 5 s of an announcement of a new epoch, from the router only', () => {
    const bench = new Bench()
    const [request] = bench.sent()
    bench.grant(request!)
    const announcement = pcpAnswer(Uint8Array.from([2, 0, ...new Array<number>(22).fill(0)]), { epoch: 1 })
    const before = bench.mapper.pollTimeout()
    bench.mapper.handleAnnouncement(bench.now, { address: '10.0.0.9', port: 5351 }, announcement)
    expect(bench.mapper.pollTimeout()).toBe(before)
    bench.mapper.handleAnnouncement(bench.now, gateway, announcement)
    const begin = bench.now
    bench.jump()
    expect(bench.now - begin).toBeLessThanOrEqual(5000)
    expect(bench.sent()[0]).toHaveLength(60)
  })

  it('asks for the NAT-PMP epoch where only PCP is announced', () => {
    const bench = new Bench()
    bench.give(unsupportedVersion)
    bench.give(natPmpAddress())
    bench.give(natPmpMapping())
    bench.sent()
    bench.now += 10_000
    const announcement = Uint8Array.from([2, 128, ...new Array<number>(22).fill(0)])
    bench.mapper.handleAnnouncement(bench.now, gateway, announcement)
    const begin = bench.now
    bench.jump()
    expect(bench.now - begin).toBeLessThanOrEqual(5000)
    expect(bench.sent()).toEqual([Uint8Array.of(0, 0)])
    bench.give(natPmpAddress(external.address, 2))
    expect(bench.sent().map(({ length }) => length)).toEqual([2, 12])
  })

  it('loses the mapping when its lifetime ends unanswered, and asks anew', () => {
    const bench = new Bench()
    bench.grant(bench.sent()[0]!, { lifetime: 20 })
    const begin = bench.now
    bench.events()
    let events: PortMapperEvent[] = []
    while (events.length === 0) {
      bench.jump()
      events = bench.events()
    }
    expect(events).toEqual([{ type: 'lost' }])
    expect(bench.now - begin).toBe(20_000)
    expect(bench.sent().at(-1)![0]).toBe(2)
  })

  it('says why it is refused', () => {
    const bench = new Bench()
    bench.give(pcpAnswer(bench.sent()[0]!, { code: 2 }))
    expect(bench.events()).toEqual([{ type: 'failed', reason: 'refused', result: 'NOT_AUTHORIZED' }])
  })

  it('deletes its mapping when it is closed, and waits for the answer under a second', () => {
    const bench = new Bench()
    bench.grant(bench.sent()[0]!)
    bench.events()
    bench.mapper.close(bench.now)
    bench.mapper.close(bench.now)
    const [deletion, ...more] = bench.sent()
    expect(more).toEqual([])
    expect(new DataView(deletion!.buffer).getUint32(4)).toBe(0)
    bench.give(pcpAnswer(deletion!, { lifetime: 0 }))
    expect(bench.events()).toEqual([{ type: 'closed' }])
    expect(bench.mapper.pollTimeout()).toBeUndefined()
  })

  it('is closed by itself where nobody answers the deletion', () => {
    const bench = new Bench()
    bench.grant(bench.sent()[0]!)
    bench.events()
    bench.mapper.close(bench.now)
    const begin = bench.now
    while (bench.mapper.pollTimeout() !== undefined) bench.jump()
    expect(bench.events()).toEqual([{ type: 'closed' }])
    expect(bench.now - begin).toBeLessThan(1000)
  })

  it('asks by PCP alone with an IPv6 address', () => {
    const bench = new Bench('2001:db8::2')
    bench.jump()
    bench.jump()
    expect(bench.events()).toEqual([{ type: 'failed', reason: 'no-answer' }])
    expect(bench.sent().map(([version]) => version)).toEqual([2, 2])
  })
})
