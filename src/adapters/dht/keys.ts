/** What host and guest derive: where they meet in the DHT, and keys for what lies there. */
import { createHash, hkdfSync } from 'node:crypto'
import nacl from 'tweetnacl'
import type { Random } from '../../core/ports.js'
import type { Topic } from '../../core/signalling-adapter.js'

const Label = 'gonet/1/dht'

/** Where hosts announce themselves, and where guests do that cannot connect. 32 bytes. */
export function meetingPoint(topic: Topic, of: 'host' | 'inbox'): Buffer {
  return hash(`${Label}/${of}/${topic}`)
}

/** Seals what lies in the DHT for all who know the topic, so that the nodes that keep it cannot read it. */
export function topicKey(topic: Topic): Buffer {
  return hash(`${Label}/seal/${topic}`)
}

/** A key pair for X25519, whose public half stands in a mailbox. */
export class ExchangeKey {
  readonly publicKey: Uint8Array
  readonly #secretKey: Uint8Array

  constructor(random: Random) {
    this.#secretKey = random.bytes(32)
    this.publicKey = nacl.scalarMult.base(this.#secretKey)
  }

  /**
   * What only the owners of both exchange keys can derive: the seed of the key pair under which the host
   * answers a guest, and the key that seals the answer. Undefined for a public key of small order.
   */
  answerKeys(
    theirs: Uint8Array,
    { hostKey, guestKey }: { readonly hostKey: Uint8Array; readonly guestKey: Uint8Array },
  ): { readonly seed: Buffer; readonly sealingKey: Buffer } | undefined {
    const shared = nacl.scalarMult(this.#secretKey, theirs)
    if (shared.every((byte) => byte === 0)) return undefined
    const salt = Buffer.concat([hostKey, guestKey])
    const derived = Buffer.from(hkdfSync('sha256', shared, salt, `${Label}/answer`, 64))
    return { seed: derived.subarray(0, 32), sealingKey: derived.subarray(32) }
  }
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
