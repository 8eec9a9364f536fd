/**
 * Where a room's host is found: at the topic that derives from the room id, at the one that derives from the room's
 * secret, or at both (docs/protocol.md, Sealing).
 */
import type { Crypto, Random } from './ports.js'
import { beaconKey, openBeacon, roomTopic, sealBeacon, type Whereabouts } from './sealing.js'
import type { SignalRecord, Topic } from './signalling-adapter.js'

export class MeetingPoints {
  readonly #crypto: Crypto
  readonly #beaconKeys = new Map<Topic, Uint8Array>()

  constructor(crypto: Crypto) {
    this.#crypto = crypto
  }

  get topics(): readonly Topic[] {
    return Array.from(this.#beaconKeys.keys())
  }

  has(topic: Topic): boolean {
    return this.#beaconKeys.has(topic)
  }

  /** @returns the topic; undefined where it was there before */
  add(by: Whereabouts): Topic | undefined {
    const topic = roomTopic(this.#crypto, by)
    if (this.has(topic)) return undefined
    this.#beaconKeys.set(topic, beaconKey(this.#crypto, by))
    return topic
  }

  /** A beacon's message, sealed for those who look at each of the topics. */
  seal(random: Random, message: Uint8Array): readonly Pick<SignalRecord, 'topic' | 'bytes'>[] {
    return Array.from(this.#beaconKeys, ([topic, key]) => ({
      topic,
      bytes: sealBeacon(this.#crypto, random, key, message),
    }))
  }

  /** @throws DecodeError `record-…` */
  open({ topic, bytes }: SignalRecord): Uint8Array {
    return openBeacon(this.#crypto, this.#beaconKeys.get(topic) ?? new Uint8Array(32), bytes)
  }
}
