/**
 * The records that this adapter keeps in the DHT: laid there again before nodes drop them, and after the
 * proxy was away, as long as they are to be kept.
 */
import { setMaxListeners } from 'node:events'
import type { Clock, Random } from '../../core/ports.js'
import type { RecordKey, SignalRecord } from '../../core/signalling-adapter.js'
import type { Reachability } from '../shared/reachability.js'
import { abortable } from '../waiting.js'
import { boxKey, type DhtProxy, type StoredValue } from './proxy.js'
import { commitmentTo, encodeValue, MaxSecrets, SecretBytes } from './value.js'

export interface OwnRecordsOptions {
  readonly proxy: DhtProxy
  readonly reachability: Reachability
  readonly clock: Clock
  readonly random: Random
}

interface Own {
  readonly key: RecordKey
  readonly value: StoredValue
  readonly secret: Uint8Array
  readonly expiresAt: number
  /** Whether the DHT has, or may have, the value: else there is nothing to take back. */
  wasSent: boolean
  cancelTimer: () => void
}

/** Nodes keep a value for 10 minutes. */
const RefreshMs = 4 * 60_000
/** The oldest goes first: it expires by itself. */
const MaxOwn = 1024
/** A farewell to a proxy that does not answer is given up. */
const PartingMs = 1_000

export class OwnRecords {
  readonly #options: OwnRecordsOptions
  readonly #own = new Map<string, Own>()
  /** What takes back earlier values of a record, the latest ones. */
  readonly #secrets = new Map<string, Uint8Array[]>()
  readonly #closing = new AbortController()

  constructor(options: OwnRecordsOptions) {
    this.#options = options
    // Every record that is laid there again listens to it.
    setMaxListeners(0, this.#closing.signal)
  }

  /** Resolves when the DHT has the record. */
  async put(record: SignalRecord, signal: AbortSignal): Promise<void> {
    const { clock, proxy, random, reachability } = this.#options
    const { topic, box, sender } = record
    const name = nameOf(record)
    const secret = random.bytes(SecretBytes)
    const secrets = this.#secretsOf(name)
    const encoded = encodeValue({
      kind: 'record',
      sender,
      commitment: commitmentTo(secret),
      secrets,
      bytes: record.bytes,
    })
    const own: Own = {
      key: { topic, box, sender },
      value: { id: randomId(random), data: Buffer.from(encoded).toString('base64') },
      secret,
      expiresAt: clock.now() + record.expiresInMs,
      wasSent: false,
      cancelTimer: () => undefined,
    }
    try {
      await reachability.persist(() => {
        own.wasSent = true
        return proxy.put(boxKey(topic, box), own.value, signal)
      }, signal)
    } catch (error) {
      // The proxy may have stored it all the same.
      if (own.wasSent) void this.#takeBack(own.key, [secret])
      throw error
    }
    this.#remember(name, own)
  }

  /** Takes a record back, best effort. */
  async retract(key: RecordKey, signal: AbortSignal): Promise<void> {
    const name = nameOf(key)
    const secrets = this.#secretsOf(name)
    this.#forget(name)
    // Joins and answers are over in 10 minutes; only a beacon leads astray who comes later.
    if (secrets.length === 0 || key.box !== 'host' || !this.#options.reachability.isUp) return
    await abortable(this.#takeBack(key, secrets), signal)
  }

  /** Lays everything into the DHT again: the proxy may have lost it. */
  putAgain(): void {
    for (const [name, own] of this.#own) {
      own.cancelTimer()
      void this.#refresh(name, own)
    }
  }

  /** Takes the beacons back, within a second. */
  async close(): Promise<void> {
    const beacons = [...this.#own.values()].filter(({ key }) => key.box === 'host')
    const farewells = beacons.map(({ key }) => this.#takeBack(key, this.#secretsOf(nameOf(key))))
    for (const name of [...this.#own.keys()]) this.#forget(name)
    const left = new Promise<void>((resolve) => {
      const cancel = this.#options.clock.after(farewells.length === 0 ? 0 : PartingMs, resolve)
      void Promise.all(farewells).then(() => {
        cancel()
        resolve()
      })
    })
    await left
    this.#closing.abort()
  }

  #secretsOf(name: string): Uint8Array[] {
    const current = this.#own.get(name)?.secret
    return [...(this.#secrets.get(name) ?? []), ...(current === undefined ? [] : [current])].slice(
      -MaxSecrets,
    )
  }

  #remember(name: string, own: Own): void {
    if (this.#closing.signal.aborted) return
    const secrets = this.#secretsOf(name)
    this.#own.get(name)?.cancelTimer()
    this.#own.delete(name)
    this.#own.set(name, own)
    this.#secrets.set(name, secrets)
    this.#refreshLater(name, own)
    if (this.#own.size <= MaxOwn) return
    const [oldest] = this.#own.keys()
    if (oldest !== undefined) this.#forget(oldest)
  }

  #forget(name: string): void {
    this.#own.get(name)?.cancelTimer()
    this.#own.delete(name)
    this.#secrets.delete(name)
  }

  #refreshLater(name: string, own: Own): void {
    const { clock, random } = this.#options
    const leftMs = own.expiresAt - clock.now()
    const refreshMs = RefreshMs * (0.9 + random.fraction() / 10)
    own.cancelTimer =
      leftMs > refreshMs
        ? clock.after(refreshMs, () => void this.#refresh(name, own))
        : clock.after(Math.max(0, leftMs), () => {
            if (this.#own.get(name) !== own) return
            void this.retract(own.key, this.#closing.signal).catch(() => undefined)
          })
  }

  async #refresh(name: string, own: Own): Promise<void> {
    const { proxy, reachability } = this.#options
    const { topic, box } = own.key
    const { signal } = this.#closing
    try {
      await reachability.persist(() => {
        if (this.#own.get(name) !== own) return Promise.resolve()
        return proxy.put(boxKey(topic, box), own.value, signal)
      }, signal)
    } catch {
      // It is closing, or the proxy does not take it any more, which whoever publishes next is told.
    }
    if (this.#own.get(name) === own && !signal.aborted) {
      own.cancelTimer()
      this.#refreshLater(name, own)
    }
  }

  async #takeBack({ topic, box }: RecordKey, secrets: readonly Uint8Array[]): Promise<void> {
    const { proxy, random } = this.#options
    const encoded = encodeValue({ kind: 'retraction', secrets })
    const value = { id: randomId(random), data: Buffer.from(encoded).toString('base64') }
    await proxy.put(boxKey(topic, box), value, this.#closing.signal).catch(() => undefined)
  }
}

function nameOf({ topic, box, sender }: RecordKey): string {
  return `${topic}/${box}/${sender}`
}

/** Random, so that nobody can have taken it: nodes do not change a value under its id. Never 0, which is none. */
function randomId(random: Random): string {
  const bytes = random.bytes(8)
  const id = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0)
  return (id === 0n ? 1n : id).toString()
}
