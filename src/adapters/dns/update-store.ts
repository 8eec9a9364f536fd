/** Records in a zone whose server takes updates (RFC 2136), read from that server or through resolvers. */
import { SignallingError } from '../../core/errors.js'
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { BoundedMap } from '../shared/bounded-map.js'
import { type ClientOptions, DnsClient, wrongZone } from './client.js'
import { Class, Flag, Rcode, Type } from './constants.js'
import { Failover } from './failover.js'
import { failure, isRefusal } from './failure.js'
import { digestOf, type IndexEntry, readContent, readEntry, writeContent, writeEntry } from './index-entry.js'
import type { Message, RecordFields } from './message.js'
import { indexName, recordName } from './names.js'
import type { DnsServer, UpdateSettings } from './settings.js'
import type { BoxReader, FoundRecord, RecordStore } from './store.js'

/** Records in a box at a time. BIND 9.18 takes 100 of one type at a name (`max-records-per-type`). */
const MaxEntries = 80
/** What is left of others where there are more. */
const KeptEntries = 60
/** Of all that is in a box's index: entries have some 60 bytes. */
const MaxIndexBytes = 16_384
/** Expired records that one update takes away beside its own work. */
const MaxRemovals = 24
/** Records fetched in one read, and at a time. */
const MaxFetches = 64
const ConcurrentFetches = 8
const MaxKnown = 4096
/** When a record that its entry promises, and that is not there, is looked for again: then ever later. */
const FirstMissMs = 200
const LongestMissMs = 30_000

/** What a watcher has read, or has looked for. */
interface Known {
  /** By the clock; Infinity for what has been read. */
  readonly againAt: number
  readonly pauseMs: number
}

interface Index {
  readonly entries: readonly { readonly entry: IndexEntry; readonly data: Uint8Array }[]
  /** Whether there is more than there should be. */
  readonly isFlooded: boolean
}

export class UpdateStore implements RecordStore {
  readonly #settings: UpdateSettings
  readonly #options: ClientOptions
  readonly #client: DnsClient
  /** Whether the server has answered us once: then its time is known. */
  #isProbed = false
  /** Boxes that somebody has filled up: who writes there next makes room. */
  readonly #flooded = new BoundedMap<string, true>(64)
  /** What we have put, by name. */
  readonly #placed = new BoundedMap<string, Uint8Array>(2048)
  /** Names at which somebody has put an alias, at which nothing else can be. */
  readonly #aliases = new BoundedMap<string, true>(64)
  readonly #readers: Failover

  constructor(settings: UpdateSettings, options: ClientOptions) {
    this.#settings = settings
    this.#options = options
    this.#client = new DnsClient(options)
    const [first = settings.server, ...others] = settings.resolvers
    this.#readers = new Failover([first, ...others])
  }

  async probe(signal: AbortSignal): Promise<void> {
    const { server, zone, key } = this.#settings
    let message: Message
    try {
      message = await this.#client.query(server, zone, 'SOA', signal, key)
    } catch (error) {
      if (isRefusal(error) && error.message.includes('(REFUSED)')) {
        throw failure('dns-refused', server.label, wrongZone(zone, 'REFUSED'), error)
      }
      throw error
    }
    const isOurs =
      (message.flags & Flag.AA) !== 0 &&
      message.answers.some(({ type, name }) => type === Type.SOA && name === zone)
    if (!isOurs) throw failure('dns-refused', server.label, wrongZone(zone, 'no SOA'))
    this.#isProbed = true
  }

  reader(topic: Topic, box: Box): BoxReader {
    const known = new BoundedMap<string, Known>(MaxKnown)
    return { read: (signal) => this.#read(topic, box, known, signal) }
  }

  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    // A key or a zone that is wrong has words of its own there.
    if (!this.#isProbed) await this.probe(signal)
    const index = indexName(this.#settings.zone, record.topic, record.box)
    if (!this.#flooded.delete(index)) {
      try {
        await this.#put(record, [], signal)
        return
      } catch (error) {
        if (!isServerFailure(error)) throw error
      }
    }
    const found = await this.#indexForChange(index, signal)
    await this.#put(record, this.#clearing(record, index, found, this.#client.unixMs), signal)
  }

  async holds(record: SignalRecord, signal: AbortSignal): Promise<boolean> {
    const { server, zone, key } = this.#settings
    const name = recordName(zone, record)
    const digest = digestOf(record.bytes)
    const message = await this.#client.query(server, name, 'TXT', signal, key)
    this.#noticeAlias(name, message)
    const content = contentOf(message, name)
    if (content === undefined || digestOf(content) !== digest) return false
    const index = indexName(zone, record.topic, record.box)
    const found = await this.#indexForChange(index, signal)
    if (found === undefined || found.isFlooded) {
      this.#flooded.set(index, true)
      return false
    }
    const tidying = this.#clearing(record, index, found, this.#client.unixMs)
    if (tidying.length > 0) await this.#client.update(server, zone, tidying, signal, key)
    return found.entries.some(({ entry }) => entry.sender === record.sender && entry.digest === digest)
  }

  async remove(key: RecordKey, signal: AbortSignal): Promise<void> {
    const { server, zone } = this.#settings
    const [index, name] = [indexName(zone, key.topic, key.box), recordName(zone, key)]
    const placed = this.#placed.get(name)
    const entries =
      placed === undefined
        ? (await this.#readIndex(index, server, signal)).entries.filter(
            ({ entry }) => entry.sender === key.sender,
          )
        : [{ data: placed }]
    this.#placed.delete(name)
    const changes = [deleteAll(name), ...entries.map(({ data }) => deleteOne(index, data))]
    await this.#client.update(server, zone, changes, signal, this.#settings.key)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** One change, of which all is done or nothing. */
  async #put(record: SignalRecord, clearing: readonly RecordFields[], signal: AbortSignal): Promise<void> {
    const { server, zone, key } = this.#settings
    const { topic, box, sender, bytes, expiresInMs } = record
    const [index, name] = [indexName(zone, topic, box), recordName(zone, record)]
    const entry = writeEntry({
      sender,
      expiresAt: this.#client.unixMs + expiresInMs,
      digest: digestOf(bytes),
    })
    const placed = this.#placed.get(name)
    const changes = [
      ...this.#withoutAliases([index, name]),
      ...clearing,
      ...(placed === undefined ? [] : [deleteOne(index, placed)]),
      deleteAll(name),
      add(name, writeContent(bytes)),
      add(index, entry),
    ]
    await this.#client.update(server, zone, changes, signal, key)
    this.#placed.set(name, entry)
  }

  /** Makes room in a box: takes away what has expired, and what is too much. */
  #clearing(
    { topic, box, sender }: RecordKey,
    index: string,
    found: Index | undefined,
    now: number,
  ): readonly RecordFields[] {
    const { zone } = this.#settings
    if (found === undefined) return [deleteAll(index)]
    const others = found.entries.filter(({ entry }) => entry.sender !== sender)
    const alive = others.filter(({ entry }) => entry.expiresAt > now)
    if (found.isFlooded) {
      // Whoever floods a box loses as much of it as everybody else. The honest put theirs back.
      const kept = this.#shuffled(alive).slice(0, KeptEntries)
      return [deleteAll(index), ...kept.map(({ data }) => add(index, data))]
    }
    const expired = others.filter(({ entry }) => entry.expiresAt <= now).slice(0, MaxRemovals)
    return [
      ...expired.map(({ data }) => deleteOne(index, data)),
      ...expired.map(({ entry }) => deleteAll(recordName(zone, { topic, box, sender: entry.sender }))),
    ]
  }

  /** Undefined where the server cannot show it, since somebody has put too much there. */
  async #indexForChange(index: string, signal: AbortSignal): Promise<Index | undefined> {
    const { server } = this.#settings
    try {
      return await this.#readIndex(index, server, signal)
    } catch (error) {
      if (signal.aborted || !isServerFailure(error)) throw error
      return undefined
    }
  }

  async #readIndex(index: string, server: DnsServer, signal: AbortSignal): Promise<Index> {
    const key = server === this.#settings.server ? this.#settings.key : undefined
    const message = await this.#client.query(server, index, 'TXT', signal, key)
    if (server === this.#settings.server) this.#noticeAlias(index, message)
    const all = message.answers.filter(({ type, name }) => type === Type.TXT && name === index)
    const entries = all.flatMap(({ data }) => {
      const entry = readEntry(data)
      return entry === undefined ? [] : [{ entry, data }]
    })
    const bytes = all.reduce((sum, { data }) => sum + data.length, 0)
    return { entries, isFlooded: all.length >= MaxEntries || bytes > MaxIndexBytes }
  }

  async #read(
    topic: Topic,
    box: Box,
    known: BoundedMap<string, Known>,
    signal: AbortSignal,
  ): Promise<readonly FoundRecord[]> {
    const { zone } = this.#settings
    const { clock } = this.#options
    return this.#readers.ask(async (server) => {
      const { entries } = await this.#readIndex(indexName(zone, topic, box), server, signal)
      const now = this.#client.unixMs
      const fresh = entries
        .map(({ entry }) => entry)
        .filter(
          ({ sender, digest, expiresAt }) =>
            expiresAt > now && (known.get(`${sender} ${digest}`)?.againAt ?? 0) <= clock.now(),
        )
      const wanted = this.#shuffled(fresh).slice(0, MaxFetches)
      const found: FoundRecord[] = []
      const fetchSome = async (): Promise<void> => {
        for (let next = wanted.pop(); next !== undefined; next = wanted.pop()) {
          const { sender, digest, expiresAt } = next
          const name = recordName(zone, { topic, box, sender })
          const bytes = contentOf(await this.#query(server, name, signal), name)
          const isIt = bytes !== undefined && digestOf(bytes) === digest
          const id = `${sender} ${digest}`
          const pauseMs = Math.min((known.get(id)?.pauseMs ?? FirstMissMs / 2) * 2, LongestMissMs)
          known.set(id, { pauseMs, againAt: isIt ? Number.POSITIVE_INFINITY : clock.now() + pauseMs })
          if (isIt) found.push({ sender, bytes, expiresInMs: Math.max(0, expiresAt - now) })
        }
      }
      await Promise.all(Array.from({ length: ConcurrentFetches }, fetchSome))
      return found
    })
  }

  #query(server: DnsServer, name: string, signal: AbortSignal): Promise<Message> {
    const key = server === this.#settings.server ? this.#settings.key : undefined
    return this.#client.query(server, name, 'TXT', signal, key)
  }

  #noticeAlias(name: string, { answers }: Message): void {
    if (answers.some((answer) => answer.type === Type.CNAME && answer.name === name))
      this.#aliases.set(name, true)
  }

  #withoutAliases(names: readonly string[]): readonly RecordFields[] {
    return names
      .filter((name) => this.#aliases.delete(name))
      .map((name) => ({ ...deleteAll(name), type: Type.CNAME }))
  }

  #shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, at: this.#options.random.fraction() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item)
  }
}

/** What somebody can bring about who puts too much into a box. */
function isServerFailure(error: unknown): boolean {
  return error instanceof SignallingError && /SERVFAIL|too large/.test(error.message)
}

/** The content at a name that has one TXT record of ours. */
function contentOf({ rcode, answers }: Message, name: string): Uint8Array | undefined {
  if (rcode !== Rcode.NOERROR) return undefined
  for (const answer of answers) {
    if (answer.type !== Type.TXT || answer.name !== name) continue
    const content = readContent(answer.data)
    if (content !== undefined) return content
  }
  return undefined
}

/** RFC 2136 section 2.5.1. It is not to be cached: who waits for an answer asks again and again. */
function add(name: string, data: Uint8Array): RecordFields {
  return { name, type: Type.TXT, class: Class.IN, ttl: 0, data }
}

/** All TXT records of a name: section 2.5.2. */
function deleteAll(name: string): RecordFields {
  return { name, type: Type.TXT, class: Class.ANY, ttl: 0, data: new Uint8Array(0) }
}

/** One record of a name: section 2.5.4. */
function deleteOne(name: string, data: Uint8Array): RecordFields {
  return { name, type: Type.TXT, class: Class.NONE, ttl: 0, data }
}
