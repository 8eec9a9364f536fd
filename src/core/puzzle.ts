/**
 * The puzzle that a host sets to joins while it has more records than it can check (docs/protocol.md, Puzzle).
 * Solving takes 2^bits hashes on average, checking takes one, before any key is used. It covers epoch, sealing
 * key and the sealed join, so that nothing can be solved beforehand, or once for many joins.
 */
import { concatenate, utf8 } from './encoding.js'
import type { Crypto } from './ports.js'

/** A solution stands at the end of a join record. */
export const SolutionBytes = 8
/** The hardest puzzle: some 2 s of a guest's work. */
export const MaxPuzzleBits = 20

type Hash = Pick<Crypto, 'sha256'>

/** What a solution is for, 32 bytes. It also names the sealed join, whatever its solution is. */
export function puzzleOf(crypto: Hash, epoch: string, seal: Uint8Array, record: Uint8Array): Uint8Array {
  const sealed = record.subarray(0, -SolutionBytes)
  return crypto.sha256(concatenate(utf8('gonet/1 puzzle'), utf8(epoch), seal, sealed))
}

/** For how many bits the record's solution is good. */
export function solvedBits(crypto: Hash, puzzle: Uint8Array, record: Uint8Array): number {
  return leadingZeroBits(crypto.sha256(concatenate(puzzle, record.subarray(-SolutionBytes))))
}

/** The record with another solution. */
export function withSolution(record: Uint8Array, solution: Uint8Array): Uint8Array {
  return concatenate(record.subarray(0, -SolutionBytes), solution)
}

/** Solves one puzzle, some tries at a time. What was found stays found when more is asked for. */
export class PuzzleSolver {
  readonly #crypto: Hash
  /** The puzzle, and the solution that is tried next. */
  readonly #input: Uint8Array
  readonly #view: DataView
  #tried = 0
  #bits = -1
  #best: Uint8Array = new Uint8Array(SolutionBytes)

  constructor(crypto: Hash, puzzle: Uint8Array) {
    this.#crypto = crypto
    this.#input = concatenate(puzzle, this.#best)
    this.#view = new DataView(this.#input.buffer)
  }

  /** The best solution so far. */
  get solution(): Uint8Array {
    return this.#best
  }

  isSolved(bits: number): boolean {
    return bits <= this.#bits || bits === 0
  }

  /** Tries at most `tries` solutions. @returns whether there is one for so many bits */
  solve(bits: number, tries: number): boolean {
    for (let left = tries; left > 0 && !this.isSolved(bits); left -= 1) {
      this.#view.setUint32(this.#input.length - 4, this.#tried)
      this.#tried += 1
      const found = leadingZeroBits(this.#crypto.sha256(this.#input))
      if (found <= this.#bits) continue
      this.#bits = found
      this.#best = this.#input.slice(-SolutionBytes)
    }
    return this.isSolved(bits)
  }
}

function leadingZeroBits(hash: Uint8Array): number {
  const first = hash.findIndex((byte) => byte !== 0)
  return first < 0 ? 8 * hash.length : 8 * first + Math.clz32(hash[first] ?? 0) - 24
}
