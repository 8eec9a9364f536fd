/**
 * What entries may name as what was there before them, and the Lamport times that follow from it
 * (docs/protocol.md, Entries).
 */
import { type Entry, MaxParents, MaxTime } from './entry.js'
import type { Base } from './vector.js'

/**
 * How far what is not verified may be ahead of this log, in Lamport time: an entry whose parents nobody has, or
 * a base. Driving members' clocks to their end takes 2^24 such leaps. Where it is done all the same, the order
 * of what is said from then on is no longer causal; nothing else suffers.
 */
const MaxLamportLead = 2 ** 24

export class Ancestry {
  /** Lamport times of everything that an entry may name as its parent, by hash, and whose stream it is in. */
  readonly #known = new Map<string, { readonly lamport: number; readonly stream: string }>()
  /** Those of them that no admitted entry has named yet. */
  readonly #heads = new Set<string>()
  #clock = 0

  has(hash: string): boolean {
    return this.#known.has(hash)
  }

  /** Lets a hash be named from now on; it is one of the latest. */
  know(stream: string, { hash, lamport }: Pick<Base, 'hash' | 'lamport'>): void {
    this.#known.set(hash, { lamport, stream })
    this.#heads.add(hash)
    this.#clock = Math.max(this.#clock, lamport)
  }

  /** Does nothing for the hash of another stream. */
  forget(stream: string, hash: string): void {
    if (this.#known.get(hash)?.stream !== stream) return
    this.#known.delete(hash)
    this.#heads.delete(hash)
  }

  /** Notes that an entry comes after those that it names: they are the latest no more. */
  noteAdmitted(entry: Entry): void {
    for (const hash of before(entry)) this.#heads.delete(hash)
  }

  /** Notes that an entry is gone: those that it names are the latest again. */
  noteDropped(entry: Entry): void {
    for (const hash of before(entry)) if (this.has(hash)) this.#heads.add(hash)
  }

  /** The parents of an entry made now. @param previous the hash of the entry before it in its stream */
  parents(previous: string | undefined): readonly string[] {
    return Array.from(this.#heads)
      .filter((hash) => hash !== previous)
      .sort((a, b) => this.#lamportOf(b) - this.#lamportOf(a))
      .slice(0, MaxParents)
      .sort()
  }

  /** The Lamport time of an entry, by what is known of those before it. At its end, time stands still. */
  lamportAfter(previous: string | undefined, parents: readonly string[]): number {
    const times = parents.map((hash) => this.#lamportOf(hash))
    return Math.min(
      MaxTime,
      1 + Math.max(previous === undefined ? 0 : this.#lamportOf(previous), ...times, 0),
    )
  }

  /** Whether an entry has the Lamport time that it must have, as far as can be known here. */
  isRight(entry: Entry): boolean {
    const { lamport, previous, parents } = entry
    const known = this.lamportAfter(previous, parents)
    if (lamport === known) return true
    return lamport > known && !before(entry).every((hash) => this.has(hash)) && this.isNear(lamport)
  }

  /** Whether a Lamport time that cannot be verified is near enough to be taken. */
  isNear(lamport: number): boolean {
    return lamport <= this.#clock + MaxLamportLead
  }

  #lamportOf(hash: string): number {
    return this.#known.get(hash)?.lamport ?? 0
  }
}

/** The hashes that an entry names. */
function before({ previous, parents }: Entry): readonly string[] {
  return previous === undefined ? parents : [previous, ...parents]
}
