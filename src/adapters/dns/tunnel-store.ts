/**
 * Records in a zone that gonet serves, reached through a resolver: they go up in the names that are asked for,
 * and come down in the answers.
 */
import { fromUtf8 } from '../../core/encoding.js'
import { DecodeError, explain, SignallingError } from '../../core/errors.js'
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { abortable } from '../waiting.js'
import { type ClientOptions, DnsClient } from './client.js'
import { Rcode, Type } from './constants.js'
import { Failover } from './failover.js'
import { failure } from './failure.js'
import { digestOf } from './index-entry.js'
import { type Message, readTxt } from './message.js'
import { type Page, readPage } from './page.js'
import {
  beaconName,
  type Cursor,
  CursorBytes,
  checkName,
  NonceBytes,
  pageName,
  probeName,
  UploadIdBytes,
  uploadNames,
} from './question-name.js'
import type { DnsServer, TunnelSettings } from './settings.js'
import type { BoxReader, FoundRecord, RecordStore } from './store.js'
import { TokenBytes, type UploadMessage, writeUpload } from './upload-message.js'
import { BeaconTtl, isProbeAnswer } from './zone-answers.js'

/** Questions at a time for one message. */
const ConcurrentParts = 6
/** How often a message is sent up anew whose parts the server has lost. */
const MaxUploads = 3
/** Pages of one read. */
const MaxPages = 16

export class TunnelStore implements RecordStore {
  readonly #settings: TunnelSettings
  readonly #options: ClientOptions
  readonly #client: DnsClient
  readonly #resolvers: Failover
  readonly #token: Uint8Array

  constructor(settings: TunnelSettings, options: ClientOptions) {
    this.#settings = settings
    this.#options = options
    this.#client = new DnsClient(options)
    this.#resolvers = new Failover(settings.resolvers)
    this.#token = options.random.bytes(TokenBytes)
  }

  async probe(signal: AbortSignal): Promise<void> {
    const answer = await this.#ask(probeName(this.#settings.zone, this.#nonce()), signal)
    if (answer === undefined || !isProbeAnswer(answer)) throw this.#notServed()
  }

  reader(topic: Topic, box: Box): BoxReader {
    let cursor: Cursor = new Uint8Array(CursorBytes)
    const read = async (signal: AbortSignal): Promise<readonly FoundRecord[]> => {
      const found: FoundRecord[] = []
      for (let pages = 0; pages < MaxPages; pages++) {
        const page = await this.#page(
          pageName(this.#settings.zone, topic, box, cursor, this.#nonce()),
          signal,
        )
        if (page === undefined) throw this.#notServed()
        found.push(...page.records)
        cursor = page.cursor
        if (!page.hasMore) break
      }
      return found
    }
    return box === 'host' ? this.#beaconReader(topic, read) : { read }
  }

  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { topic, box, sender, bytes, expiresInMs } = record
    await this.#upload(topic, { action: 'put', box, sender, bytes, expiresInMs, token: this.#token }, signal)
  }

  async holds(record: SignalRecord, signal: AbortSignal): Promise<boolean> {
    const answer = await this.#ask(checkName(this.#settings.zone, record, this.#nonce()), signal)
    return answer !== undefined && fromUtf8(answer) === digestOf(record.bytes)
  }

  async remove({ topic, box, sender }: RecordKey, signal: AbortSignal): Promise<void> {
    const nothing = { bytes: new Uint8Array(0), expiresInMs: 0 }
    await this.#upload(topic, { action: 'remove', box, sender, token: this.#token, ...nothing }, signal)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  /** Leaves beacons in the resolver's cache, and finds them there where the server is away. */
  #beaconReader(topic: Topic, read: BoxReader['read']): BoxReader {
    const { clock } = this.#options
    const readCached = async (signal: AbortSignal): Promise<readonly FoundRecord[]> =>
      (await this.#page(beaconName(this.#settings.zone, topic), signal))?.records ?? []
    let cacheAt = Number.NEGATIVE_INFINITY
    return {
      readCached,
      read: async (signal) => {
        if (clock.now() >= cacheAt) {
          cacheAt = clock.now() + BeaconTtl * 1000
          // Only the question matters: what it brings is older than what the other one does.
          readCached(signal).catch(() => undefined)
        }
        return read(signal)
      },
    }
  }

  async #page(name: string, signal: AbortSignal): Promise<Page | undefined> {
    const answer = await this.#ask(name, signal)
    if (answer === undefined) return undefined
    try {
      return readPage(answer)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      throw failure('dns-unreachable', this.#resolvers.current.label, explain(error), error)
    }
  }

  async #upload(topic: Topic, message: UploadMessage, signal: AbortSignal): Promise<void> {
    const bytes = writeUpload(message)
    for (let attempt = 0; attempt < MaxUploads; attempt++) {
      const names = uploadNames(this.#settings.zone, topic, this.#options.random.bytes(UploadIdBytes), bytes)
      const answer = await this.#askAll([...names], signal)
      if (answer === 'stored' || answer === 'removed') return
      if (answer !== 'part') throw failure('dns-refused', this.#settings.zone, refusalWords(answer))
    }
    throw failure(
      'dns-unreachable',
      this.#settings.zone,
      'its server is too busy to put our records together',
    )
  }

  /** Asks for every name; what the server said last that is not `part`, if anything. */
  async #askAll(names: string[], signal: AbortSignal): Promise<string> {
    let outcome = 'part'
    const stop = new AbortController()
    const askSome = async (): Promise<void> => {
      for (let name = names.pop(); name !== undefined && !stop.signal.aborted; name = names.pop()) {
        const answer = await this.#ask(name, signal)
        if (answer === undefined) throw this.#notServed()
        const said = fromUtf8(answer) ?? ''
        if (said === 'part') continue
        outcome = said
        if (said.startsWith('refused')) stop.abort()
      }
    }
    await abortable(Promise.all(Array.from({ length: ConcurrentParts }, askSome)), signal)
    return outcome
  }

  /** The text at a name, or undefined where there is none. */
  #ask(name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return this.#resolvers.ask(async (server) => textOf(await this.#query(server, name, signal)))
  }

  async #query(server: DnsServer, name: string, signal: AbortSignal): Promise<Message> {
    const { zone } = this.#settings
    try {
      const message = await this.#client.query(server, name, 'TXT', signal)
      if (message.rcode === Rcode.NXDOMAIN) {
        throw failure(
          'dns-refused',
          server.label,
          `${zone} has no such name (NXDOMAIN): it is not delegated, or not to gonet`,
        )
      }
      return message
    } catch (error) {
      if (!(error instanceof SignallingError) || !error.message.includes('(SERVFAIL)')) throw error
      throw failure(
        'dns-unreachable',
        server.label,
        `it cannot reach the server of ${zone} (SERVFAIL)`,
        error,
      )
    }
  }

  #notServed(): SignallingError {
    const { zone } = this.#settings
    return failure(
      'dns-refused',
      this.#resolvers.current.label,
      `the server of ${zone} is not gonet's (adapters.dns.zone)`,
    )
  }

  #nonce(): Uint8Array {
    return this.#options.random.bytes(NonceBytes)
  }
}

function refusalWords(answer: string): string {
  switch (answer) {
    case 'refused box':
      return "its server takes no such record: it is a host's own, and of another room"
    case 'refused sender':
      return 'somebody else has taken the sender of our record'
    case 'refused too-large':
      return 'its server takes no record of this size'
    default:
      return 'its server does not understand our record: it may be another version'
  }
}

function textOf({ answers }: Message): Uint8Array | undefined {
  // An alias on the way would be a server's own business; the text is what counts.
  const found = answers.find(({ type }) => type === Type.TXT)
  return found && readTxt(found.data)
}
