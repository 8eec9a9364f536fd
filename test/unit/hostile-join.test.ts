/** Joins by strangers who know the room id: whatever they bring, the room and its members are unharmed. */
import { describe, expect, it } from 'vitest'
import { identityFromSeed } from '../../src/core/identity.js'
import type { Join } from '../../src/core/messages.js'
import { readMessage, writeMessage } from '../../src/core/messages.js'
import { beaconKey, openBeacon, sealJoin } from '../../src/core/sealing.js'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { Calm, type SimulatedMember } from '../sim/simulated-internet.js'
import { SimulatedRoom } from '../sim/simulated-room.js'

/** A stranger that has read the beacon, and makes joins of its own. */
class Stranger {
  readonly #random: SeededRandom
  readonly #simulated: SimulatedRoom
  readonly #host: SimulatedMember

  constructor(simulated: SimulatedRoom, host: SimulatedMember) {
    this.#random = new SeededRandom('stranger')
    this.#simulated = simulated
    this.#host = host
  }

  join(wrong: Partial<Join> = {}): void {
    const { internet, room } = this.#simulated
    const sealed = internet.beacons.at(-1)!
    const { message } = readMessage(crypto, openBeacon(crypto, beaconKey(crypto, room), sealed.bytes))
    if (message.action !== 'host') throw new Error('no beacon')
    const identity = identityFromSeed(crypto, this.#random.bytes(32))
    const box = crypto.boxKeyPair(this.#random.bytes(32))
    const join: Join = {
      action: 'join',
      room,
      publicKey: identity.publicKey,
      username: 'stranger',
      host: message.publicKey,
      seal: message.seal,
      epoch: message.epoch,
      box: box.publicKey,
      wireguard: crypto.boxKeyPair(this.#random.bytes(32)).publicKey,
      nonce: this.#random.bytes(16),
      ice: 'AAAABBBB CCCCDDDDEEEEFFFFGGGGHHHH',
      candidates: 'host 203.0.113.77:7',
      ...wrong,
    }
    // node:crypto signs the same, and a hundred times as fast.
    const quick = { sign: (bytes: Uint8Array) => crypto.signer(identity.secretKey)(bytes) }
    const bytes = sealJoin(crypto, this.#random, box, message.seal, writeMessage(quick, identity, join))!
    const record: SignalRecord = { topic: sealed.topic, box: 'join', sender: 'x', bytes, expiresInMs: 1000 }
    internet.input(this.#host, (machine, now) => machine.handleRecord(now, 'simulated', record))
  }
}

function setUp(): { simulated: SimulatedRoom; host: SimulatedMember; stranger: Stranger } {
  const simulated = new SimulatedRoom('hostile joins', Calm)
  const host = simulated.startHost()
  simulated.internet.run(1000)
  return { simulated, host, stranger: new Stranger(simulated, host) }
}

function expectHonestGuestJoins(simulated: SimulatedRoom): void {
  const guest = simulated.startGuest('honest')
  simulated.internet.runUntil('joined', 5000, () => guest.of('joined').length === 1)
}

describe('a room', () => {
  it.each([
    ['WireGuard key of small order', { wireguard: new Uint8Array(32) }],
    ['WireGuard key of small order', { wireguard: Uint8Array.of(1, ...new Uint8Array(31)) }],
    ['candidate that is none', { candidates: 'host 999.1.1.1:1' }],
    ['candidate in another form than the canonical', { candidates: 'host [2001:db8:0::1]:1' }],
  ] as const)('outlives a join with a %s', (_, wrong) => {
    const { simulated, host, stranger } = setUp()
    stranger.join(wrong)
    simulated.internet.run(1000)
    expect(host.machine.ended).toBeUndefined()
    expectHonestGuestJoins(simulated)
  })

  it('outlives more unusable joins than it has patience for', () => {
    const { simulated, host, stranger } = setUp()
    for (let index = 0; index < 300; index += 1) {
      stranger.join({ candidates: 'host 999.1.1.1:1' })
      simulated.internet.run(10)
    }
    expect(new Map(host.machine.dropped()).get('join-unusable')).toBe(300)
    expectHonestGuestJoins(simulated)
  })

  it('outlives more joins than tunnels can be set up at a time, in several epochs', () => {
    const { simulated, host, stranger } = setUp()
    const alice = simulated.startGuest('alice')
    simulated.internet.runUntil('joined', 5000, () => alice.of('joined').length === 1)
    for (let index = 0; index < 800; index += 1) {
      stranger.join()
      simulated.internet.run(12)
    }
    expect(simulated.internet.beacons.at(-1)!.sender).toMatch(/^00000002/)
    expect(host.machine.ended).toBeUndefined()
    expect(host.machine.members).toHaveLength(2)
    expectHonestGuestJoins(simulated)
    simulated.internet.post(host, 'still here')
    simulated.internet.runUntil('delivered', 5000, () => host.machine.undelivered === 0)
    expect(alice.texts).toEqual(['still here'])
  }, 60_000)
})
