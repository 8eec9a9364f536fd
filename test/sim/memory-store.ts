import type { Store } from '../../src/core/ports.js'

/** A Store that forgets nothing while its object lives: a disk that survives a simulated restart. */
export class MemoryStore implements Store {
  /** What lies there, with room behind it for what is appended. */
  readonly #values = new Map<string, { bytes: Uint8Array; length: number }>()

  read(name: string): Uint8Array | undefined {
    const value = this.#values.get(name)
    return value?.bytes.subarray(0, value.length)
  }

  write(name: string, bytes: Uint8Array): void {
    this.#values.set(name, { bytes: Uint8Array.from(bytes), length: bytes.length })
  }

  append(name: string, bytes: Uint8Array): void {
    const value = this.#values.get(name)
    if (value === undefined) {
      this.write(name, bytes)
      return
    }
    const length = value.length + bytes.length
    if (length > value.bytes.length) {
      const before = value.bytes
      value.bytes = new Uint8Array(2 * length)
      value.bytes.set(before)
    }
    value.bytes.set(bytes, value.length)
    value.length = length
  }

  remove(name: string): void {
    this.#values.delete(name)
  }
}
