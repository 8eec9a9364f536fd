import { beforeEach, describe, expect, it } from 'vitest'
import { Guest, type GuestEvent, type GuestOptions } from '../../src/core/guest.js'
import { Host, type HostEvent, type JoinRequest } from '../../src/core/host.js'
import { type Identity, identityFromSeed } from '../../src/core/identity.js'
import { writeMessage } from '../../src/core/messages.js'
import { puzzleOf, solvedBits } from '../../src/core/puzzle.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { beaconKey, sealBeacon, sealJoin } from '../../src/core/sealing.js'
import type { SignalTransmit } from '../../src/core/signal.js'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'

const offer = { ice: 'u7Gh3kAb 0123456789abcdefghijklmn', candidates: 'host 192.0.2.1:5000' }
const answer = { ...offer, peer: '10.7.0.2', subnet: '10.7.0.0/16', address: '192.0.2.9:5000' }

let random: SeededRandom
let identity: Identity
let room: string
let store: MemoryStore
let host: Host
let guest: Guest

const drain = <T>(poll: () => T | undefined): T[] => {
  const all: T[] = []
  for (let next = poll(); next !== undefined; next = poll()) all.push(next)
  return all
}
const events = (machine: Host): HostEvent[] => drain(() => machine.pollEvent())
const heard = (machine: Guest): GuestEvent[] => drain(() => machine.pollEvent())
const sent = (machine: Host | Guest): SignalTransmit[] => drain(() => machine.pollTransmit())
const published = (machine: Host | Guest): SignalRecord[] =>
  sent(machine).flatMap((transmit) => (transmit.kind === 'publish' ? [transmit.record] : []))
const newHost = (): Host => {
  const made = new Host({ identity, room, username: 'alice', crypto, random, store })
  made.start(0)
  return made
}
const newGuest = (options: Partial<GuestOptions> = {}): Guest => {
  const guestIdentity = identityFromSeed(crypto, random.bytes(32))
  return new Guest({ identity: guestIdentity, room, username: 'bob', crypto, random, ...options })
}
const beaconOf = (machine: Host): SignalRecord => published(machine).find((record) => record.box === 'host')!
/** Brings a guest to the point where its join lies on the backend, and returns that record. */
const joinRecord = (machine: Guest, beacon: SignalRecord, now = 0): SignalRecord => {
  machine.start()
  machine.handleRecord(now, 'memory', beacon)
  machine.join(now, { wireguard: random.bytes(32), ...offer })
  return published(machine).find((record) => record.box === 'join')!
}
const requestOf = (machine: Host): JoinRequest | undefined => {
  const event = events(machine).find((each) => each.type === 'join')
  return event?.type === 'join' ? event.request : undefined
}

beforeEach(() => {
  random = new SeededRandom('host and guest')
  identity = identityFromSeed(crypto, random.bytes(32))
  room = defaultRoomId(crypto, identity.publicKey)
  store = new MemoryStore()
  host = newHost()
  guest = newGuest()
})

describe('a join', () => {
  it('is answered once, and both sides derive the same preshared key', () => {
    const join = joinRecord(guest, beaconOf(host))
    host.handleRecord(0, 'memory', join)
    const presharedKey = host.welcome(requestOf(host)!, answer)
    const [reply, ...more] = published(host)
    expect(more).toEqual([])
    expect(reply?.box).toBe(`reply/${join.sender}`)
    guest.handleRecord(0, 'memory', reply!)
    const welcome = heard(guest).find((event) => event.type === 'welcome')
    expect(welcome).toMatchObject({ adapter: 'memory', welcome: { peer: '10.7.0.2', username: 'alice' } })
    expect(welcome?.type === 'welcome' && welcome.presharedKey).toEqual(presharedKey)
    expect(presharedKey).toHaveLength(32)
    expect(sent(guest).map((transmit) => transmit.kind)).toContain('retract')
  })

  it('is repeated byte for byte every 1 to 2 s until it is answered', () => {
    const join = joinRecord(guest, beaconOf(host))
    for (let time = 0, repeats = 0; repeats < 5; repeats += 1) {
      const due = guest.pollTimeout()!
      expect(due - time).toBeGreaterThanOrEqual(1000)
      expect(due - time).toBeLessThanOrEqual(2000)
      time = due
      guest.handleTimeout(due - 1)
      expect(sent(guest)).toEqual([])
      guest.handleTimeout(due)
      expect(sent(guest)).toEqual([{ kind: 'publish', record: join, repeat: true }])
    }
    host.handleRecord(0, 'memory', join)
    host.welcome(requestOf(host)!, answer)
    guest.handleRecord(0, 'memory', published(host)[0]!)
    expect(guest.pollTimeout()).toBeUndefined()
  })

  it('that is repeated gets the identical welcome, on the backend by which it came', () => {
    const join = joinRecord(guest, beaconOf(host))
    host.handleRecord(0, 'mqtt', join)
    host.handleRecord(0, 'dht', join)
    host.welcome(requestOf(host)!, answer)
    const first = sent(host)
    expect(first.map((transmit) => transmit.kind === 'publish' && transmit.adapter)).toEqual(['mqtt', 'dht'])
    host.handleRecord(5000, 'dns', { ...join, bytes: Uint8Array.from(join.bytes) })
    const [again, ...more] = sent(host)
    expect(more).toEqual([])
    expect(again).toEqual({ ...first[0], adapter: 'dns' })
    expect(events(host)).toEqual([])
  })

  it('cannot be led astray by copying it to another sender', () => {
    const join = joinRecord(guest, beaconOf(host))
    host.handleRecord(0, 'memory', { ...join, sender: 'mallory' })
    host.welcome(requestOf(host)!, answer)
    expect(published(host)[0]?.box).toBe(`reply/${join.sender}`)
  })

  it('can be refused, with a code and a text', () => {
    host.handleRecord(0, 'memory', joinRecord(guest, beaconOf(host)))
    host.refuse(requestOf(host)!, 'room-full', 'The room is full')
    guest.handleRecord(0, 'memory', published(host)[0]!)
    expect(heard(guest)).toContainEqual({ type: 'refused', code: 'room-full', text: 'The room is full' })
  })

  it('of an earlier epoch, truncated, or flipped in any byte is dropped and counted', () => {
    const join = joinRecord(guest, beaconOf(host))
    const tries: Uint8Array[] = [0, 1, 33, 60, join.bytes.length - 9].map((at) => {
      const bytes = Uint8Array.from(join.bytes)
      bytes[at]! ^= 1
      return bytes
    })
    tries.push(join.bytes.subarray(0, 100), join.bytes.subarray(0, -1), new Uint8Array(), random.bytes(5000))
    for (const bytes of tries) host.handleRecord(0, 'memory', { ...join, bytes })
    const later = newHost()
    sent(host)
    sent(later)
    later.handleRecord(0, 'memory', join)
    for (const machine of [host, later]) {
      expect(requestOf(machine)).toBeUndefined()
      expect(sent(machine)).toEqual([])
    }
    const total = host.counters.entries().reduce((sum, [, count]) => sum + count, 0)
    expect(total).toBe(tries.length)
    expect(later.counters.get('record-seal')).toBe(1)
  })

  it('cannot be sealed anew by whoever reads it, for the same host or another', () => {
    const beacon = beaconOf(host)
    joinRecord(guest, beacon)
    guest.handleRecord(0, 'memory', beacon)
    // A guest's message, in the hands of somebody who boxes it from a key of their own.
    const eve = crypto.boxKeyPair(random.bytes(32))
    const bob = identityFromSeed(crypto, random.bytes(32))
    const event = heard(guest).find((each) => each.type === 'host')!
    const { beacon: open } = event
    const stolen = writeMessage(crypto, bob, {
      action: 'join',
      room,
      publicKey: bob.publicKey,
      username: 'bob',
      host: identity.publicKey,
      seal: open.seal,
      epoch: open.epoch,
      box: random.bytes(32),
      wireguard: random.bytes(32),
      nonce: random.bytes(16),
      ...offer,
    })
    const bytes = sealJoin(crypto, random, eve, open.seal, stolen)!
    const record = { topic: host.topic, box: 'join', sender: 'eve', bytes, expiresInMs: 0 } as const
    host.handleRecord(0, 'memory', record)
    expect(host.counters.get('join-resealed')).toBe(1)
  })

  it('with a used nonce or WireGuard key is refused unread', () => {
    const beacon = beaconOf(host)
    const bob = identityFromSeed(crypto, random.bytes(32))
    guest.start()
    guest.handleRecord(0, 'memory', beacon)
    const [{ beacon: open }] = heard(guest) as [Extract<GuestEvent, { type: 'host' }>]
    const make = (nonce: Uint8Array, wireguard: Uint8Array): SignalRecord => {
      const box = crypto.boxKeyPair(random.bytes(32))
      const plain = writeMessage(crypto, bob, {
        action: 'join',
        room,
        publicKey: bob.publicKey,
        username: 'bob',
        host: identity.publicKey,
        seal: open.seal,
        epoch: open.epoch,
        box: box.publicKey,
        wireguard,
        nonce,
        ...offer,
      })
      const bytes = sealJoin(crypto, random, box, open.seal, plain)!
      return { topic: host.topic, box: 'join', sender: 'x', bytes, expiresInMs: 0 }
    }
    const [nonce, wireguard] = [random.bytes(16), random.bytes(32)]
    host.handleRecord(0, 'memory', make(nonce, wireguard))
    host.handleRecord(0, 'memory', make(nonce, random.bytes(32)))
    host.handleRecord(0, 'memory', make(random.bytes(16), wireguard))
    expect(events(host).filter((event) => event.type === 'join')).toHaveLength(1)
    expect(host.counters.get('join-nonce-used')).toBe(1)
    expect(host.counters.get('join-wireguard-key-used')).toBe(1)
  })

  it('is one of at most 500 records a second that are opened; 256 more wait, and then there is a puzzle', () => {
    for (let index = 0; index < 1000; index += 1) {
      const bytes = random.bytes(849)
      bytes[0] = 1
      host.handleRecord(0, 'memory', { topic: host.topic, box: 'join', sender: 'x', bytes, expiresInMs: 0 })
    }
    expect(host.counters.get('record-seal')).toBe(500)
    expect(host.counters.get('record-rate')).toBeLessThan(5)
    expect(host.counters.get('puzzle-unsolved')).toBeGreaterThan(230)
    for (let now = 0; now <= 1000; now += 10) host.handleTimeout(now)
    expect(host.counters.get('record-seal')).toBe(756)
    host.handleRecord(1000, 'memory', joinRecord(guest, published(host).at(-1)!))
    expect(requestOf(host)).toBeDefined()
  })

  it('is published when its puzzle is solved, and solved for more when a beacon asks for more', () => {
    const seal = crypto.boxKeyPair(random.bytes(32)).publicKey
    const beacon = (puzzle: number): SignalRecord => {
      const plain = writeMessage(crypto, identity, {
        action: 'host',
        room,
        publicKey: identity.publicKey,
        username: 'alice',
        seal,
        epoch: '0000000100c0ffee',
        admission: 'open',
        puzzle,
      })
      const bytes = sealBeacon(crypto, random, beaconKey(crypto, room), plain)
      return { topic: host.topic, box: 'host', sender: '0000000100c0ffee', bytes, expiresInMs: 0 }
    }
    const solved = (bytes: Uint8Array): number =>
      solvedBits(crypto, puzzleOf(crypto, '0000000100c0ffee', seal, bytes), bytes)
    const next = (): SignalRecord => {
      for (let now = 1; now < 900; now += 1) {
        if (now >= (guest.pollTimeout() ?? Infinity)) guest.handleTimeout(now)
        const [record] = published(guest)
        if (record !== undefined) return record
      }
      throw new Error('not solved')
    }
    guest.start()
    guest.handleRecord(0, 'memory', beacon(13))
    guest.join(0, { wireguard: random.bytes(32), ...offer })
    const first = next()
    expect(solved(first.bytes)).toBeGreaterThanOrEqual(13)
    guest.handleRecord(0, 'memory', beacon(0))
    guest.handleRecord(0, 'memory', beacon(16))
    const second = next()
    expect(second.sender).toBe(first.sender)
    expect(second.bytes.subarray(0, -8)).toEqual(first.bytes.subarray(0, -8))
    expect(solved(second.bytes)).toBeGreaterThanOrEqual(16)
  })

  it('that is answered is answered again every 500 ms at most, however often it comes', () => {
    const join = joinRecord(guest, beaconOf(host))
    host.handleRecord(0, 'memory', join)
    host.welcome(requestOf(host)!, answer)
    published(host)
    for (let now = 0; now < 1000; now += 1) host.handleRecord(now, 'memory', join)
    expect(published(host)).toHaveLength(2)
    expect(host.counters.get('record-repeated')).toBe(998)
  })

  it('can be added to by updates of the same guest only', () => {
    const beacon = beaconOf(host)
    host.handleRecord(0, 'memory', joinRecord(guest, beacon))
    const hash = Buffer.from(requestOf(host)!.hash).toString('hex')
    guest.update('srflx 192.0.2.7:5000')
    const update = published(guest)[0]!
    host.handleRecord(0, 'memory', update)
    expect(events(host)).toEqual([{ type: 'update', join: hash, candidates: 'srflx 192.0.2.7:5000' }])
    guest.update('srflx 192.0.2.8:5000')
    expect(published(guest)[0]?.sender).toBe(update.sender)
    const other = newGuest()
    joinRecord(other, beacon)
    other.update('srflx 192.0.2.9:5000')
    host.handleRecord(0, 'memory', published(other)[0]!)
    expect(host.counters.get('update-unknown-join')).toBe(1)
  })
})

describe('an answer', () => {
  it('to another join, or from another key, is dropped', () => {
    const beacon = beaconOf(host)
    const [mine, other] = [joinRecord(guest, beacon), newGuest()]
    host.handleRecord(0, 'memory', joinRecord(other, beacon))
    host.welcome(requestOf(host)!, answer)
    const reply = published(host)[0]!
    heard(guest)
    guest.handleRecord(0, 'memory', { ...reply, box: `reply/${mine.sender}` })
    expect(heard(guest)).toEqual([])
    expect(guest.counters.get('record-seal')).toBe(1)
  })

  it('that comes a second time changes nothing', () => {
    host.handleRecord(0, 'memory', joinRecord(guest, beaconOf(host)))
    host.welcome(requestOf(host)!, answer)
    const reply = published(host)[0]!
    guest.handleRecord(0, 'mqtt', reply)
    heard(guest)
    guest.handleRecord(0, 'dht', reply)
    expect(heard(guest)).toEqual([])
  })
})

describe('a beacon', () => {
  it('is refreshed before it expires, under the same sender', () => {
    const first = beaconOf(host)
    const due = host.pollTimeout()!
    expect(due).toBeLessThan(first.expiresInMs)
    host.handleTimeout(due)
    const again = beaconOf(host)
    expect(again.sender).toBe(first.sender)
    expect(again.bytes).not.toEqual(first.bytes)
  })

  it('of a newer epoch makes a guest join again; an older one, replayed, does not', () => {
    const old = beaconOf(host)
    joinRecord(guest, old)
    heard(guest)
    const renewed = beaconOf(newHost())
    guest.handleRecord(0, 'memory', renewed)
    expect(heard(guest).map((event) => event.type)).toEqual(['host'])
    guest.handleRecord(0, 'memory', old)
    guest.handleRecord(0, 'memory', renewed)
    expect(heard(guest)).toEqual([])
  })

  it('of an own earlier epoch is taken back; a newer one of our key is overtaken', () => {
    const old = beaconOf(host)
    const second = newHost()
    const newer = beaconOf(second)
    second.handleRecord(0, 'memory', old)
    expect(sent(second)).toEqual([
      { kind: 'retract', key: { topic: old.topic, box: 'host', sender: old.sender } },
    ])
    sent(host)
    events(host)
    host.handleRecord(0, 'memory', newer)
    const overtaking = beaconOf(host)
    expect(overtaking.sender > newer.sender).toBe(true)
    expect(events(host).map((event) => event.type)).toEqual(['epoch'])
  })

  it('is believed only from a key whose hash contains the room id, and only from the key that is expected', () => {
    const mallory = identityFromSeed(crypto, random.bytes(32))
    const forged = sealBeacon(
      crypto,
      random,
      beaconKey(crypto, room),
      writeMessage(crypto, mallory, {
        action: 'host',
        room,
        publicKey: mallory.publicKey,
        username: 'alice',
        seal: random.bytes(32),
        epoch: 'ffffffffffffffff',
        admission: 'open',
        puzzle: 0,
      }),
    )
    guest.handleRecord(0, 'memory', { ...beaconOf(host), bytes: forged })
    expect(guest.counters.get('beacon-key-not-of-room')).toBe(1)
    const wary = newGuest({ expected: { hostKey: mallory.publicKey } })
    wary.handleRecord(0, 'memory', beaconOf(newHost()))
    expect(wary.counters.get('beacon-of-another-host')).toBe(1)
    expect([...heard(guest), ...heard(wary)]).toEqual([])
  })

  it('cannot be read without the room id', () => {
    const topicOnly = newGuest({ room: `${room.slice(0, -1)}${room.endsWith('0') ? '1' : '0'}` })
    const beacon = beaconOf(host)
    topicOnly.handleRecord(0, 'memory', { ...beacon, topic: topicOnly.topic })
    expect(topicOnly.counters.get('record-seal')).toBe(1)
    expect(topicOnly.topic).not.toBe(host.topic)
  })

  it('is taken back on stop, once', () => {
    const { sender } = beaconOf(host)
    host.stop()
    host.stop()
    expect(sent(host)).toEqual([{ kind: 'retract', key: { topic: host.topic, box: 'host', sender } }])
    expect(host.pollTimeout()).toBeUndefined()
  })
})

describe('an epoch', () => {
  it('ends at three quarters of its memory, and nothing is forgotten within one', () => {
    const beacon = beaconOf(host)
    const bob = identityFromSeed(crypto, random.bytes(32))
    guest.start()
    guest.handleRecord(0, 'memory', beacon)
    const [{ beacon: open }] = heard(guest) as [Extract<GuestEvent, { type: 'host' }>]
    const box = crypto.boxKeyPair(random.bytes(32))
    events(host)
    let [joins, epochs] = [0, 0]
    for (let index = 0; index < 768; index += 1) {
      const plain = writeMessage(crypto, bob, {
        action: 'join',
        room,
        publicKey: bob.publicKey,
        username: 'bob',
        host: identity.publicKey,
        seal: open.seal,
        epoch: open.epoch,
        box: box.publicKey,
        wireguard: random.bytes(32),
        nonce: random.bytes(16),
        ...offer,
      })
      const bytes = sealJoin(crypto, random, box, open.seal, plain)!
      host.handleRecord(index * 10, 'memory', {
        topic: host.topic,
        box: 'join',
        sender: 'x',
        bytes,
        expiresInMs: 0,
      })
      for (const event of events(host)) {
        if (event.type === 'join') {
          joins += 1
          host.welcome(event.request, answer)
        } else {
          expect(index).toBe(767)
          epochs += 1
        }
      }
    }
    expect([joins, epochs]).toEqual([768, 1])
    expect(beaconOf(host).sender > beacon.sender).toBe(true)
  }, 60_000)
})
