/** Which messages are shown too late: after others that belong behind them (docs/protocol.md, Chat). */
import { compareEntries, type Entry } from './entry.js'

/** An entry is late where one that belongs after it was shown so long ago or longer. */
const LateMs = 2000

export class Lateness {
  readonly #recentlyShown: { readonly at: number; readonly entry: Entry }[] = []
  /** The last in the log's order of what was shown `LateMs` ago or longer. */
  #shown: Entry | undefined

  /** Notes that an entry is shown. @returns whether it is late */
  show(now: number, entry: Entry): boolean {
    const recent = this.#recentlyShown.findIndex(({ at }) => now - at < LateMs)
    for (const { entry: old } of this.#recentlyShown.splice(0, recent < 0 ? Infinity : recent)) {
      if (this.#shown === undefined || compareEntries(old, this.#shown) > 0) this.#shown = old
    }
    this.#recentlyShown.push({ at: now, entry })
    return this.#shown !== undefined && compareEntries(entry, this.#shown) < 0
  }
}
