/** Puts records together again from fragments that anybody on the link may have sent. */
import { BoundedMap } from '../shared/bounded-map.js'
import { digestOf, type Fragment } from './fragments.js'
import { mdnsTraits } from './traits.js'

/** Records of which fragments are missing, at a time: of one neighbour, and of all. */
const MaxPartialPerSource = 32
const MaxSources = 64

interface Partial {
  readonly parts: (Uint8Array | undefined)[]
  missing: number
}

export class Reassembly {
  readonly #sources = new BoundedMap<string, BoundedMap<string, Partial>>(MaxSources)

  /**
   * Takes a fragment.
   * @param source the neighbour's address: fragments from two of them are never mixed
   * @param name the box's name
   * @returns the whole record where this was its last missing fragment, else undefined
   */
  add(
    source: string,
    name: string,
    { sender, digest, index, count, bytes }: Fragment,
  ): Uint8Array | undefined {
    if (count === 1) return checked([bytes], digest)
    const partials = this.#sources.getOrSet(source, () => new BoundedMap(MaxPartialPerSource))
    const key = `${name} ${sender} ${digest} ${count}`
    const partial = partials.getOrSet(key, () => ({
      parts: Array.from({ length: count }, () => undefined),
      missing: count,
    }))
    if (partial.parts[index] !== undefined) return undefined
    partial.parts[index] = bytes
    partial.missing -= 1
    if (partial.missing > 0) return undefined
    partials.delete(key)
    if (partials.size === 0) this.#sources.delete(source)
    return checked(partial.parts as Uint8Array[], digest)
  }

  clear(): void {
    this.#sources.clear()
  }
}

function checked(parts: readonly Uint8Array[], digest: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Buffer.concat(parts))
  return bytes.length <= mdnsTraits.maxRecordBytes && digestOf(bytes) === digest ? bytes : undefined
}
