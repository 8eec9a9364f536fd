/** One watch of a box: which of the pastes in each list are new, and what is in them. */
import type { Box, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { MaxPasteBytes, type Paste, type PasteService } from './paste-service.js'
import { decodePaste, isInBox, parseTitle } from './titles.js'

export interface PasteWatchOptions {
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
}

/** Pastes that were reported, or looked at in vain. The oldest is forgotten first. */
const MaxKnown = 4096
/** Pastes that are read in one go; of more, the newest and the oldest. */
const MaxReads = 256
const MaxConcurrentReads = 6

export class PasteWatch {
  /** Resolves after the first read; rejects with the signal's reason. */
  readonly ready: Promise<void>
  readonly signal: AbortSignal
  readonly #options: PasteWatchOptions
  /** Titles by id, in the order in which they were reported. */
  readonly #known = new Map<string, string>()
  #markReady: () => void = () => undefined

  constructor(options: PasteWatchOptions, signal: AbortSignal) {
    this.#options = options
    this.signal = signal
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      const abort = (): void => {
        reject(signal.reason as Error)
      }
      signal.addEventListener('abort', abort, { once: true })
    })
    this.ready.catch(() => undefined)
  }

  get box(): Box {
    return this.#options.box
  }

  /**
   * Reads and reports what is new in a list.
   * @returns whether anything was
   */
  async take(listed: readonly Paste[], service: PasteService, signal: AbortSignal): Promise<boolean> {
    const { topic, box } = this.#options
    const ours = listed.filter(({ title }) => isInBox(title, topic, box))
    this.#forgetGone(ours)
    const fresh = ours.filter(({ id, size }) => !this.#known.has(id) && size <= MaxPasteBytes)
    const chosen = sample([...fresh].sort((a, b) => a.createdAt - b.createdAt))
    const texts = await readAll(chosen, service, signal)
    let hasNews = false
    for (const [index, { id, title }] of chosen.entries()) {
      const text = texts[index]
      // Gone since it was listed, or not there yet for this reader: the next list tells.
      if (text === undefined) continue
      this.#remember(id, title)
      const bytes = decodePaste(text)
      const sender = parseTitle(title)?.sender
      if (bytes === undefined || sender === undefined || this.signal.aborted) continue
      hasNews = true
      this.#options.onRecord({ topic, box, sender, bytes, expiresInMs: 0 })
    }
    this.#markReady()
    return hasNews
  }

  /**
   * A sender's new paste and the one that it replaces may stand side by side for a moment, and seconds do not
   * tell which is newer. Whichever is left when the other is gone is reported once more, if it was the first.
   */
  #forgetGone(listed: readonly Paste[]): void {
    const ids = new Set(listed.map(({ id }) => id))
    const replaced = new Set<string>()
    for (const [id, title] of [...this.#known].reverse()) {
      if (!ids.has(id)) {
        this.#known.delete(id)
        replaced.add(title)
      } else if (replaced.has(title)) this.#known.delete(id)
    }
  }

  #remember(id: string, title: string): void {
    this.#known.set(id, title)
    if (this.#known.size <= MaxKnown) return
    const [oldest] = this.#known.keys()
    if (oldest !== undefined) this.#known.delete(oldest)
  }
}

/** A flood leaves room for what came before it and for what comes after. */
function sample(pastes: readonly Paste[]): readonly Paste[] {
  if (pastes.length <= MaxReads) return pastes
  return [...pastes.slice(0, MaxReads / 2), ...pastes.slice(-MaxReads / 2)]
}

async function readAll(
  pastes: readonly Paste[],
  service: PasteService,
  signal: AbortSignal,
): Promise<(string | undefined)[]> {
  const texts: (string | undefined)[] = []
  const waiting = pastes.entries()
  const work = async (): Promise<void> => {
    for (const [index, { id }] of waiting) texts[index] = await service.read(id, signal)
  }
  await Promise.all(Array.from({ length: MaxConcurrentReads }, work))
  return texts
}
