/**
 * Which key each name had in a room when this guest saw it first (trust on first use): another one under the same
 * name is pointed out. One line a name, `key name`, in the guest's store.
 */
import { fromBase64, fromUtf8, utf8 } from '../core/encoding.js'
import { nameProblem } from '../core/identity.js'
import type { Store } from '../core/ports.js'

/** Names whose keys are remembered. Further ones are not: what strangers bring drives nobody out. */
const MaxPins = 1024

export class MemberPins {
  static readonly storeName = 'members'
  readonly #store: Store
  /** Keys in base64, by name. */
  readonly #keys = new Map<string, string>()
  /** Whom others came as, pointed out already. */
  readonly #told = new Set<string>()
  #isSaved = true

  constructor(store: Store) {
    this.#store = store
    const lines = (fromUtf8(store.read(MemberPins.storeName) ?? new Uint8Array()) ?? '').split('\n')
    for (const line of lines.slice(0, MaxPins)) {
      const [key, name] = [line.slice(0, 44), line.slice(45)]
      if (fromBase64(key, 32) !== undefined && nameProblem(name) === undefined) this.#keys.set(name, key)
    }
  }

  /** @returns the key that the name had before, where that is another; once for each key */
  check(name: string, key: string): string | undefined {
    const pinned = this.#keys.get(name)
    if (pinned !== undefined) {
      const isNews = pinned !== key && this.#told.size < MaxPins && !this.#told.has(`${key} ${name}`)
      if (isNews) this.#told.add(`${key} ${name}`)
      return isNews ? pinned : undefined
    }
    if (this.#keys.size >= MaxPins) return undefined
    this.#keys.set(name, key)
    this.#isSaved = false
    return undefined
  }

  /** Keeps what is new. @throws GonetError `store-failed`: then the next call keeps it */
  save(): void {
    if (this.#isSaved) return
    this.#store.write(
      MemberPins.storeName,
      utf8(Array.from(this.#keys, ([name, key]) => `${key} ${name}\n`).join('')),
    )
    this.#isSaved = true
  }
}
