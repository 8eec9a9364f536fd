/**
 * The log on disk: records that are appended as things happen, and written anew where most are obsolete.
 *
 *     record   length of what follows (4) ‖ kind (1) ‖ …
 *
 * A record that a crash tore is the last one; it and what it stood for are dropped when the log is loaded.
 */
import { concatenate, toHex } from '../core/encoding.js'
import type { Store } from '../core/ports.js'
import { hashBytes } from './entry.js'
import { type Base, BaseBytes, getBase, StreamBytes, setBase } from './vector.js'

const StoreName = 'chat'
const Kind = { Entry: 1, Base: 2, Delivered: 3, Incarnation: 4, Waiting: 5, Shown: 6 } as const
const HeaderBytes = 5
const IncarnationBytes = 8

export interface KeptEntry {
  readonly bytes: Uint8Array
  /** Whether it waited for its parents, unseen, when it was written. */
  readonly waits: boolean
}

export interface JournalContent {
  /** In the order in which they were written. */
  readonly entries: readonly KeptEntry[]
  /** Up to where entries that were written as waiting have been shown since, by stream. */
  readonly shown: ReadonlyMap<string, number>
  readonly bases: ReadonlyMap<string, Base>
  /** What is known to be delivered of our own streams. */
  readonly delivered: ReadonlyMap<string, number>
  /** The incarnation that we last wrote under. */
  readonly incarnation: Uint8Array | undefined
}

export class Journal {
  readonly #store: Store
  #pending: Uint8Array[] = []
  #records = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** How many records lie on disk or wait to: many more than are needed call for `rewrite`. */
  get records(): number {
    return this.#records
  }

  /** @throws GonetError `store-failed` */
  load(): JournalContent {
    const bytes = this.#store.read(StoreName) ?? new Uint8Array()
    const records = Array.from(readRecords(bytes))
    const whole = records.reduce((length, record) => length + HeaderBytes + record.data.length, 0)
    if (whole < bytes.length) this.#store.write(StoreName, bytes.subarray(0, whole))
    this.#records = records.length
    const entries: KeptEntry[] = []
    const shown = new Map<string, number>()
    const bases = new Map<string, Base>()
    const delivered = new Map<string, number>()
    let incarnation: Uint8Array | undefined
    for (const { kind, data } of records) {
      const view = new DataView(data.buffer, data.byteOffset, data.length)
      if (kind === Kind.Entry || kind === Kind.Waiting)
        entries.push({ bytes: data, waits: kind === Kind.Waiting })
      else if (kind === Kind.Base && data.length === StreamBytes + BaseBytes) {
        const base = getBase(view, StreamBytes)
        if (base !== undefined) bases.set(streamIn(data), base)
      } else if ((kind === Kind.Delivered || kind === Kind.Shown) && data.length === StreamBytes + 4) {
        const marks = kind === Kind.Shown ? shown : delivered
        marks.set(streamIn(data), view.getUint32(StreamBytes))
      } else if (kind === Kind.Incarnation && data.length === IncarnationBytes) incarnation = data.slice()
    }
    return { entries, shown, bases, delivered, incarnation }
  }

  addEntry({ bytes, waits }: KeptEntry): void {
    this.#add(waits ? Kind.Waiting : Kind.Entry, bytes)
  }

  /** Notes that an entry that was written as waiting has been shown, as have all before it in its stream. */
  addShown(stream: string, sequence: number): void {
    this.#add(Kind.Shown, markData(stream, sequence))
  }

  addBase(stream: string, base: Base): void {
    this.#add(Kind.Base, baseData(stream, base))
  }

  addDelivered(stream: string, sequence: number): void {
    this.#add(Kind.Delivered, markData(stream, sequence))
  }

  addIncarnation(incarnation: Uint8Array): void {
    this.#add(Kind.Incarnation, incarnation)
  }

  /** Has everything on disk. @throws GonetError `store-failed`; what waited is lost to the disk then */
  flush(): void {
    if (this.#pending.length === 0) return
    const pending = concatenate(...this.#pending)
    this.#pending = []
    this.#store.append(StoreName, pending)
  }

  /** Replaces all that lies there. @throws GonetError `store-failed`; what lay there stays, what waited is lost */
  rewrite(content: Omit<JournalContent, 'shown'>): void {
    const records = [
      ...(content.incarnation === undefined ? [] : [record(Kind.Incarnation, content.incarnation)]),
      ...Array.from(content.bases, ([stream, base]) => record(Kind.Base, baseData(stream, base))),
      ...Array.from(content.delivered, ([stream, sequence]) =>
        record(Kind.Delivered, markData(stream, sequence)),
      ),
      ...content.entries.map(({ bytes, waits }) => record(waits ? Kind.Waiting : Kind.Entry, bytes)),
    ]
    this.#pending = []
    this.#store.write(StoreName, concatenate(...records))
    this.#records = records.length
  }

  #add(kind: number, data: Uint8Array): void {
    this.#pending.push(record(kind, data))
    this.#records += 1
  }
}

function* readRecords(bytes: Uint8Array): Generator<{ readonly kind: number; readonly data: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let offset = 0; offset + HeaderBytes <= bytes.length; ) {
    const end = offset + 4 + view.getUint32(offset)
    if (end < offset + HeaderBytes || end > bytes.length) return
    yield { kind: bytes[offset + 4] ?? 0, data: bytes.subarray(offset + HeaderBytes, end) }
    offset = end
  }
}

function record(kind: number, data: Uint8Array): Uint8Array {
  const header = new Uint8Array(HeaderBytes)
  new DataView(header.buffer).setUint32(0, 1 + data.length)
  header[4] = kind
  return concatenate(header, data)
}

function streamIn(data: Uint8Array): string {
  return toHex(data.subarray(0, StreamBytes))
}

function baseData(stream: string, base: Base): Uint8Array {
  const data = new Uint8Array(StreamBytes + BaseBytes)
  data.set(hashBytes(stream, StreamBytes))
  setBase(new DataView(data.buffer), StreamBytes, base)
  return data
}

function markData(stream: string, sequence: number): Uint8Array {
  const data = new Uint8Array(StreamBytes + 4)
  data.set(hashBytes(stream, StreamBytes))
  new DataView(data.buffer).setUint32(StreamBytes, sequence)
  return data
}
