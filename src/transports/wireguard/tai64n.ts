/**
 * TAI64N stamps of handshake initiations (WireGuard paper, section 5.1; https://cr.yp.to/libtai/tai64.html).
 * Compared as bytes, they only have to grow; no clock is trusted.
 */
import type { Wall } from '../../core/ports.js'

export const TimestampLength = 12

/** TAI was 10 s ahead of UTC when both began; leap seconds since then are left out, as in other WireGuards. */
const TaiOffsetSeconds = 10

/** A source of stamps: max(wall clock, last + 1 ms), so that a clock set back does not lock us out. */
export class TimestampSource {
  readonly #wall: Wall
  #lastMs = 0

  constructor(wall: Wall) {
    this.#wall = wall
  }

  /** 12 bytes, greater than all before. */
  next(): Uint8Array {
    this.#lastMs = Math.max(Math.floor(this.#wall.unixMs()), this.#lastMs + 1)
    const seconds = Math.floor(this.#lastMs / 1000) + TaiOffsetSeconds
    const stamp = new Uint8Array(TimestampLength)
    const view = new DataView(stamp.buffer)
    view.setUint32(0, 0x40000000 + Math.floor(seconds / 2 ** 32))
    view.setUint32(4, seconds % 2 ** 32)
    view.setUint32(8, (this.#lastMs % 1000) * 1_000_000)
    return stamp
  }
}

/** Whether stamp `a` is later than `b`. */
export function isLater(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < TimestampLength; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}
