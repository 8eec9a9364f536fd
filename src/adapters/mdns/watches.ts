/** What is watched: asked for again and again, ever less often, and reported as it comes. */
import type { Box, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import type { AdapterContext } from '../adapter-definition.js'
import { BoundedMap } from '../shared/bounded-map.js'
import { decodeFragment } from './fragments.js'
import type { Answer } from './link.js'
import { boxName } from './names.js'
import { Reassembly } from './reassembly.js'

/** RFC 6762 section 5.2: at least a second between the first two questions, then twice as long each time. */
const FirstGapMs = 1_000
const LongestGapMs = 60 * 60 * 1_000
/** A record that is said again and again is reported once in so long. */
const RepeatMs = 10_000
/** Senders of a box that are remembered for that; one that is forgotten is reported again. */
const MaxSenders = 4096

interface Reported {
  readonly digest: string
  readonly at: number
}

interface Watch {
  readonly topic: Topic
  readonly box: Box
  readonly onRecord: (record: SignalRecord) => void
  readonly reported: BoundedMap<string, Reported>
  gapMs: number
  cancelQuestion: () => void
}

export interface WatchesOptions extends Pick<AdapterContext, 'clock' | 'random'> {
  readonly ask: (name: string) => void
}

export class Watches {
  readonly #options: WatchesOptions
  readonly #reassembly = new Reassembly()
  /** By the box's name. */
  readonly #watches = new Map<string, Set<Watch>>()

  constructor(options: WatchesOptions) {
    this.#options = options
  }

  /** Asks, and goes on asking. @returns how to end it */
  add(topic: Topic, box: Box, onRecord: (record: SignalRecord) => void): () => void {
    const name = boxName(topic, box)
    const reported = new BoundedMap<string, Reported>(MaxSenders)
    const watch: Watch = {
      topic,
      box,
      onRecord,
      reported,
      gapMs: FirstGapMs,
      cancelQuestion: () => undefined,
    }
    const others = this.#watches.get(name)
    if (others === undefined) this.#watches.set(name, new Set([watch]))
    else others.add(watch)
    this.#ask(name, watch)
    return () => {
      watch.cancelQuestion()
      const all = this.#watches.get(name)
      all?.delete(watch)
      if (all?.size === 0) this.#watches.delete(name)
    }
  }

  /** Asks for everything anew, on a link that may be another one. */
  askAll(): void {
    for (const [name, watches] of this.#watches) {
      for (const watch of watches) {
        watch.gapMs = FirstGapMs
        watch.reported.clear()
        this.#ask(name, watch)
      }
    }
  }

  clear(): void {
    for (const watch of [...this.#watches.values()].flatMap((watches) => [...watches])) watch.cancelQuestion()
    this.#watches.clear()
    this.#reassembly.clear()
  }

  /** A neighbour says something. */
  receive(source: string, { name, ttl, strings }: Answer): void {
    const watches = this.#watches.get(name)
    if (watches === undefined) return
    const fragment = decodeFragment(strings)
    if (fragment === undefined) return
    const { sender, digest } = fragment
    if (ttl === 0) {
      for (const { reported } of watches) {
        if (reported.get(sender)?.digest === digest) reported.delete(sender)
      }
      return
    }
    const now = this.#options.clock.now()
    const wanting = [...watches].filter(({ reported }) => {
      const last = reported.get(sender)
      return last?.digest !== digest || last.at + RepeatMs <= now
    })
    if (wanting.length === 0) return
    const bytes = this.#reassembly.add(source, name, fragment)
    if (bytes === undefined) return
    for (const { topic, box, onRecord, reported } of wanting) {
      reported.set(sender, { digest, at: now })
      onRecord({ topic, box, sender, bytes: bytes.slice(), expiresInMs: ttl * 1000 })
    }
  }

  #ask(name: string, watch: Watch): void {
    const { clock, random, ask } = this.#options
    watch.cancelQuestion()
    // A little later than twice as long, so that those who came at once do not ask at once.
    watch.cancelQuestion = clock.after(watch.gapMs * (1 + random.fraction() / 10), () => {
      this.#ask(name, watch)
    })
    watch.gapMs = Math.min(watch.gapMs * 2, LongestGapMs)
    ask(name)
  }
}
