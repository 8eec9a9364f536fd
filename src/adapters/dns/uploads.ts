/** Puts messages together whose parts come as questions, from anybody, in any order, some of them twice. */
import { concatenate } from '../../core/encoding.js'
import type { Clock } from '../../core/ports.js'
import { BoundedMap } from '../shared/bounded-map.js'
import { FairShare } from './fair-share.js'
import type { UploadPart } from './question-name.js'
import { MaxUploadBytes } from './upload-message.js'

interface Upload {
  readonly name: string
  readonly topic: string
  readonly source: string
  readonly count: number
  readonly parts: Map<number, Uint8Array>
  bytes: number
  touchedAt: number
}

const MaxUploadsPerTopic = 512
const MaxUploads = 2048
const MaxBytes = 4 * 1024 * 1024
const IdleMs = 15_000
/** How often, in ms, idle ones are looked for where there is no room. */
const SweepMs = 1_000
/** Resolvers repeat questions: what came of a message is told again. */
const MaxRemembered = 4096

export class Uploads {
  readonly #clock: Clock
  readonly #handle: (topic: string, message: Uint8Array, source: string) => string
  readonly #uploads = new Map<string, Upload>()
  readonly #topics = new Map<string, FairShare<Upload>>()
  readonly #all = new FairShare<Upload>()
  readonly #results = new BoundedMap<string, string>(MaxRemembered)
  #bytes = 0
  #sweptAt = Number.NEGATIVE_INFINITY

  /** @param handle does what a whole message says, and returns what to answer */
  constructor(clock: Clock, handle: (topic: string, message: Uint8Array, source: string) => string) {
    this.#clock = clock
    this.#handle = handle
  }

  /** Bytes that are kept of messages that are not whole. */
  get pendingBytes(): number {
    return this.#bytes
  }

  /** @returns what to answer: `part` while others are missing */
  take(part: UploadPart, source: string): string {
    const name = `${part.topic}/${part.upload}`
    const result = this.#results.get(name)
    if (result !== undefined) return result
    const upload = this.#uploads.get(name) ?? this.#begin(name, part, source)
    if (upload.count !== part.count) return 'refused malformed'
    upload.touchedAt = this.#clock.now()
    if (!upload.parts.has(part.index)) {
      if (upload.bytes + part.data.length > MaxUploadBytes) {
        this.#drop(upload)
        return 'refused too-large'
      }
      upload.parts.set(part.index, part.data)
      upload.bytes += part.data.length
      this.#bytes += part.data.length
    }
    if (upload.parts.size < upload.count) return 'part'
    this.#drop(upload)
    const parts = Array.from(
      { length: upload.count },
      (_, index) => upload.parts.get(index) ?? new Uint8Array(0),
    )
    const answer = this.#handle(part.topic, concatenate(...parts), source)
    this.#results.set(name, answer)
    return answer
  }

  #begin(name: string, { topic, count, data }: UploadPart, source: string): Upload {
    this.#makeRoom(topic, data.length)
    const upload = {
      name,
      topic,
      source,
      count,
      parts: new Map<number, Uint8Array>(),
      bytes: 0,
      touchedAt: 0,
    }
    this.#uploads.set(name, upload)
    const share = this.#topics.get(topic) ?? new FairShare<Upload>()
    this.#topics.set(topic, share)
    share.add(source, upload)
    this.#all.add(source, upload)
    return upload
  }

  #makeRoom(topic: string, bytes: number): void {
    const isFull = (): boolean => this.#all.count >= MaxUploads || this.#bytes + bytes > MaxBytes
    if (isFull() || (this.#topics.get(topic)?.count ?? 0) >= MaxUploadsPerTopic) this.#dropIdle()
    while ((this.#topics.get(topic)?.count ?? 0) >= MaxUploadsPerTopic)
      this.#dropVictim(this.#topics.get(topic))
    while (isFull()) this.#dropVictim(this.#all)
  }

  #dropIdle(): void {
    const now = this.#clock.now()
    if (now - this.#sweptAt < SweepMs) return
    this.#sweptAt = now
    const before = now - IdleMs
    for (const upload of [...this.#uploads.values()]) {
      if (upload.touchedAt < before) this.#drop(upload)
    }
  }

  #dropVictim(share: FairShare<Upload> | undefined): void {
    const victim = share?.victim()
    if (victim !== undefined) this.#drop(victim)
  }

  #drop(upload: Upload): void {
    this.#uploads.delete(upload.name)
    this.#all.delete(upload.source, upload)
    const share = this.#topics.get(upload.topic)
    share?.delete(upload.source, upload)
    if (share?.count === 0) this.#topics.delete(upload.topic)
    this.#bytes -= upload.bytes
  }
}
