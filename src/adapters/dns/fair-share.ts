/**
 * Things that strangers can fill up, each counted to its source. Where there are too many, the source that has
 * most loses its oldest, so that one that floods pushes out its own.
 */
export class FairShare<Item> {
  readonly #bySource = new Map<string, Set<Item>>()
  #count = 0

  get count(): number {
    return this.#count
  }

  add(source: string, item: Item): void {
    const items = this.#bySource.get(source)
    if (items === undefined) this.#bySource.set(source, new Set([item]))
    else items.add(item)
    this.#count += 1
  }

  delete(source: string, item: Item): void {
    const items = this.#bySource.get(source)
    if (items?.delete(item) !== true) return
    this.#count -= 1
    if (items.size === 0) this.#bySource.delete(source)
  }

  /** Which one has to go first. */
  victim(): Item | undefined {
    let most: Set<Item> | undefined
    for (const items of this.#bySource.values()) {
      if (most === undefined || items.size > most.size) most = items
    }
    const [oldest] = most ?? []
    return oldest
  }

  *[Symbol.iterator](): Generator<Item> {
    for (const items of this.#bySource.values()) yield* items
  }
}
