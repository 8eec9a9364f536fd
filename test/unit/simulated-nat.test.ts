import { describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { createNat, type Nat, type NatBehaviour, type NatType, natPath } from '../sim/simulated-nat.js'

const Inside: SocketAddress = { address: '10.0.0.2', port: 5000 }
const Neighbour: SocketAddress = { address: '10.0.0.3', port: 5000 }
const Public = '203.0.113.1'
const First: SocketAddress = { address: '198.51.100.1', port: 3478 }
const OtherPort: SocketAddress = { ...First, port: 3479 }
const OtherAddress: SocketAddress = { ...First, address: '198.51.100.2' }

function nat(type: NatType, changes: Partial<NatBehaviour> = {}, seed = 0): Nat {
  return createNat(natPath(type, changes), new SeededRandom(seed), Public)
}

describe('a simulated NAT', () => {
  it.each([
    ['full-cone', true, true],
    ['restricted', true, false],
    ['port-restricted', false, false],
    ['cgnat', false, false],
  ] as const)('%s keeps its port, and lets in whom it should', (type, otherPort, otherAddress) => {
    const box = nat(type)
    const outside = box.outbound(0, Inside, First)!
    expect(outside).toEqual({ address: Public, port: 5000 })
    expect(box.inbound(0, First, outside)).toEqual(Inside)
    expect(box.inbound(0, OtherPort, outside) !== undefined).toBe(otherPort)
    expect(box.inbound(0, OtherAddress, outside) !== undefined).toBe(otherAddress)
    expect(box.outbound(0, Inside, OtherAddress)).toEqual(outside)
    expect(box.inbound(0, OtherAddress, outside)).toEqual(Inside)
    expect(box.owns(Public)).toBe(true)
  })

  it('gives each destination a port of its own where mapping depends on it', () => {
    const ports = (type: NatType): (number | undefined)[] => {
      const box = nat(type)
      return [First, OtherPort, OtherAddress].map((destination) => box.outbound(0, Inside, destination)?.port)
    }
    expect(new Set(ports('symmetric')).size).toBe(3)
    expect(ports('symmetric-sequential')).toEqual([1024, 1025, 1026])
    const [one, same, other] = ports('address-symmetric')
    expect(same).toBe(one)
    expect(other).not.toBe(one)
  })

  it('draws its ports from the seed', () => {
    const port = (seed: number): number => nat('symmetric', {}, seed).outbound(0, Inside, First)!.port
    expect(port(1)).toBe(port(1))
    expect(port(1)).not.toBe(port(2))
  })

  it('lets two insiders with one port have two', () => {
    const box = nat('port-restricted')
    expect(box.outbound(0, Inside, First)?.port).toBe(5000)
    expect(box.outbound(0, Neighbour, First)?.port).toBe(5001)
    expect(box.inbound(0, First, { address: Public, port: 5001 })).toEqual(Neighbour)
  })

  it('has no more mappings than ports', () => {
    const box = nat('symmetric', { range: [2000, 2001] })
    const mapped = [First, OtherPort, OtherAddress].map((destination) => box.outbound(0, Inside, destination))
    expect(mapped.map((each) => each?.port).toSorted()).toEqual([2000, 2001, undefined])
  })

  it('forgets what is not used, whatever comes in', () => {
    const box = nat('port-restricted', { timeoutMs: 1000 })
    const outside = box.outbound(0, Inside, First)!
    box.outbound(600, Inside, OtherAddress)
    expect(box.inbound(999, First, outside)).toEqual(Inside)
    expect(box.inbound(1000, First, outside)).toBeUndefined()
    expect(box.inbound(1000, OtherAddress, outside)).toEqual(Inside)
    expect(box.inbound(1600, OtherAddress, outside)).toBeUndefined()
  })

  it.each(['firewall', 'port-restricted', 'cgnat'] as const)('%s forgets everything when flushed', (type) => {
    const box = nat(type)
    const outside = box.outbound(0, Inside, First)!
    box.flush()
    expect(box.inbound(0, First, outside)).toBeUndefined()
    expect(box.outbound(0, Inside, First)).toEqual(outside)
  })

  it('gets another public address', () => {
    for (const box of [nat('port-restricted'), nat('cgnat')]) {
      const before = box.outbound(0, Inside, First)!
      box.setPublicAddress('203.0.113.9')
      expect(box.inbound(0, First, before)).toBeUndefined()
      expect(box.outbound(0, Inside, First)).toEqual({ ...before, address: '203.0.113.9' })
      expect([Public, '203.0.113.9'].map((address) => box.owns(address))).toEqual([false, true])
    }
  })

  it('turns packets round, from the outside source, or does not', () => {
    for (const hairpin of [true, false]) {
      const box = nat('full-cone', { hairpin })
      const target = box.outbound(0, Inside, First)!
      const turned = box.hairpin(0, Neighbour, target)
      const expected = { source: { address: Public, port: 5001 }, destination: Inside }
      expect(turned).toEqual(hairpin ? expected : undefined)
    }
  })

  it('turns packets round only for those whom the filter passes', () => {
    const box = nat('port-restricted', { hairpin: true })
    const target = box.outbound(0, Inside, First)!
    expect(box.hairpin(0, Neighbour, target)).toBeUndefined()
    box.outbound(0, Inside, { address: Public, port: 5001 })
    expect(box.hairpin(0, Neighbour, target)?.destination).toEqual(Inside)
  })

  it('lets an early packet take the port from its answer, or not', () => {
    for (const early of ['drop', 'occupy'] as const) {
      const box = nat('port-restricted', { early, timeoutMs: 1000 })
      const usual = box.outbound(0, Inside, First)!
      expect(box.inbound(0, OtherAddress, usual)).toBeUndefined()
      const answer = box.outbound(1, Inside, OtherAddress)!
      expect(answer.port === usual.port).toBe(early === 'drop')
      expect(box.inbound(2, OtherAddress, answer)).toEqual(Inside)
      expect(box.inbound(2, OtherAddress, usual) !== undefined).toBe(early === 'drop')
      expect(box.outbound(3, Inside, First)).toEqual(usual)
      expect(box.outbound(2000, Inside, OtherAddress)).toEqual(usual)
    }
  })

  it('translates nothing as a firewall, and lets in only answers', () => {
    const box = nat('firewall')
    expect(box.outbound(0, Inside, First)).toEqual(Inside)
    expect(box.inbound(0, First, Inside)).toEqual(Inside)
    expect(box.inbound(0, OtherPort, Inside)).toBeUndefined()
    expect(box.owns(Public)).toBe(false)
  })

  it('is nothing at all where there is none, and passes nothing where UDP is blocked', () => {
    expect(nat('open').outbound(0, Inside, First)).toEqual(Inside)
    expect(nat('open').inbound(0, First, Inside)).toEqual(Inside)
    for (const type of ['udp-blocked', 'tcp-443'] as const) {
      expect(nat(type).outbound(0, Inside, First)).toBeUndefined()
      expect(nat(type).inbound(0, First, Inside)).toBeUndefined()
    }
  })
})
