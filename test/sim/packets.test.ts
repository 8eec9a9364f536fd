/** IP packets of programs on the members' machines, whole rooms on a simulated internet. */
import { describe, expect, it } from 'vitest'
import { ControlPort, writeControl } from '../../src/room/control.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { parseAddress } from '../../src/transports/ip/address.js'
import { encodeEcho } from '../../src/transports/ip/icmp.js'
import { decodeIpv4, encodeIpv4 } from '../../src/transports/ip/ipv4.js'
import { encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { encodeUdp } from '../../src/transports/ip/udp.js'
import { Calm, type SimulatedMember } from './simulated-internet.js'
import { type AdmissionOptions, SimulatedRoom } from './simulated-room.js'

/** A UDP datagram between overlay addresses. */
function datagram(from: string, to: string, port = 7, payload?: Uint8Array): Uint8Array {
  const [source, destination] = [parseAddress(from)!, parseAddress(to)!]
  const packet = encodeUdp(source, destination, {
    sourcePort: port,
    destinationPort: port,
    payload: payload ?? Uint8Array.of(1, 2, 3),
  })
  return from.includes(':') ? encodeIpv6(packet) : encodeIpv4(packet)
}

const goodbye = (from: string, to: string): Uint8Array =>
  datagram(from, to, ControlPort, writeControl({ type: 'leave' }))

/** With one hop less to go. */
function later(packet: Uint8Array): Uint8Array {
  const at = packet[0]! >> 4 === 4 ? 8 : 7
  const copy = packet.slice()
  copy[at]! -= 1
  return copy
}

function setUp(admission: AdmissionOptions = {}) {
  const simulated = new SimulatedRoom('packets', Calm, { hasInterfaces: true })
  const { internet } = simulated
  const host = simulated.startHost(admission)
  internet.run(1000)
  const enter = (name: string): SimulatedMember => {
    const guest = simulated.startGuest(name, { make: (options) => new Hostile(options) })
    if (admission.admission === 'approve') {
      internet.runUntil(`${name} asks`, 5000, () => host.machine.asking.length > 0)
    } else internet.runUntil(`${name} is in`, 5000, () => guest.of('joined').length === 1)
    internet.run(1000)
    return guest
  }
  const of = (name: string) => host.machine.members.find((member) => member.name === name)!
  /** Has a program send. */
  const send = (from: SimulatedMember, packet: Uint8Array): void => {
    internet.input(from, (machine, now) => machine.handlePackets(now, [packet]))
    internet.run(200)
  }
  /** Has a gonet send what no program could. */
  const forge = (from: SimulatedMember, packet: Uint8Array): void => {
    internet.input(from, (machine, now) => {
      if (machine instanceof Hostile) machine.forge(now, packet)
    })
    internet.run(200)
  }
  return { simulated, internet, host, enter, of, send, forge }
}

/** A guest whose gonet lets everything out, if it is told to. */
class Hostile extends GuestRoom {
  forge(now: number, packet: Uint8Array): void {
    this.underlay.send(now, packet)
    this.collect(now)
  }
}

const countOf = ({ machine }: SimulatedMember, reason: string): number =>
  machine.dropped().find(([each]) => each === reason)?.[1] ?? 0

describe('programs', () => {
  it('reach the host, and each other through it, over both families', () => {
    const { host, enter, of, send } = setUp()
    const [alice, bob] = [enter('alice'), enter('bob')]
    for (const family of ['address', 'address6'] as const) {
      const [hosts, alices, bobs] = [of('host')[family], of('alice')[family], of('bob')[family]]
      for (const [from, to, packet] of [
        [alice, host, datagram(alices, hosts)],
        [host, alice, datagram(hosts, alices)],
      ] as const) {
        to.packets.length = 0
        send(from, packet)
        expect(to.packets).toEqual([packet])
      }
      bob.packets.length = 0
      const packet = datagram(alices, bobs)
      send(alice, packet)
      expect(bob.packets.map((bytes) => bytes.with(10, 0).with(11, 0))).toEqual([
        later(packet).with(10, 0).with(11, 0),
      ])
    }
  })

  it('are told where nobody is, and where a packet has gone round for too long', () => {
    const { host, enter, of, send } = setUp()
    const alice = enter('alice')
    const error = (type: number) => {
      const { payload, protocol, source } = decodeIpv4(alice.packets.pop()!)
      expect([protocol, payload[0]]).toEqual([1, type])
      expect(source).toEqual(parseAddress(of('host').address))
    }
    send(alice, datagram(of('alice').address, '10.7.99.9'))
    error(3)
    const bob = enter('bob')
    const [source, destination] = [of('alice'), of('bob')].map(({ address }) => parseAddress(address)!)
    const echo = encodeEcho(source!, destination!, {
      kind: 'request',
      identifier: 1,
      sequence: 1,
      data: new Uint8Array(),
    })
    const packet = encodeIpv4(echo)
    const view = new DataView(packet.buffer)
    // The checksum goes up as the first byte of its word goes down (RFC 1624).
    view.setUint16(10, view.getUint16(10) + (packet[8]! - 1) * 256)
    packet[8] = 1
    send(alice, packet)
    error(11)
    expect(bob.packets).toEqual([])
    expect(countOf(host, 'packet-hop-limit')).toBe(1)
  })
})

describe('a program', () => {
  it('cannot speak for gonet: what has to do with the control port goes nowhere', () => {
    const { host, enter, of, send } = setUp()
    const [alice, bob] = [enter('alice'), enter('bob')]
    send(alice, goodbye(of('alice').address6, of('host').address6))
    expect(host.of('member').filter(({ state }) => state === 'left')).toEqual([])
    send(host, goodbye(of('host').address6, of('alice').address6))
    expect(alice.of('member').filter(({ state }) => state === 'left')).toEqual([])
    send(alice, goodbye(of('alice').address, of('bob').address))
    expect(bob.packets).toEqual([])
    expect(countOf(alice, 'control-from-program')).toBe(2)
    expect(countOf(host, 'control-from-program')).toBe(1)
  })

  it('sees nothing of what gonet says', () => {
    const { internet, host, enter, forge, of } = setUp()
    const [alice, bob] = [enter('alice'), enter('bob')]
    internet.run(20_000)
    forge(alice, datagram(of('alice').address, of('host').address, ControlPort))
    expect([...alice.packets, ...bob.packets, ...host.packets]).toEqual([])
  })

  it('sends from its own addresses only', () => {
    const { host, enter, of, send } = setUp()
    const [alice, bob] = [enter('alice'), enter('bob')]
    for (const from of [of('bob').address, of('host').address, '192.0.2.7', 'fe80::1', of('bob').address6]) {
      send(alice, datagram(from, from.includes(':') ? of('host').address6 : of('host').address))
    }
    expect(host.packets).toEqual([])
    expect(bob.packets).toEqual([])
    expect(countOf(alice, 'packet-from-elsewhere')).toBe(5)
  })
})

describe('a member that turns hostile', () => {
  it('sends nothing under another address: the host knows whose tunnel it is', () => {
    const { host, enter, forge, of } = setUp()
    const [mallory, bob] = [enter('mallory'), enter('bob')]
    enter('alice')
    for (const family of ['address', 'address6'] as const) {
      for (const name of ['alice', 'host']) {
        forge(mallory, datagram(of(name)[family], of('bob')[family]))
        forge(mallory, datagram(of(name)[family], of('host')[family]))
      }
      forge(mallory, datagram(of('mallory')[family], of('bob')[family]))
    }
    expect(host.packets).toEqual([])
    expect(bob.packets).toHaveLength(2)
  })

  it('has no control message forwarded to another member', () => {
    const { host, enter, forge, of } = setUp()
    const [mallory, bob] = [enter('mallory'), enter('bob')]
    forge(mallory, goodbye(of('mallory').address6, of('bob').address6))
    expect(countOf(host, 'control-forwarded')).toBe(1)
    expect(bob.packets).toEqual([])
  })
})

describe('a guest in quarantine', () => {
  it('reaches no program, and no program reaches it', () => {
    const { simulated, internet, host, enter, forge, of, send } = setUp({ admission: 'approve' })
    const bob = enter('bob')
    internet.input(host, (machine, now) => machine.administer(now, 'approve', 'bob'))
    internet.run(2000)
    const mallory = enter('mallory')
    const theirs = simulated.address6(simulated.identity('mallory').publicKey)
    forge(mallory, datagram(theirs, of('bob').address6))
    forge(mallory, datagram(theirs, of('host').address6))
    send(bob, datagram(of('bob').address6, theirs))
    send(host, datagram(of('host').address6, theirs))
    expect(countOf(host, 'packet-no-member')).toBe(2)
    expect([bob, host, mallory].map(({ packets }) => packets.filter((each) => each[6] === 17))).toEqual([
      [],
      [],
      [],
    ])
    internet.input(host, (machine, now) => machine.administer(now, 'approve', 'mallory'))
    internet.run(2000)
    send(bob, datagram(of('bob').address6, theirs))
    expect(mallory.packets).toHaveLength(1)
  })
})
