import { identityFromSeed, keyHash } from '../../src/core/identity.js'
import type { RoomId } from '../../src/core/room-id.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { SeededRandom } from './seeded-random.js'

const Digits = 6

/** Two host keys that may both claim one short room id: any two of some sixty keys have six digits in common. */
export function twoHostsOfOneRoom(): {
  readonly room: RoomId
  readonly seeds: readonly [Uint8Array, Uint8Array]
} {
  const random = new SeededRandom('two hosts')
  const owners = new Map<string, Uint8Array>()
  while (true) {
    const seed = random.bytes(32)
    const hash = keyHash(crypto, identityFromSeed(crypto, seed).publicKey)
    for (let at = 0; at + Digits <= hash.length; at += 1) {
      const room = hash.slice(at, at + Digits)
      const other = owners.get(room)
      if (other !== undefined && other !== seed) return { room, seeds: [other, seed] }
      owners.set(room, seed)
    }
  }
}
