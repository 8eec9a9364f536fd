/** What a zone that gonet serves holds: in memory, bounded, in the order in which it came. */
import type { Clock, Random } from '../../core/ports.js'
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { FairShare } from './fair-share.js'
import { viewOf } from './message.js'
import { type Page, pagedLength } from './page.js'
import { type Cursor, CursorBytes, recordIdOf } from './question-name.js'

export interface ZoneRecordsOptions {
  readonly clock: Clock
  readonly random: Random
}

/** Who stores a record. */
export interface Owner {
  /** Where it came from, as far as that can be told: records are shared out by it. */
  readonly source: string
  /** In hex. Nobody else replaces or removes what was stored with it. */
  readonly token: string
}

interface Stored {
  readonly record: SignalRecord
  readonly id: string
  readonly owner: Owner
  readonly expiresAt: number
  readonly sequence: number
}

/** In all. */
const MaxRecords = 4096
const MaxBytes = 8 * 1024 * 1024
const MaxRecordsPerBox = { host: 16, join: 256, reply: 8 }
/** How often, in ms, expired records are looked for where there is no room. */
const SweepMs = 1_000
/** Of a page, so that a resolver gets it at once over TCP. */
const MaxPageBytes = 12_288
/** A record that asks for more is kept so long. */
const MaxExpiryMs = 86_400_000

export class ZoneRecords {
  readonly #clock: Clock
  /** Tells this run of the server from others: what cursors count is new in each. */
  readonly #run: Uint8Array
  readonly #records = new Map<string, Stored>()
  readonly #boxes = new Map<string, FairShare<Stored>>()
  readonly #all = new FairShare<Stored>()
  readonly #listeners = new Map<string, Set<() => void>>()
  #bytes = 0
  #sequence = 0
  #sweptAt = Number.NEGATIVE_INFINITY

  constructor({ clock, random }: ZoneRecordsOptions) {
    this.#clock = clock
    this.#run = random.bytes(CursorBytes / 2)
  }

  /** @returns false where the record is somebody else's */
  put(record: SignalRecord, owner: Owner): boolean {
    const name = boxName(record)
    const id = recordIdOf(record)
    const old = this.#records.get(`${record.topic}/${id}`)
    if (old !== undefined && this.#isAlive(old) && old.owner.token !== owner.token) return false
    if (old !== undefined) this.#drop(old)
    this.#makeRoom(record)
    this.#sequence += 1
    const expiresAt = this.#clock.now() + Math.min(record.expiresInMs, MaxExpiryMs)
    const stored = { record, id, owner, expiresAt, sequence: this.#sequence }
    this.#records.set(`${record.topic}/${id}`, stored)
    const box = this.#boxes.get(name) ?? new FairShare<Stored>()
    this.#boxes.set(name, box)
    box.add(owner.source, stored)
    this.#all.add(owner.source, stored)
    this.#bytes += record.bytes.length
    for (const listener of this.#listeners.get(name) ?? []) listener()
    return true
  }

  /** @returns false where the record is somebody else's */
  remove(key: RecordKey, token: string): boolean {
    const stored = this.#records.get(`${key.topic}/${recordIdOf(key)}`)
    if (stored === undefined) return true
    if (stored.owner.token !== token) return false
    this.#drop(stored)
    return true
  }

  /** The record of an id, or undefined. */
  get(topic: Topic, recordId: string): SignalRecord | undefined {
    const stored = this.#records.get(`${topic}/${recordId}`)
    return stored !== undefined && this.#isAlive(stored) ? stored.record : undefined
  }

  /** What came into a box after a cursor; all, where that is of another run. */
  page(topic: Topic, box: Box, cursor: Cursor): Page {
    const since = this.#sequenceOf(cursor)
    const now = this.#clock.now()
    const stored = [...(this.#boxes.get(boxName({ topic, box })) ?? [])]
      .filter((each) => each.sequence > since && this.#isAlive(each))
      .sort((a, b) => a.sequence - b.sequence)
    let bytes = 0
    const fits = stored.filter(({ record }, index) => {
      bytes += pagedLength(record)
      return index === 0 || bytes <= MaxPageBytes
    })
    const last = fits.at(-1)?.sequence ?? Math.min(since, this.#sequence)
    return {
      cursor: this.#cursorOf(last),
      hasMore: fits.length < stored.length,
      records: fits.map(({ record: { sender, bytes: content }, expiresAt }) => ({
        sender,
        bytes: content,
        expiresInMs: expiresAt - now,
      })),
    }
  }

  /** Calls when something comes into a box, until the returned function is called. */
  listen(topic: Topic, box: Box, listener: () => void): () => void {
    const name = boxName({ topic, box })
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners)
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(name)
    }
  }

  #makeRoom(record: SignalRecord): void {
    const { box } = record
    const share = this.#boxes.get(boxName(record))
    const limit = MaxRecordsPerBox[box === 'host' || box === 'join' ? box : 'reply']
    const isFull = (): boolean =>
      this.#all.count >= MaxRecords || this.#bytes + record.bytes.length > MaxBytes
    if (isFull() || (share?.count ?? 0) >= limit) this.#dropExpired()
    while ((this.#boxes.get(boxName(record))?.count ?? 0) >= limit) this.#dropVictim(share)
    while (isFull()) this.#dropVictim(this.#all)
  }

  #dropExpired(): void {
    const now = this.#clock.now()
    if (now - this.#sweptAt < SweepMs) return
    this.#sweptAt = now
    for (const stored of [...this.#records.values()]) {
      if (!this.#isAlive(stored)) this.#drop(stored)
    }
  }

  #dropVictim(share: FairShare<Stored> | undefined): void {
    const victim = share?.victim()
    if (victim !== undefined) this.#drop(victim)
  }

  #drop(stored: Stored): void {
    const { record, id, owner } = stored
    this.#records.delete(`${record.topic}/${id}`)
    this.#all.delete(owner.source, stored)
    this.#bytes -= record.bytes.length
    const name = boxName(record)
    const box = this.#boxes.get(name)
    box?.delete(owner.source, stored)
    if (box?.count === 0) this.#boxes.delete(name)
  }

  #isAlive({ expiresAt }: Stored): boolean {
    return expiresAt > this.#clock.now()
  }

  #sequenceOf(cursor: Cursor): number {
    const isOurs = this.#run.every((byte, index) => byte === cursor[index])
    if (!isOurs) return 0
    const view = viewOf(cursor)
    return view.getUint8(5) * 2 ** 32 + view.getUint32(6)
  }

  #cursorOf(sequence: number): Cursor {
    const cursor = new Uint8Array(CursorBytes)
    cursor.set(this.#run)
    const view = viewOf(cursor)
    view.setUint8(5, Math.floor(sequence / 2 ** 32))
    view.setUint32(6, sequence % 2 ** 32)
    return cursor
  }
}

function boxName({ topic, box }: Pick<RecordKey, 'topic' | 'box'>): string {
  return `${topic}/${box}`
}
