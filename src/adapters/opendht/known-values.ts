/** What a watch has seen of a box, in bounded memory: what to report, and what no longer counts. */
import { createHash } from 'node:crypto'
import { commitmentTo, type DhtValue, type RecordValue } from './value.js'

/** Of each kind; the oldest goes first. Then what it was may be reported again, which watchers take. */
const MaxKnown = 4096

export class KnownValues {
  readonly #reported = new Set<string>()
  readonly #revoked = new Set<string>()

  /** The new ones among values that came together, without those that are replaced or retracted. */
  take(values: readonly DhtValue[]): RecordValue[] {
    for (const { secrets } of values) {
      for (const secret of secrets) remember(this.#revoked, hex(commitmentTo(secret)))
    }
    return values.filter((value): value is RecordValue => {
      if (value.kind !== 'record' || this.#revoked.has(hex(value.commitment))) return false
      const name = fingerprint(value)
      const isNew = !this.#reported.has(name)
      remember(this.#reported, name)
      return isNew
    })
  }
}

function remember(names: Set<string>, name: string): void {
  names.delete(name)
  names.add(name)
  if (names.size <= MaxKnown) return
  const [oldest] = names
  if (oldest !== undefined) names.delete(oldest)
}

function fingerprint({ sender, commitment, bytes }: RecordValue): string {
  return createHash('sha256').update(sender).update('\0').update(commitment).update(bytes).digest('base64')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
