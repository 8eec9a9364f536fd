/** Joins, updates, beacons and answers that are right but for one thing: whoever may sign and seal them. */
import { beforeEach, describe, expect, it } from 'vitest'
import { Guest, type GuestEvent } from '../../src/core/guest.js'
import { Host, type HostEvent } from '../../src/core/host.js'
import { type Identity, identityFromSeed } from '../../src/core/identity.js'
import type { Beacon, Join, Message, Welcome } from '../../src/core/messages.js'
import { writeMessage } from '../../src/core/messages.js'
import type { KeyPair } from '../../src/core/ports.js'
import { defaultRoomId } from '../../src/core/room-id.js'
import { beaconKey, openJoin, sealBeacon, sealJoin, sealReply } from '../../src/core/sealing.js'
import type { SignalTransmit } from '../../src/core/signal.js'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { MemoryStore } from '../sim/memory-store.js'
import { SeededRandom } from '../sim/seeded-random.js'

const offer = { ice: 'u7Gh3kAb 0123456789abcdefghijklmn', candidates: 'host 192.0.2.1:5000' }

let random: SeededRandom
let alice: Identity
let bob: Identity
let mallory: Identity
let room: string

const drain = <T>(poll: () => T | undefined): T[] => {
  const all: T[] = []
  for (let next = poll(); next !== undefined; next = poll()) all.push(next)
  return all
}
const events = (host: Host): HostEvent[] => drain(() => host.pollEvent())
const heard = (guest: Guest): GuestEvent[] => drain(() => guest.pollEvent())
const sent = (machine: Host | Guest): SignalTransmit[] => drain(() => machine.pollTransmit())
const published = (machine: Host | Guest): SignalRecord[] =>
  sent(machine).flatMap((transmit) => (transmit.kind === 'publish' ? [transmit.record] : []))

beforeEach(() => {
  random = new SeededRandom('forgeries')
  ;[alice, bob, mallory] = [0, 1, 2].map(() => identityFromSeed(crypto, random.bytes(32))) as [
    Identity,
    Identity,
    Identity,
  ]
  room = defaultRoomId(crypto, alice.publicKey)
})

describe('a host', () => {
  let host: Host
  let beacon: Beacon
  let box: KeyPair

  const put = (by: Identity, from: KeyPair, message: Message): void => {
    const bytes = sealJoin(crypto, random, from, beacon.seal, writeMessage(crypto, by, message))!
    host.handleRecord(0, 'memory', { topic: host.topic, box: 'join', sender: 'x', bytes, expiresInMs: 0 })
  }
  const joinOf = (change: Partial<Join> = {}): Join => ({
    action: 'join',
    room,
    publicKey: bob.publicKey,
    username: 'bob',
    host: alice.publicKey,
    seal: beacon.seal,
    epoch: beacon.epoch,
    box: box.publicKey,
    wireguard: random.bytes(32),
    nonce: random.bytes(16),
    ...offer,
    ...change,
  })

  beforeEach(() => {
    host = new Host({ identity: alice, room, username: 'alice', crypto, random, store: new MemoryStore() })
    host.start(0)
    const reader = new Guest({ identity: bob, room, username: 'bob', crypto, random })
    reader.handleRecord(0, 'memory', published(host).find((record) => record.box === 'host')!)
    ;[{ beacon }] = heard(reader) as [Extract<GuestEvent, { type: 'host' }>]
    box = crypto.boxKeyPair(random.bytes(32))
    events(host)
  })

  it('takes a join that names it', () => {
    put(bob, box, joinOf())
    expect(events(host)).toHaveLength(1)
  })

  it.each([
    ['room', 'join-other-room', () => ({ room: defaultRoomId(crypto, mallory.publicKey) })],
    ['host', 'join-other-host', () => ({ host: mallory.publicKey })],
    ['epoch', 'join-other-epoch', () => ({ epoch: '00000000c0ffee00' })],
    ['sealing key', 'join-other-epoch', () => ({ seal: random.bytes(32) })],
  ] as const)('takes no join that names another %s', (_what, code, change) => {
    put(bob, box, joinOf(change()))
    expect(events(host)).toEqual([])
    expect(host.counters.get(code)).toBe(1)
  })

  it('takes no update by another than the join’s guest, nor boxed by another', () => {
    put(bob, box, joinOf())
    const [event] = events(host) as [Extract<HostEvent, { type: 'join' }>]
    const update = {
      action: 'update',
      room,
      publicKey: bob.publicKey,
      epoch: beacon.epoch,
      inReplyTo: event.request.hash,
      candidates: 'host 203.0.113.66:53',
    } as const
    put(mallory, box, { ...update, publicKey: mallory.publicKey })
    expect(events(host)).toEqual([])
    put(bob, crypto.boxKeyPair(random.bytes(32)), update)
    expect(events(host)).toEqual([])
    expect(host.counters.get('update-unknown-join')).toBe(2)
    put(bob, box, update)
    expect(events(host)).toHaveLength(1)
  })

  it('begins a greater epoch at every start, whatever the chance in it', () => {
    const store = new MemoryStore()
    const epochs = Array.from({ length: 8 }, () => {
      const next = new Host({ identity: alice, room, username: 'alice', crypto, random, store })
      next.start(0)
      return published(next)[0]!.sender
    })
    expect(epochs.toSorted()).toEqual(epochs)
  })

  it('is moved by no beacon of another key, and takes back none that another sender has laid', () => {
    const lay = (by: Identity, epoch: string, sender = epoch): void => {
      const message: Beacon = { ...beacon, publicKey: by.publicKey, epoch }
      const bytes = sealBeacon(crypto, random, beaconKey(crypto, room), writeMessage(crypto, by, message))
      host.handleRecord(0, 'memory', { topic: host.topic, box: 'host', sender, bytes, expiresInMs: 0 })
    }
    lay(mallory, 'ffffffff00000000')
    lay(mallory, '0000000000000001')
    expect(events(host)).toEqual([])
    expect(sent(host)).toEqual([])
    expect(host.counters.get('beacon-of-another-host')).toBe(2)
    // An own beacon of before, which somebody has laid again under the name of another record.
    lay(alice, '0000000000000001', beacon.epoch.replace(/.$/, 'x'))
    expect(sent(host)).toEqual([])
  })
})

describe('a guest', () => {
  let guest: Guest
  let seal: KeyPair
  let join: { readonly record: SignalRecord; readonly message: Uint8Array; readonly box: Uint8Array }
  const epoch = '0000000100c0ffee'

  const answer = (by: Identity, change: Partial<Welcome> = {}): void => {
    const welcome: Welcome = {
      action: 'welcome',
      room,
      peer: '10.7.0.2',
      publicKey: by.publicKey,
      method: 'SHA-512',
      username: 'alice',
      address: '192.0.2.9:5000',
      wireguard: random.bytes(32),
      epoch,
      inReplyTo: crypto.sha512(join.message),
      subnet: '10.7.0.0/16',
      ...offer,
      ...change,
    }
    const bytes = sealReply(crypto, random, seal, join.box, writeMessage(crypto, by, welcome))!
    const box = `reply/${join.record.sender}` as const
    guest.handleRecord(0, 'memory', { ...join.record, box, sender: epoch, bytes })
  }

  beforeEach(() => {
    guest = new Guest({ identity: bob, room, username: 'bob', crypto, random })
    seal = crypto.boxKeyPair(random.bytes(32))
    const beacon: Beacon = {
      action: 'host',
      room,
      publicKey: alice.publicKey,
      username: 'alice',
      seal: seal.publicKey,
      epoch,
      admission: 'open',
      puzzle: 0,
    }
    const bytes = sealBeacon(crypto, random, beaconKey(crypto, room), writeMessage(crypto, alice, beacon))
    guest.start()
    guest.handleRecord(0, 'memory', { topic: guest.topic, box: 'host', sender: epoch, bytes, expiresInMs: 0 })
    guest.join(0, { wireguard: random.bytes(32), ...offer })
    const record = published(guest).find((each) => each.box === 'join')!
    join = { record, ...openJoin(crypto, seal, record.bytes) }
    heard(guest)
  })

  it('takes the answer of its host to its join', () => {
    answer(alice)
    expect(heard(guest)).toMatchObject([{ type: 'welcome' }])
  })

  it.each([
    ['signed by another key', () => answer(mallory)],
    ['to an earlier join', () => answer(alice, { inReplyTo: random.bytes(64) })],
    ['for another room', () => answer(alice, { room: defaultRoomId(crypto, mallory.publicKey) })],
    ['of another epoch', () => answer(alice, { epoch: '0000000000c0ffee' })],
  ])('takes no answer that is rightly sealed, and %s', (_what, forge) => {
    forge()
    expect(heard(guest)).toEqual([])
    expect(guest.counters.get('reply-other-join')).toBe(1)
    answer(alice)
    expect(heard(guest)).toMatchObject([{ type: 'welcome' }])
  })
})
