/**
 * The sync with one other replica (docs/protocol.md, Chat): what it has, what it is being sent, what it is
 * to be told. Both sides do the same; whatever is lost on the way is found missing by the next comparison.
 */
import { concatenate } from '../core/encoding.js'
import { earliest } from '../core/machine.js'
import type { Crypto } from '../core/ports.js'
import { digestOf } from './digest.js'
import { authorOf, type Entry } from './entry.js'
import type { ChatLog } from './log.js'
import {
  type FragmentPayload,
  fragmentEntry,
  type LinesPayload,
  MaxLines,
  type VectorLine,
  writeLines,
} from './payload.js'
import { Window } from './stream.js'
import { type Base, HeadBytes, MaxStreams, NoHead, type StreamState } from './vector.js'

/** How long what was received is gathered before it is acknowledged, and how many entries end the wait. */
const AcknowledgeMs = 5
const AcknowledgeEntries = 8
/** How often a replica says hello until it knows what the other has, and then how often it compares. */
const HelloMs = 500
const HeartbeatMs = 30_000
/** The same while something that was posted here is not known to be delivered. */
const DeliveryMs = 1000
/** Questions that waiting entries cause are this far apart at least. */
const QuestionGapMs = 50
/** An entry that is not acknowledged is sent again; this doubles up to the limit where nothing comes back. */
const ResendMs = 500
const ResendLimitMs = 5000
/** Replicas that differ for so long without any progress compare everything; doubles up to the limit. */
const RepairMs = 2000
const RepairLimitMs = 60_000
/** At most so often a whole vector is said, whoever asks. */
const WholeGapMs = 500
/** Entries sent and not acknowledged. */
const MaxInFlight = 64
/** Entries of which some fragments have come. The oldest makes room. */
const MaxAssemblies = 64

export interface NeighbourOptions {
  readonly crypto: Pick<Crypto, 'sha256'>
  readonly log: ChatLog
  /** The other's key, in hex. */
  readonly author: string
  /** Where streams begin for a newcomer; undefined where it gets all there is. */
  readonly tail: (() => ReadonlyMap<string, Base>) | undefined
  /** What to say of a stream's delivery, to this neighbour. */
  readonly deliveredOf: (stream: string) => number
  /** Streams of which this neighbour is to say whether more was delivered. */
  readonly undelivered: () => readonly string[]
  /** Sends a payload of at most 1000 bytes there. */
  readonly transmit: (payload: Uint8Array) => void
}

interface Theirs extends StreamState {
  readonly beyond: number
}

const Nothing: Theirs = { have: 0, head: NoHead, beyond: 0 }

export class Neighbour {
  readonly #options: NeighbourOptions
  readonly #theirs = new Map<string, Theirs>()
  /** Streams of which the other may have something else than is here; undefined where it may be any. */
  #unlike: Set<string> | undefined
  /** Streams of which it may lack something. */
  readonly #behind = new Set<string>()
  /** When what was sent, by stream and sequence. */
  readonly #inFlight = new Map<string, Map<number, number>>()
  #inFlightCount = 0
  /** Streams whose line is to be said. */
  readonly #unsaid = new Set<string>()
  readonly #assemblies = new Map<string, Map<number, Uint8Array>>()
  /** Whether it has never posted anything that came here. */
  readonly #isUnheard: boolean
  /** For a newcomer: what it is not given. */
  #floors: ReadonlyMap<string, Base> | undefined
  /** Whether it is known what the other has, so that sending makes sense. */
  #isKnown = false
  #unacknowledged = 0
  #linesAt: number | undefined
  #compareAt: number
  /** The digest that was here when the other was asked last. */
  #askedFor: string | undefined
  #comparedAt = -Infinity
  #wholeAt: number | undefined
  #wholeSaidAt = -Infinity
  #resendAt: number | undefined
  #resendMs = ResendMs
  #repairAt: number | undefined
  #repairMs = RepairMs

  constructor(now: number, options: NeighbourOptions) {
    this.#options = options
    this.#isUnheard = options.log.streamsOf(options.author).length === 0
    this.#compareAt = now
  }

  /** Up to where the other is known to have a stream. */
  have(stream: string): number {
    return this.#theirs.get(stream)?.have ?? 0
  }

  /** @returns the streams of which the other has something else than it was known to have, by its digest */
  handleLines(now: number, { ask, whole, digest, lines }: LinesPayload): readonly string[] {
    const { log } = this.#options
    for (const line of lines) this.#learn(now, line.stream, line)
    const same = digest === log.digest
    const learnt = same ? this.#learnSame() : []
    if (same) this.#isKnown = true
    else if (!this.#isKnown && this.#isNewcomer(digest)) this.#giveTail(now)
    else if (whole) this.#becomeKnown()
    // It answers for what was here when it was asked, and something has been added since.
    else if (!this.#isKnown && !ask && this.#askedFor !== log.digest) this.#compareAt = now
    if (ask && same) this.#sayAt(now)
    else if (ask) this.#wholeAt ??= Math.max(now, this.#wholeSaidAt + WholeGapMs)
    else if (!same) this.#repairAt ??= now + this.#repairMs
    this.#offer(now)
    return learnt
  }

  /** Notes that there is something else of a stream here than before. */
  noteChanged(stream: string): void {
    this.#unlike?.add(stream)
  }

  /** @returns the entry's bytes once all its fragments have come */
  handleFragment({ entry, index, count, bytes }: FragmentPayload): Uint8Array | undefined {
    if (count === 1) return bytes
    const name = `${entry} ${count}`
    const pieces = this.#assemblies.get(name) ?? new Map<number, Uint8Array>()
    // What is being worked on counts as the newest.
    this.#assemblies.delete(name)
    pieces.set(index, bytes.slice())
    if (pieces.size === count) {
      return concatenate(...Array.from({ length: count }, (_, at) => pieces.get(at) ?? new Uint8Array()))
    }
    this.#assemblies.set(name, pieces)
    if (this.#assemblies.size > MaxAssemblies) {
      const [oldest] = this.#assemblies.keys()
      if (oldest !== undefined) this.#assemblies.delete(oldest)
    }
    return undefined
  }

  /** Notes that an entry came from there: it is acknowledged, and the other has all up to it. */
  noteReceived(now: number, { stream, sequence, hash }: Entry): void {
    if (sequence > this.have(stream)) {
      this.#learn(now, stream, { have: sequence, head: hash.slice(0, 2 * HeadBytes), beyond: 0 })
    }
    this.#unsaid.add(stream)
    this.#unacknowledged += 1
    this.#sayAt(this.#unacknowledged >= AcknowledgeEntries ? now : now + AcknowledgeMs)
  }

  /** Notes that there is more of a stream here, which the other may lack. */
  noteAdded(now: number, stream: string): void {
    this.#behind.add(stream)
    this.#offer(now)
  }

  /** Notes that a stream's line says something new that the other waits for. */
  noteNews(now: number, stream: string): void {
    this.#unsaid.add(stream)
    this.#sayAt(now + AcknowledgeMs)
  }

  /**
   * Notes that an entry was posted here, whose delivery is awaited. It is sent even before it is known what the other
   * has: this it lacks.
   */
  notePosted(now: number, entry: Entry): void {
    this.#compareAt = Math.min(this.#compareAt, now + DeliveryMs)
    if (this.#isKnown || this.#inFlightCount >= MaxInFlight) return
    this.#send(now, entry)
    this.#scheduleResend()
  }

  /** Has the other asked whether there is more to come: entries here wait for their parents. */
  askSoon(now: number): void {
    this.#compareAt = Math.min(this.#compareAt, Math.max(now, this.#comparedAt + QuestionGapMs))
  }

  handleTimeout(now: number): void {
    if (this.#repairAt !== undefined && now >= this.#repairAt) {
      this.#repairMs = Math.min(2 * this.#repairMs, RepairLimitMs)
      this.#repairAt = now + this.#repairMs
      this.#forget()
      this.#compareAt = Math.min(this.#compareAt, now + HelloMs)
      this.#sayWhole(now, true)
    }
    if (this.#wholeAt !== undefined && now >= this.#wholeAt) this.#sayWhole(now, !this.#isKnown)
    if (this.#linesAt !== undefined && now >= this.#linesAt) this.#sayLines()
    if (now >= this.#compareAt) this.#compare(now)
    if (this.#resendAt !== undefined && now >= this.#resendAt) {
      this.#giveUpFlight(now)
      this.#offer(now)
      this.#resendMs = Math.min(2 * this.#resendMs, ResendLimitMs)
      this.#scheduleResend()
    }
  }

  pollTimeout(): number | undefined {
    return earliest(this.#linesAt, this.#compareAt, this.#wholeAt, this.#resendAt, this.#repairAt)
  }

  /** Whether a digest says that the other has nothing, or nothing but what it has just posted. */
  #isNewcomer(digest: string): boolean {
    const { author, crypto } = this.#options
    const own = this.#isUnheard
      ? Array.from(this.#theirs).filter(([stream]) => authorOf(stream) === author)
      : []
    return digest === digestOf(crypto, own)
  }

  #learn(now: number, stream: string, { have, head, beyond }: Theirs): void {
    const ours = this.#options.log.hash(stream, have)
    // That is another entry than ours: what is here of the stream is not what it has.
    if (ours?.startsWith(head) === false) {
      this.#behind.add(stream)
      return
    }
    const before = this.#theirs.get(stream)
    if (before === undefined && this.#theirs.size >= MaxStreams) return
    // Datagrams overtake each other: what it had, it has.
    if (before !== undefined && have < before.have) return
    this.#theirs.set(stream, { have, head, beyond })
    this.#unlike?.add(stream)
    if (before?.have !== have) this.#progress(now)
    const sent = this.#inFlight.get(stream)
    for (const sequence of sent?.keys() ?? []) {
      if (!hasSequence({ have, beyond }, sequence)) continue
      sent?.delete(sequence)
      this.#inFlightCount -= 1
      this.#resendMs = ResendMs
    }
    if (sent?.size === 0) this.#inFlight.delete(stream)
    if (have < this.#options.log.have(stream)) this.#behind.add(stream)
  }

  /** Replicas that get on with it need no repair yet. */
  #progress(now: number): void {
    if (this.#repairAt === undefined) return
    this.#repairMs = RepairMs
    this.#repairAt = now + RepairMs
  }

  #learnSame(): readonly string[] {
    const { log } = this.#options
    const learnt = Array.from(this.#unlike ?? log.streams)
    for (const stream of learnt) this.#theirs.set(stream, { ...log.state(stream), beyond: 0 })
    this.#unlike = new Set()
    this.#behind.clear()
    this.#inFlight.clear()
    this.#inFlightCount = 0
    this.#resendAt = undefined
    this.#repairAt = undefined
    this.#repairMs = RepairMs
    return learnt
  }

  #giveTail(now: number): void {
    // What was said once since it connected is meant for it, and stays.
    this.#floors ??= this.#options.tail?.()
    this.#becomeKnown()
    for (const stream of this.#floors?.keys() ?? []) this.#unsaid.add(stream)
    // Before any entry: it says where streams begin.
    if (this.#unsaid.size > 0) this.#sayAt(now)
    if (this.#linesAt !== undefined) this.#sayLines()
  }

  /** Learns anew what the other has: it may have lost something since it said so. */
  #forget(): void {
    this.#theirs.clear()
    this.#unlike = undefined
    this.#behind.clear()
    this.#inFlight.clear()
    this.#inFlightCount = 0
    this.#resendAt = undefined
    this.#isKnown = false
  }

  #becomeKnown(): void {
    this.#isKnown = true
    for (const stream of this.#options.log.streams) this.#behind.add(stream)
  }

  /** Sends what the other lacks, as far as the window reaches. */
  #offer(now: number): void {
    if (!this.#isKnown) return
    for (const stream of this.#behind) {
      if (this.#inFlightCount >= MaxInFlight) break
      if (this.#offerStream(now, stream)) this.#behind.delete(stream)
    }
    this.#scheduleResend()
  }

  /** What was not acknowledged goes to the end of the line: it must not keep the rest from its turn. */
  #giveUpFlight(now: number): void {
    for (const [stream, sent] of this.#inFlight) {
      for (const [sequence, at] of sent) {
        if (now < at + this.#resendMs) continue
        sent.delete(sequence)
        this.#inFlightCount -= 1
        this.#behind.delete(stream)
        this.#behind.add(stream)
      }
      if (sent.size === 0) this.#inFlight.delete(stream)
    }
  }

  #scheduleResend(): void {
    this.#resendAt = undefined
    for (const sent of this.#inFlight.values()) {
      for (const at of sent.values()) this.#resendAt = earliest(this.#resendAt, at + this.#resendMs)
    }
  }

  /** @returns whether the stream needs no look before something changes or is to be sent again */
  #offerStream(now: number, stream: string): boolean {
    const { log } = this.#options
    const theirs = this.#theirs.get(stream) ?? Nothing
    const floor = this.#floorOf(stream)
    const from = Math.max(theirs.have, floor?.sequence ?? 0)
    const to = Math.min(log.have(stream), from + Window)
    if (theirs.have < from) this.noteNews(now, stream)
    for (let sequence = from + 1; sequence <= to; sequence += 1) {
      if (hasSequence(theirs, sequence)) continue
      if (this.#inFlight.get(stream)?.has(sequence) === true) continue
      if (this.#inFlightCount >= MaxInFlight) return false
      const entry = log.entry(stream, sequence)
      if (entry === undefined) return true
      this.#send(now, entry)
    }
    return true
  }

  #send(now: number, entry: Entry): void {
    const { stream, sequence } = entry
    const sent = this.#inFlight.get(stream) ?? new Map<number, number>()
    this.#inFlight.set(stream, sent)
    this.#inFlightCount += 1
    sent.set(sequence, now)
    for (const fragment of fragmentEntry(entry)) this.#options.transmit(fragment)
  }

  #compare(now: number): void {
    const { log, undelivered } = this.#options
    const ask = !this.#isKnown || log.isWaiting
    if (ask) this.#askedFor = log.digest
    const lines = undelivered()
      .slice(0, MaxLines)
      .map((stream) => this.#lineOf(stream))
    this.#say({ ask, whole: false, lines })
    this.#comparedAt = now
    this.#compareAt = now + (ask ? HelloMs : lines.length > 0 ? DeliveryMs : HeartbeatMs)
  }

  #sayAt(at: number): void {
    this.#linesAt = Math.min(this.#linesAt ?? at, at)
  }

  #sayLines(): void {
    this.#linesAt = undefined
    this.#unacknowledged = 0
    const streams = Array.from(this.#unsaid)
    this.#unsaid.clear()
    for (const lines of this.#pages(streams)) this.#say({ ask: false, whole: false, lines })
  }

  #sayWhole(now: number, ask: boolean): void {
    this.#wholeAt = undefined
    this.#wholeSaidAt = now
    const pages = this.#pages(Array.from(this.#options.log.streams))
    for (const [index, lines] of pages.entries()) {
      const isLast = index === pages.length - 1
      this.#say({ ask: ask && isLast, whole: isLast, lines })
    }
  }

  #pages(streams: readonly string[]): VectorLine[][] {
    const count = Math.max(1, Math.ceil(streams.length / MaxLines))
    return Array.from({ length: count }, (_, page) =>
      streams.slice(page * MaxLines, (page + 1) * MaxLines).map((stream) => this.#lineOf(stream)),
    )
  }

  #lineOf(stream: string): VectorLine {
    const { log, deliveredOf } = this.#options
    return {
      stream,
      ...log.state(stream),
      beyond: log.beyond(stream),
      delivered: deliveredOf(stream),
      floor: this.#floorOf(stream),
    }
  }

  #floorOf(stream: string): Base | undefined {
    const [ours, given] = [this.#options.log.base(stream), this.#floors?.get(stream)]
    return (given?.sequence ?? 0) > (ours?.sequence ?? 0) ? given : ours
  }

  #say(payload: Omit<LinesPayload, 'type' | 'digest'>): void {
    this.#options.transmit(writeLines({ ...payload, digest: this.#options.log.digest }))
  }
}

function hasSequence({ have, beyond }: Pick<Theirs, 'have' | 'beyond'>, sequence: number): boolean {
  const bit = sequence - have - 2
  return sequence <= have || (bit >= 0 && bit < 32 && ((beyond >>> bit) & 1) === 1)
}
