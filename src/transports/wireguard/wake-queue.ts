/**
 * Who is to be woken when: a binary heap that knows where each item stands, so that moving one deadline costs
 * no look at all the others.
 */
interface Entry<Item> {
  readonly item: Item
  deadline: number
  position: number
}

export class WakeQueue<Item> {
  readonly #entries = new Map<Item, Entry<Item>>()
  /** No entry is due before its parent, at half its position. */
  readonly #heap: Entry<Item>[] = []

  /** The earliest deadline of all. */
  get next(): number | undefined {
    return this.#heap[0]?.deadline
  }

  /** The item with the earliest deadline, where that is at or before `now`. It stays in the queue. */
  due(now: number): Item | undefined {
    const first = this.#heap[0]
    return first !== undefined && first.deadline <= now ? first.item : undefined
  }

  /** Sets or moves an item's deadline; undefined takes it out of the queue. */
  schedule(item: Item, deadline: number | undefined): void {
    const entry = this.#entries.get(item)
    if (deadline === undefined) {
      if (entry !== undefined) this.#remove(entry)
    } else if (entry === undefined) {
      const added = { item, deadline, position: this.#heap.length }
      this.#entries.set(item, added)
      this.#rise(added)
    } else if (deadline < entry.deadline) {
      entry.deadline = deadline
      this.#rise(entry)
    } else if (deadline > entry.deadline) {
      entry.deadline = deadline
      this.#sink(entry)
    }
  }

  clear(): void {
    this.#entries.clear()
    this.#heap.length = 0
  }

  #remove(entry: Entry<Item>): void {
    this.#entries.delete(entry.item)
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    last.position = entry.position
    this.#rise(last)
    this.#sink(last)
  }

  #rise(entry: Entry<Item>): void {
    for (;;) {
      const parent = entry.position === 0 ? undefined : this.#heap[(entry.position - 1) >> 1]
      if (parent === undefined || parent.deadline <= entry.deadline) break
      this.#swap(entry, parent)
    }
    this.#heap[entry.position] = entry
  }

  #sink(entry: Entry<Item>): void {
    for (;;) {
      const [left, right] = [this.#heap[2 * entry.position + 1], this.#heap[2 * entry.position + 2]]
      const child = right !== undefined && left !== undefined && right.deadline < left.deadline ? right : left
      if (child === undefined || child.deadline >= entry.deadline) break
      this.#swap(entry, child)
    }
    this.#heap[entry.position] = entry
  }

  /** Lets the other one take the entry's place. The entry's own comes last, when it is settled. */
  #swap(entry: Entry<Item>, other: Entry<Item>): void {
    const position = other.position
    other.position = entry.position
    this.#heap[other.position] = other
    entry.position = position
  }
}
