import { hash } from 'node:crypto'
import type { Random } from '../../src/core/ports.js'

/** A Random that gives the same for the same seed: SHA-256 in counter mode. */
export class SeededRandom implements Random {
  readonly #seed: string
  #counter = 0
  #pool = Buffer.alloc(0)

  constructor(seed: string | number) {
    this.#seed = String(seed)
  }

  bytes(length: number): Uint8Array {
    while (this.#pool.length < length) {
      const block = hash('sha256', `${this.#seed}/${this.#counter}`, 'buffer')
      this.#counter += 1
      this.#pool = Buffer.concat([this.#pool, block])
    }
    const bytes = new Uint8Array(this.#pool.subarray(0, length))
    this.#pool = this.#pool.subarray(length)
    return bytes
  }

  fraction(): number {
    const bytes = this.bytes(6)
    return new DataView(bytes.buffer).getUint32(0) / 2 ** 32
  }

  /** A random of its own for a part of the simulation: what one part draws does not change another's. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#seed}/${name}`)
  }
}
