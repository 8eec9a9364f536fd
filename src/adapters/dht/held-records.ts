/** Records that we keep and show to others, until they expire. */
import type { Clock } from '../../core/ports.js'
import type { Box, SignalRecord } from '../../core/signalling-adapter.js'
import type { Frame } from './frames.js'

interface Held {
  readonly record: SignalRecord
  readonly expiresAt: number
  readonly cancelExpiry: () => void
}

/** A host answers a guest a few times; those of long ago are of no use. */
const MaxHeld = 1024

export class HeldRecords {
  readonly #clock: Clock
  readonly #onExpired: (record: SignalRecord) => void
  /** The newest last. */
  readonly #held = new Map<string, Held>()

  constructor(clock: Clock, onExpired: (record: SignalRecord) => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** Keeps a record in the place of the same sender's in its box. */
  put(record: SignalRecord): void {
    this.remove(record)
    const { expiresInMs } = record
    const cancelExpiry = this.#clock.after(expiresInMs, () => {
      this.remove(record)
      this.#onExpired(record)
    })
    this.#held.set(nameOf(record), { record, expiresAt: this.#clock.now() + expiresInMs, cancelExpiry })
    if (this.#held.size <= MaxHeld) return
    const [oldest] = this.#held.values()
    if (oldest !== undefined) this.remove(oldest.record)
  }

  /** Whether it was there. */
  remove(key: Pick<SignalRecord, 'box' | 'sender'>): boolean {
    const name = nameOf(key)
    const held = this.#held.get(name)
    held?.cancelExpiry()
    return this.#held.delete(name)
  }

  /** Whether this very record is kept, and none that came later. */
  has(record: SignalRecord): boolean {
    return this.#held.get(nameOf(record))?.record === record
  }

  /** What is kept of some boxes, the newest first, each with what is left of its time. */
  frames(isWanted: (box: Box) => boolean): Frame[] {
    const now = this.#clock.now()
    return [...this.#held.values()]
      .reverse()
      .filter(({ record }) => isWanted(record.box))
      .map(({ record, expiresAt }) => frameOf(record, expiresAt - now))
  }

  clear(): void {
    for (const { cancelExpiry } of this.#held.values()) cancelExpiry()
    this.#held.clear()
  }
}

export function frameOf({ box, sender, bytes }: SignalRecord, expiresInMs: number): Frame {
  return { type: 'record', box, sender, expiresInMs, bytes }
}

function nameOf({ box, sender }: Pick<SignalRecord, 'box' | 'sender'>): string {
  return `${box}/${sender}`
}
