/** The records of a host that is its zone's server itself: they are in this process. */
import { toHex } from '../../core/encoding.js'
import { SignallingError } from '../../core/errors.js'
import { formatSocketAddress } from '../../core/machine.js'
import type { Clock, Random } from '../../core/ports.js'
import type { Box, RecordKey, SignalRecord, Topic } from '../../core/signalling-adapter.js'
import { abortable } from '../waiting.js'
import { listenFailure } from './failure.js'
import type { Cursor } from './question-name.js'
import { CursorBytes, recordIdOf } from './question-name.js'
import type { ServeSettings } from './settings.js'
import type { BoxReader, FoundRecord, RecordStore } from './store.js'
import { TokenBytes } from './upload-message.js'
import { ZoneAnswers } from './zone-answers.js'
import { ZoneRecords } from './zone-records.js'
import { ZoneServer } from './zone-server.js'

export interface LocalStoreOptions {
  readonly clock: Clock
  readonly random: Random
  /** The only topics that strangers may put joins into. */
  readonly topics: readonly Topic[]
}

/** Nothing comes up from here. */
const OwnSource = 'own'

export class LocalStore implements RecordStore {
  readonly #settings: ServeSettings
  readonly #records: ZoneRecords
  readonly #server: ZoneServer
  readonly #token: string
  readonly #topics: Set<Topic>
  readonly #listening: Promise<void>
  #startedListening: () => void = () => undefined
  #isListening = false
  #isClosed = false

  constructor(settings: ServeSettings, { clock, random, topics }: LocalStoreOptions) {
    this.#settings = settings
    this.#token = toHex(random.bytes(TokenBytes))
    this.#topics = new Set(topics)
    this.#records = new ZoneRecords({ clock, random })
    const answers = new ZoneAnswers({
      zone: settings.zone,
      advertised: settings.advertised,
      records: this.#records,
      clock,
      takes: ({ topic, box }) => box === 'join' && this.#topics.has(topic),
      // Whoever else joins is the host's business alone.
      shows: (_topic, box) => box !== 'join',
    })
    this.#server = new ZoneServer({ answers, clock })
    this.#listening = new Promise((resolve) => {
      this.#startedListening = resolve
    })
  }

  async probe(): Promise<void> {
    if (this.#isListening) return
    const { listen } = this.#settings
    try {
      await this.#server.listen(listen)
      this.#isListening = true
      this.#startedListening()
    } catch (error) {
      throw listenFailure(formatSocketAddress(listen), error)
    }
    if (this.#isClosed) await this.#server.close()
  }

  reader(topic: Topic, box: Box, onChange: () => void): BoxReader {
    this.#topics.add(topic)
    const close = this.#records.listen(topic, box, onChange)
    let cursor: Cursor = new Uint8Array(CursorBytes)
    const read = async (signal: AbortSignal): Promise<readonly FoundRecord[]> => {
      await abortable(this.#listening, signal)
      const found: FoundRecord[] = []
      for (let hasMore = true; hasMore; ) {
        const page = this.#records.page(topic, box, cursor)
        found.push(...page.records)
        ;({ cursor, hasMore } = page)
      }
      return found
    }
    return { read, close }
  }

  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    await abortable(this.#listening, signal)
    const isStored = this.#records.put(record, { source: OwnSource, token: this.#token })
    // Strangers can store joins only, and only a join of our own could meet one.
    if (!isStored)
      throw new SignallingError('dns-refused', 'somebody else has taken the sender of our record')
  }

  holds(record: SignalRecord): Promise<boolean> {
    return Promise.resolve(this.#records.get(record.topic, recordIdOf(record)) !== undefined)
  }

  remove(key: RecordKey): Promise<void> {
    this.#records.remove(key, this.#token)
    return Promise.resolve()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#server.close()
  }
}
