/**
 * What waits to be looked at, where more may come than there is time for: a fair sample of it, of bounded size
 * (reservoir sampling, Vitter's algorithm R). Whoever comes has the same chance, however many others there are.
 */
import type { Random } from './ports.js'

export class Reservoir<Item> {
  readonly #capacity: number
  readonly #random: Random
  readonly #items = new Map<string, Item>()
  readonly #keys: string[] = []
  /** Since something was taken last, and what was there then. */
  #offered = 0

  constructor(capacity: number, random: Random) {
    this.#capacity = capacity
    this.#random = random
  }

  get size(): number {
    return this.#keys.length
  }

  get(key: string): Item | undefined {
    return this.#items.get(key)
  }

  /** @returns false where it, or another in its place, is lost */
  offer(key: string, item: Item): boolean {
    this.#offered += 1
    if (this.#keys.length < this.#capacity) {
      this.#items.set(key, item)
      this.#keys.push(key)
      return true
    }
    const index = Math.floor(this.#offered * this.#random.fraction())
    const displaced = this.#keys[index]
    if (displaced === undefined) return false
    this.#items.delete(displaced)
    this.#items.set(key, item)
    this.#keys[index] = key
    return false
  }

  /** Takes one at random. */
  take(): readonly [key: string, item: Item] | undefined {
    const index = Math.floor(this.#keys.length * this.#random.fraction())
    const key = this.#keys[index]
    const last = this.#keys.pop()
    if (key === undefined || last === undefined) return undefined
    if (index < this.#keys.length) this.#keys[index] = last
    const item = this.#items.get(key) as Item
    this.#items.delete(key)
    this.#offered = this.#keys.length
    return [key, item]
  }
}
