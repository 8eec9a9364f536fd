/** A map that forgets what was set longest ago where there is more than it may hold. */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #maxEntries: number

  constructor(maxEntries: number) {
    super()
    this.#maxEntries = maxEntries
  }

  override set(key: Key, value: Value): this {
    this.delete(key)
    super.set(key, value)
    if (this.size > this.#maxEntries) {
      const [oldest] = this.keys()
      this.delete(oldest as Key)
    }
    return this
  }

  /** The value of a key, made where there is none; it counts as set just now. */
  getOrSet(key: Key, make: () => Value): Value {
    const value = this.get(key) ?? make()
    this.set(key, value)
    return value
  }
}
