/** A member that speaks for others inside its tunnel, where WireGuard has let it. */
import { describe, expect, it, vi } from 'vitest'
import { ControlPort, writeControl } from '../../src/room/control.js'
import { GuestRoom } from '../../src/room/guest-room.js'
import { HostRoom } from '../../src/room/host-room.js'
import type { UnderlayEvent } from '../../src/room/underlay.js'
import { parseAddress } from '../../src/transports/ip/address.js'
import { encodeIpv6 } from '../../src/transports/ip/ipv6.js'
import { encodeUdp } from '../../src/transports/ip/udp.js'
import { Calm, type SimulatedMember } from '../sim/simulated-internet.js'
import { SimulatedRoom } from '../sim/simulated-room.js'

/** What WireGuard hands to a machine. */
interface Tunnels {
  handleUnderlay(now: number, event: UnderlayEvent): void
}

/** A goodbye between overlay addresses, as it comes out of a tunnel. */
function goodbye(from: string, to: string): Uint8Array {
  const [source, destination] = [parseAddress(from)!, parseAddress(to)!]
  const payload = writeControl({ type: 'leave' })
  const datagram = { sourcePort: ControlPort, destinationPort: ControlPort, payload }
  return encodeIpv6(encodeUdp(source, destination, datagram))
}

/** A room of three, and what leads to the peer of a packet's sender. */
function setUp() {
  const simulated = new SimulatedRoom('hostile member', Calm)
  const { internet } = simulated
  const host = simulated.startHost()
  internet.run(1000)
  const peersOfHost = vi.spyOn(HostRoom.prototype as unknown as Tunnels, 'handleUnderlay')
  const peersOfGuest = vi.spyOn(GuestRoom.prototype as unknown as Tunnels, 'handleUnderlay')
  const [alice, mallory] = ['alice', 'mallory'].map((name) => {
    const guest = simulated.startGuest(name)
    internet.runUntil(`${name} is in`, 5000, () => guest.of('joined').length === 1)
    return guest
  }) as [SimulatedMember, SimulatedMember]
  internet.run(1000)
  const addressOf = (name: string): string =>
    host.machine.members.find((member) => member.name === name)!.address6
  const peerOf = (calls: readonly (readonly [number, UnderlayEvent])[], name: string): string => {
    const sender = Buffer.from(parseAddress(addressOf(name))!)
    const events = calls.flatMap(([, event]) => (event.type === 'packet' ? [event] : []))
    return events.find(({ bytes }) => sender.equals(bytes.subarray(8, 24)))!.peer
  }
  const say = (to: SimulatedMember, peer: string, bytes: Uint8Array): void =>
    internet.input(to, (machine, now) =>
      (machine as unknown as Tunnels).handleUnderlay(now, { type: 'packet', peer, bytes }),
    )
  const hostCalls = peersOfHost.mock.calls.slice()
  const aliceCalls = peersOfGuest.mock.calls.filter(
    (_, at) => peersOfGuest.mock.contexts[at] === alice.machine,
  )
  vi.restoreAllMocks()
  return { host, alice, mallory, addressOf, say, peerOf, hostCalls, aliceCalls }
}

const goneFrom = (member: SimulatedMember): string[] =>
  member.of('member').flatMap(({ state, name }) => (state === 'left' ? [name] : []))

describe('a host', () => {
  it('takes no control message that names another member as its sender', () => {
    const { host, addressOf, say, peerOf, hostCalls } = setUp()
    const peer = peerOf(hostCalls, 'mallory')
    say(host, peer, goodbye(addressOf('alice'), addressOf('host')))
    expect(goneFrom(host)).toEqual([])
    say(host, peer, goodbye(addressOf('mallory'), addressOf('host')))
    expect(goneFrom(host)).toEqual(['mallory'])
  })
})

describe('a guest', () => {
  it('takes no control message from another than its host', () => {
    const { alice, addressOf, say, peerOf, aliceCalls } = setUp()
    const peer = peerOf(aliceCalls, 'host')
    say(alice, peer, goodbye(addressOf('mallory'), addressOf('alice')))
    expect(goneFrom(alice)).toEqual([])
    say(alice, peer, goodbye(addressOf('host'), addressOf('alice')))
    expect(goneFrom(alice)).toEqual(['host'])
  })
})
