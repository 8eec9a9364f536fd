import type { Store } from '../../src/core/ports.js'

/** A Store that forgets nothing while its object lives: a disk that survives a simulated restart. */
export class MemoryStore implements Store {
  readonly #values = new Map<string, Uint8Array>()

  read(name: string): Uint8Array | undefined {
    return this.#values.get(name)
  }

  write(name: string, bytes: Uint8Array): void {
    this.#values.set(name, Uint8Array.from(bytes))
  }

  append(name: string, bytes: Uint8Array): void {
    this.write(name, Buffer.concat([this.#values.get(name) ?? new Uint8Array(), bytes]))
  }

  remove(name: string): void {
    this.#values.delete(name)
  }
}
