/** Joins that wait until a store that hosts share has given an address (docs/decisions/0010). */
import type { AddressClaim, AddressRequest, AddressTransmit, HeldAddress } from '../core/address-allocator.js'
import { concatenate, toBase32, toBase64, toHex, utf8 } from '../core/encoding.js'
import type { JoinRequest } from '../core/host.js'
import type { Identity } from '../core/identity.js'
import type { Crypto, Random } from '../core/ports.js'
import type { Topic } from '../core/signalling-adapter.js'

/** How long a join waits for the store: a guest gives up after 30 s. */
const AnswerMs = 3_000
const NonceBytes = 24

export interface AddressRequestsOptions {
  readonly topic: Topic
  readonly identity: Identity
  readonly crypto: Crypto
  readonly random: Random
}

interface Waiting {
  readonly request: JoinRequest
  readonly until: number
}

export class AddressRequests {
  readonly #options: AddressRequestsOptions
  /** Every host of the room has them, and nobody else. */
  readonly #sealKey: Uint8Array
  readonly #holderKey: Uint8Array
  /** By the join's hash in hex, the oldest first. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #transmits: AddressTransmit[] = []

  constructor(options: AddressRequestsOptions) {
    this.#options = options
    const { crypto, identity } = options
    const seed = identity.secretKey.subarray(0, 32)
    this.#sealKey = crypto.hkdfSha256(seed, undefined, 'gonet/1 address seal', 32)
    this.#holderKey = crypto.hkdfSha256(seed, undefined, 'gonet/1 address holder', 32)
  }

  /** Whether a join waits, by its hash in hex. */
  has(join: string): boolean {
    return this.#waiting.has(join)
  }

  ask(now: number, request: JoinRequest, wishes: Omit<AddressRequest, keyof AddressClaim>): void {
    const id = toHex(request.hash)
    this.#waiting.set(id, { request, until: now + AnswerMs })
    const { publicKey, username } = request.join
    const claim = this.#claim(publicKey, username)
    this.#transmits.push({ kind: 'allocate', id, request: { ...claim, ...wishes } })
  }

  /** The join that has waited for this answer; undefined where it waits no more. */
  take(id: string): JoinRequest | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting?.request
  }

  /** A join that has waited for too long. */
  takeOverdue(now: number): JoinRequest | undefined {
    const [first] = this.#waiting
    return first !== undefined && now >= first[1].until ? this.take(first[0]) : undefined
  }

  keep(publicKey: Uint8Array, name: string, address: HeldAddress): void {
    this.#transmits.push({ kind: 'keep', claim: this.#claim(publicKey, name), address })
  }

  release(publicKey: Uint8Array): void {
    const claim = { topic: this.#options.topic, holder: this.#holder(publicKey) }
    this.#transmits.push({ kind: 'release', claim })
  }

  pollTransmit(): AddressTransmit | undefined {
    return this.#transmits.shift()
  }

  pollTimeout(): number | undefined {
    const [first] = this.#waiting.values()
    return first?.until
  }

  #claim(publicKey: Uint8Array, name: string): AddressClaim {
    const { crypto, random, topic } = this.#options
    const readable = JSON.stringify({ key: toBase64(publicKey), name })
    const nonce = random.bytes(NonceBytes)
    const sealed = concatenate(nonce, crypto.secretbox(utf8(readable), nonce, this.#sealKey))
    return { topic, holder: this.#holder(publicKey), sealed, readable }
  }

  #holder(publicKey: Uint8Array): string {
    return toBase32(this.#options.crypto.hmacSha256(this.#holderKey, publicKey)).slice(0, 32)
  }
}
