/**
 * The replay window of RFC 6479: a ring of words instead of a bitmap that shifts.
 */
import { ReplayBitmapBits } from './constants.js'

const WordBits = 32
const Words: number = ReplayBitmapBits / WordBits
/** One word less than the bitmap: the word that the greatest counter is in may be partly fresh. */
const WindowSize: number = ReplayBitmapBits - WordBits

export class ReplayWindow {
  readonly #ring = new Uint32Array(Words)
  #greatest = 0

  /**
   * Takes note of a counter. Only for authenticated messages, since each one may move the window.
   * @param counter an integer from 0 to 2^53 - 1
   * @returns false where the counter was seen before, or is too old to tell
   */
  accept(counter: number): boolean {
    if (counter + WindowSize < this.#greatest) return false
    const word = Math.floor(counter / WordBits)
    const lastWord = Math.floor(this.#greatest / WordBits)
    if (word > lastWord) {
      const cleared = Math.min(word - lastWord, Words)
      for (let i = 1; i <= cleared; i++) this.#ring[(lastWord + i) % Words] = 0
    }
    if (counter > this.#greatest) this.#greatest = counter
    const at = word % Words
    const seen = this.#ring[at] ?? 0
    const bit = 1 << (counter % WordBits)
    this.#ring[at] = seen | bit
    return (seen & bit) === 0
  }
}
