/** By what two replicas see whether they have the same: one hash over all streams (docs/protocol.md, Payloads). */
import { toHex } from '../core/encoding.js'
import type { Crypto } from '../core/ports.js'
import { hashBytes } from './entry.js'
import { DigestBytes, HeadBytes, StreamBytes, type StreamState } from './vector.js'

/** author ‖ incarnation ‖ have (4) ‖ head (8). */
const LineBytes: number = StreamBytes + 4 + HeadBytes

/**
 * The digest over what a replica has, of streams that change one at a time. What it hashes lies ready: a hub
 * says its digest to every guest after every message.
 */
export class VectorDigest {
  readonly #crypto: Pick<Crypto, 'sha256'>
  /** Those of which there is something, ascending; their lines are in the same order. */
  readonly #streams: string[] = []
  #lines = new Uint8Array(16 * LineBytes)
  #value: string | undefined

  constructor(crypto: Pick<Crypto, 'sha256'>) {
    this.#crypto = crypto
  }

  /** The first 8 bytes, in hex, of the SHA-256 over the lines of all streams. */
  get value(): string {
    const lines = this.#lines.subarray(0, this.#streams.length * LineBytes)
    this.#value ??= toHex(this.#crypto.sha256(lines).subarray(0, DigestBytes))
    return this.#value
  }

  /** Notes what there is of a stream now. */
  set(stream: string, { have, head }: StreamState): void {
    this.#value = undefined
    const at = this.#placeOf(stream)
    const isThere = this.#streams[at] === stream
    if (have === 0) {
      if (isThere) this.#remove(at)
      return
    }
    if (!isThere) this.#insert(at, stream)
    const offset = at * LineBytes
    this.#lines.set(hashBytes(stream, StreamBytes), offset)
    new DataView(this.#lines.buffer).setUint32(offset + StreamBytes, have)
    this.#lines.set(hashBytes(head, HeadBytes), offset + StreamBytes + 4)
  }

  /** Where a stream stands, or belongs. */
  #placeOf(stream: string): number {
    let [from, to] = [0, this.#streams.length]
    while (from < to) {
      const middle = (from + to) >> 1
      if ((this.#streams[middle] ?? '') < stream) from = middle + 1
      else to = middle
    }
    return from
  }

  #insert(at: number, stream: string): void {
    const before = this.#lines
    if ((this.#streams.length + 1) * LineBytes > before.length) {
      this.#lines = new Uint8Array(2 * before.length)
      this.#lines.set(before)
    }
    this.#lines.copyWithin((at + 1) * LineBytes, at * LineBytes, this.#streams.length * LineBytes)
    this.#streams.splice(at, 0, stream)
  }

  #remove(at: number): void {
    this.#lines.copyWithin(at * LineBytes, (at + 1) * LineBytes, this.#streams.length * LineBytes)
    this.#streams.splice(at, 1)
  }
}

/** The digest of whoever has this and nothing else. */
export function digestOf(
  crypto: Pick<Crypto, 'sha256'>,
  states: Iterable<readonly [stream: string, state: StreamState]>,
): string {
  const digest = new VectorDigest(crypto)
  for (const [stream, state] of states) digest.set(stream, state)
  return digest.value
}
