/**
 * Ten thousand records a second from strangers, of every kind that they can make: an honest guest that comes a
 * second after them is in the room within five. With puzzle and sample taken away the same floods keep it out.
 */
import { box as sealing, secretbox } from 'tweetnacl'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { concatenate } from '../../src/core/encoding.js'
import { identityFromSeed } from '../../src/core/identity.js'
import { type Beacon, readMessage, writeMessage } from '../../src/core/messages.js'
import { PuzzleSolver, puzzleOf, withSolution } from '../../src/core/puzzle.js'
import { PuzzleLevel } from '../../src/core/puzzle-level.js'
import { Reservoir } from '../../src/core/reservoir.js'
import { beaconKey, openBeacon } from '../../src/core/sealing.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from '../sim/seeded-random.js'
import { Calm, type SimulatedMember } from '../sim/simulated-internet.js'
import { SimulatedRoom } from '../sim/simulated-room.js'

const RecordsPerSecond = 10_000

/** Makes the records of strangers. Those that are numbered are all different. */
class Flooder {
  readonly #random = new SeededRandom('flooder')
  readonly #box = crypto.boxKeyPair(this.#random.bytes(32))
  readonly #identity = identityFromSeed(crypto, this.#random.bytes(32))
  readonly #sign = crypto.signer(this.#identity.secretKey)
  readonly #simulated: SimulatedRoom
  #made = 0
  #beacon: Beacon | undefined
  #sealedWith: Uint8Array | undefined
  readonly #replayed: Uint8Array[] = []

  constructor(simulated: SimulatedRoom) {
    this.#simulated = simulated
  }

  /** Reads the host's beacon, and begins anew where it is of another epoch. */
  look(): void {
    const { internet, room } = this.#simulated
    const sealed = internet.beacons.at(-1)!
    const { message } = readMessage(crypto, openBeacon(crypto, beaconKey(crypto, room), sealed.bytes))
    if (message.action !== 'host' || message.epoch === this.#beacon?.epoch) return
    this.#beacon = message
    this.#sealedWith = sealing.before(message.seal, this.#box.secretKey)
    this.#replayed.length = 0
  }

  noise(): Uint8Array {
    return this.#numbered(new Uint8Array(849).fill(99), 40)
  }

  truncated(): Uint8Array {
    return this.noise().subarray(0, 700)
  }

  /** Rightly made but for one byte: nobody can open it. */
  wronglySealed(): Uint8Array {
    const record = Uint8Array.from(this.#replayedJoin())
    record[500]! ^= 1
    return this.#numbered(record, 200)
  }

  replayed(): Uint8Array {
    return this.#replayedJoin()
  }

  join(): Uint8Array {
    const { seal, epoch, publicKey, room } = this.#beacon!
    this.#made += 1
    const plain = writeMessage({ sign: this.#sign }, this.#identity, {
      action: 'join',
      room,
      publicKey: this.#identity.publicKey,
      username: 'stranger',
      host: publicKey,
      seal,
      epoch,
      box: this.#box.publicKey,
      wireguard: this.#numbered(this.#random.bytes(32), 8),
      nonce: this.#numbered(new Uint8Array(16), 8),
      ice: 'AAAABBBB CCCCDDDDEEEEFFFFGGGGHHHH',
      candidates: 'host 203.0.113.77:7',
    })
    const padded = new Uint8Array(768)
    padded.set(plain)
    padded[plain.length] = 0x80
    const nonce = this.#numbered(new Uint8Array(24), 0)
    const sealed = secretbox(padded, nonce, this.#sealedWith!)
    return concatenate(Uint8Array.of(1), this.#box.publicKey, nonce, sealed, new Uint8Array(8))
  }

  solvedJoin(): Uint8Array {
    const record = this.join()
    const solver = new PuzzleSolver(crypto, puzzleOf(crypto, this.#beacon!.epoch, this.#beacon!.seal, record))
    solver.solve(4, 1000)
    return withSolution(record, solver.solution)
  }

  #replayedJoin(): Uint8Array {
    if (this.#replayed.length < 20) this.#replayed.push(this.join())
    this.#made += 1
    return this.#replayed[this.#made % this.#replayed.length]!
  }

  #numbered(bytes: Uint8Array, at: number): Uint8Array {
    bytes[0] = at === 40 ? 1 : bytes[0]!
    new DataView(bytes.buffer).setUint32(at, this.#made++)
    return bytes
  }
}

type Kind = Exclude<keyof Flooder, 'look'>

const GuestComesMs = 1000
const PatienceMs = 5000
/** How long a flood goes on when the guest is in: what is bounded shows its bounds long before. */
const AfterwardsMs = 500

/** @returns after how long the guest was in; undefined where it was not after 5 s */
function flood(kind: Kind): { host: SimulatedMember; joinedAfterMs: number | undefined } {
  const simulated = new SimulatedRoom(`flood ${kind}`, Calm)
  const { internet } = simulated
  const host = simulated.startHost()
  internet.run(1000)
  const flooder = new Flooder(simulated)
  let guest: SimulatedMember | undefined
  let joinedAfterMs: number | undefined
  const endMs = (): number =>
    GuestComesMs + (joinedAfterMs === undefined ? PatienceMs : joinedAfterMs + AfterwardsMs)
  for (let passedMs = 0; passedMs < endMs(); passedMs += 1) {
    flooder.look()
    for (let sent = 0; sent < RecordsPerSecond / 1000; sent += 1) {
      const record = {
        topic: host.machine.topics[0]!,
        box: 'join' as const,
        sender: 'x',
        bytes: flooder[kind](),
        expiresInMs: 1000,
      }
      internet.input(host, (machine, now) => machine.handleRecord(now, 'simulated', record))
    }
    // Between two of the flood's ticks: else all that the guest sends would come just before one.
    internet.run(0.3)
    if (passedMs === GuestComesMs) guest = simulated.startGuest('honest')
    internet.run(0.7)
    if (guest?.of('joined').length === 1) joinedAfterMs ??= passedMs - GuestComesMs
  }
  return { host, joinedAfterMs }
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a host that gets 10,000 records a second', () => {
  it.each([
    ['random bytes', 'noise'],
    ['truncated ones', 'truncated'],
    ['joins sealed wrongly', 'wronglySealed'],
    ['joins that came before', 'replayed'],
    ['true joins, with no puzzle solved', 'join'],
    ['true joins, solved for few bits', 'solvedJoin'],
  ] as const)(
    'lets an honest guest in within 5 s: %s',
    (_, kind) => {
      const offer = vi.spyOn(Reservoir.prototype, 'offer')
      const { host, joinedAfterMs } = flood(kind)
      expect(joinedAfterMs).toBeLessThan(PatienceMs)
      expect(host.machine.ended).toBeUndefined()
      for (const reservoir of offer.mock.contexts) {
        expect((reservoir as Reservoir<unknown>).size).toBeLessThanOrEqual(256)
      }
    },
    120_000,
  )

  it.each([['noise'], ['wronglySealed']] as const)(
    'would keep it out without puzzle and sample: %s',
    (kind) => {
      vi.spyOn(PuzzleLevel.prototype, 'bits', 'get').mockReturnValue(0)
      vi.spyOn(Reservoir.prototype, 'offer').mockReturnValue(false)
      expect(flood(kind).joinedAfterMs).toBeUndefined()
    },
    120_000,
  )
})
