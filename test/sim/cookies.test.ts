/** A host under a flood of handshakes asks for cookies (docs/protocol.md, WireGuard), and guests get in with them. */
import { describe, expect, it } from 'vitest'
import { formatSocketAddress, type SocketAddress } from '../../src/core/machine.js'
import { hasMac2 } from '../../src/transports/wireguard/macs.js'
import {
  CookieReplyLength,
  InitiationLength,
  MessageType,
  ResponseLength,
} from '../../src/transports/wireguard/messages.js'
import { Calm, type SimulatedInternet, type SimulatedMember } from './simulated-internet.js'
import { SimulatedRoom } from './simulated-room.js'

const Handshake = new Map<number, number>([
  [MessageType.Initiation, InitiationLength],
  [MessageType.Response, ResponseLength],
  [MessageType.CookieReply, CookieReplyLength],
])
/** Twice what a host is willing to compute. */
const FloodPerMs = 1
const FloodAtOnce = 1000
const JoinMs = 15_000
const Host: SocketAddress = { address: '192.0.2.1', port: 1000 }

interface Seen {
  readonly from: string
  readonly to: string
  readonly bytes: Uint8Array
}

/** Every handshake message that a member sends from now on. */
function watchHandshakes(internet: SimulatedInternet): readonly Seen[] {
  const seen: Seen[] = []
  internet.onDatagram = (source, { destination, bytes }) => {
    if (Handshake.get(bytes[0] ?? 0) !== bytes.length) return
    seen.push({
      from: formatSocketAddress(source),
      to: formatSocketAddress(destination),
      bytes: bytes.slice(),
    })
  }
  return seen
}

/** Somebody replays what it has overheard: it bears the right mac1, and is all that a flood takes. */
class Flood {
  readonly #internet: SimulatedInternet
  readonly #initiation: Uint8Array
  #port = 1024

  constructor(internet: SimulatedInternet, initiation: Uint8Array) {
    this.#internet = internet
    this.#initiation = initiation
  }

  send(count: number): void {
    for (let each = 0; each < count; each += 1) {
      this.#port += 1
      const source = { address: '203.0.113.1', port: this.#port }
      this.#internet.inject(source, { destination: Host, bytes: this.#initiation })
    }
  }

  /** Goes on until the condition holds. @returns whether it did in time */
  goOnUntil(holds: () => boolean): boolean {
    for (let ms = 0; ms < JoinMs && !holds(); ms += 1) {
      this.send(FloodPerMs)
      this.#internet.run(1)
    }
    return holds()
  }
}

describe('a host under load', () => {
  function floodedRoom(): {
    readonly simulated: SimulatedRoom
    readonly host: SimulatedMember
    readonly flood: Flood
    readonly handshakesOf: (member: SimulatedMember) => readonly (readonly [type: number, mac2: boolean])[]
  } {
    const simulated = new SimulatedRoom('cookies', Calm)
    const { internet } = simulated
    const seen = watchHandshakes(internet)
    const host = simulated.startHost()
    const alice = simulated.startGuest('alice')
    internet.runUntil('alice has joined', JoinMs, () => alice.of('joined').length === 1)
    const overheard = seen.find(({ bytes }) => bytes[0] === MessageType.Initiation)
    const flood = new Flood(internet, overheard!.bytes)
    flood.send(FloodAtOnce)
    const handshakesOf = (member: SimulatedMember): readonly (readonly [number, boolean])[] => {
      const address = formatSocketAddress(member.address)
      return seen
        .filter(({ from, to }) => from === address || to === address)
        .map(({ bytes }) => [bytes[0] ?? 0, bytes[0] !== MessageType.CookieReply && hasMac2(bytes)])
    }
    return { simulated, host, flood, handshakesOf }
  }

  function dropped(member: SimulatedMember, reason: string): number {
    return new Map(member.machine.dropped()).get(reason) ?? 0
  }

  it('gives a guest that joins a cookie, and lets it in with that', () => {
    const { simulated, host, flood, handshakesOf } = floodedRoom()
    const bob = simulated.startGuest('bob')
    expect(flood.goOnUntil(() => bob.of('joined').length === 1)).toBe(true)
    expect(handshakesOf(bob)).toEqual([
      [MessageType.Initiation, false],
      [MessageType.CookieReply, false],
      [MessageType.Initiation, true],
      [MessageType.Response, false],
    ])
    expect(dropped(host, 'wireguard underLoad')).toBeGreaterThan(FloodAtOnce / 2)
    expect(dropped(bob, 'wireguard forgedCookieReply')).toBe(0)
    simulated.internet.post(bob, 'through')
    simulated.internet.run(1000)
    expect(host.texts).toEqual(['through'])
  })

  it('takes no cookie from another address than it was given to, and gives another there', () => {
    const { simulated, flood, handshakesOf } = floodedRoom()
    const bob = simulated.startGuest('bob')
    const before = { ...bob.address }
    expect(flood.goOnUntil(() => handshakesOf(bob).length === 2)).toBe(true)
    simulated.internet.run(10)
    simulated.rebind(bob)
    expect(bob.address).not.toEqual(before)
    expect(flood.goOnUntil(() => bob.of('joined').length === 1)).toBe(true)
    const there = handshakesOf(bob)
    expect(there.slice(0, 3)).toEqual([
      [MessageType.Initiation, true],
      [MessageType.CookieReply, false],
      [MessageType.Initiation, true],
    ])
    expect(there.filter(([type]) => type === MessageType.CookieReply)).toHaveLength(1)
    expect(there.at(-1)).toEqual([MessageType.Response, false])
  })
})
