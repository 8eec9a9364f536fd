/**
 * The host's side of signalling, as a machine: it keeps a beacon lying on every backend, opens and checks
 * joins, and hands out one answer per join, however often and by whatever backend the join comes
 * (docs/protocol.md, Joining).
 */
import { Counters, TokenBucket } from './bounded.js'
import { fromUtf8, toBase32, toHex, utf8 } from './encoding.js'
import { DecodeError, GonetError } from './errors.js'
import type { Identity } from './identity.js'
import { earliest, type Machine } from './machine.js'
import { MeetingPoints } from './meeting-points.js'
import {
  type AdmissionKind,
  type Beacon,
  type Join,
  type Refuse,
  readMessage,
  type Update,
  type Welcome,
  writeMessage,
} from './messages.js'
import type { Crypto, KeyPair, Random, Store } from './ports.js'
import { puzzleOf, solvedBits } from './puzzle.js'
import { PuzzleLevel } from './puzzle-level.js'
import { Reservoir } from './reservoir.js'
import type { RoomId } from './room-id.js'
import { joinRecordProblem, openJoin, presharedKey, sealReply } from './sealing.js'
import type { SignalTransmit } from './signal.js'
import type { Box, SignalRecord, Topic } from './signalling-adapter.js'

/** How long a backend is asked to keep each kind of record. */
const BeaconExpiresInMs = 15 * 60_000
const ReplyExpiresInMs = 60_000
/** How often the beacon is published anew, so that it never expires while the host lives. */
const BeaconRefreshMs = 5 * 60_000
/** Joins remembered in an epoch. A new epoch begins at three quarters of it, so none is ever forgotten. */
const MaxJoinsPerEpoch = 1024
/** Joins that wait for `welcome` or `refuse`. */
const MaxOpenJoins = 256
/** Join records opened, a second. A join that has to be answered counts as several. */
const RecordsPerSecond = 500
const AnsweredJoinRecords = 5
/** Join records that wait to be opened: a sample of those that come. An honest guest repeats its join. */
const MaxWaitingRecords = 256
const TakeIntervalMs = 50
/** Records that were opened and are no joins: the same bytes are not opened again for a while. */
const MaxOpenedRecords = 4096
const OpenAgainMs = 5000
/** A join that comes again is answered again this often at most, on each backend. */
const AnswerAgainMs = 500
/** Others' beacons looked at, a second. */
const BeaconsPerSecond = 50
/** A beacon of our own that is newer than we are makes us begin a newer epoch, this often at most. */
const OvertakeIntervalMs = 10_000

const EpochName = 'epoch'
const MaxCounter = 2 ** 32 - 1

export interface HostOptions {
  readonly identity: Identity
  readonly room: RoomId
  /** The host's display name. */
  readonly username: string
  /** How guests get in, as the beacon says. Default open. Under `invite` the room is not found by its id. */
  readonly admission?: AdmissionKind
  /** The room's secret, 16 bytes, where it has one: the room is found by that too. */
  readonly secret?: Uint8Array | undefined
  readonly crypto: Crypto
  readonly random: Random
  /** The room's own store: keeps the epoch counter. */
  readonly store: Store
}

/** A join that waits for an answer. */
export interface JoinRequest {
  readonly join: Join
  /** SHA-512 of the join. */
  readonly hash: Uint8Array
  /** The epoch's WireGuard key pair, which the answer names. */
  readonly wireguard: KeyPair
}

export type HostEvent =
  /** A new epoch has begun: from now on answers name this WireGuard key. */
  | { readonly type: 'epoch'; readonly epoch: string; readonly wireguard: KeyPair }
  | { readonly type: 'join'; readonly request: JoinRequest }
  /** Candidates found late, of a guest whose join was answered; `join` is its hash in hex. */
  | { readonly type: 'update'; readonly join: string; readonly candidates: string }
  /** The counter of a later epoch could not be kept: a restarted host overtakes its beacon, if it sees it. */
  | { readonly type: 'store-failed'; readonly error: GonetError }

export type WelcomeAnswer = Pick<Welcome, 'peer' | 'subnet' | 'address' | 'ice' | 'candidates'>

interface Epoch {
  readonly id: string
  readonly seal: KeyPair
  readonly wireguard: KeyPair
  /** By SHA-512 of the join, hex. */
  readonly joins: Map<string, KnownJoin>
  /** By the record's puzzle: a repeated join is sealed just as before, and costs one hash. */
  readonly byRecord: Map<string, KnownJoin>
  /** What waits to be opened, and when what was opened may be opened again; by the same. */
  readonly waiting: Reservoir<WaitingRecord>
  readonly opened: Map<string, number>
  readonly nonces: Set<string>
  readonly wireguardKeys: Set<string>
}

/** How a join came, and how its answer goes. */
interface Way {
  readonly adapter: string
  readonly topic: Topic
}

interface WaitingRecord {
  readonly bytes: Uint8Array
  /** By `wayName`. */
  readonly ways: Map<string, Way>
}

interface KnownJoin {
  readonly request: JoinRequest
  /** The record's puzzle. */
  readonly record: string
  /** By `wayName`: each gets the answer. */
  readonly ways: Map<string, Way>
  /** When one of them got the answer again. */
  readonly answeredAgainAt: Map<string, number>
  answer: Uint8Array | undefined
}

export class Host implements Machine<HostEvent, SignalTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Counters = new Counters()
  readonly #options: HostOptions
  readonly #points: MeetingPoints
  /** Signs as the port's `sign` does, and fast enough for answers in numbers. */
  readonly #signer: Pick<Crypto, 'sign'>
  readonly #bucket = new TokenBucket(RecordsPerSecond, RecordsPerSecond)
  readonly #beacons = new TokenBucket(BeaconsPerSecond, BeaconsPerSecond)
  readonly #puzzle = new PuzzleLevel()
  readonly #transmits: SignalTransmit[] = []
  readonly #events: HostEvent[] = []
  #epoch: Epoch | undefined
  /** Of the latest epoch. */
  #counter = 0
  #refreshAt: number | undefined
  /** When waiting records are opened. */
  #takeAt: number | undefined
  #overtakeAfter = -Infinity
  #openJoins = 0

  constructor(options: HostOptions) {
    this.#options = options
    this.#points = new MeetingPoints(options.crypto)
    if (options.admission !== 'invite') this.#points.add(options.room)
    if (options.secret !== undefined) this.#points.add(options.secret)
    const sign = options.crypto.signer(options.identity.secretKey)
    this.#signer = { sign }
  }

  /** The first of its topics. */
  get topic(): Topic {
    return this.topics[0] ?? ''
  }

  get topics(): readonly Topic[] {
    return this.#points.topics
  }

  /**
   * Begins an epoch and lays out the beacon. Call it once.
   * @throws GonetError `store-failed` where the epoch's counter cannot be kept
   */
  start(now: number): void {
    this.#counter = readCounter(this.#options.store)
    for (const topic of this.topics) this.#watch(topic)
    this.#beginEpoch(now, 0)
  }

  /** Has the room found by its secret too, from now on. */
  addSecret(now: number, secret: Uint8Array): void {
    const topic = this.#points.add(secret)
    if (topic === undefined || this.#epoch === undefined) return
    this.#watch(topic)
    this.#publishBeacon(now)
  }

  /** Takes the beacon back. Safe to call twice. */
  stop(): void {
    if (this.#epoch === undefined) return
    this.#retractBeacons(this.#epoch.id)
    this.#epoch = undefined
    this.#refreshAt = undefined
    this.#takeAt = undefined
  }

  /** Takes a record from a backend; what is wrong with it is counted, nothing else happens. */
  handleRecord(now: number, adapter: string, record: SignalRecord): void {
    if (!this.#points.has(record.topic) || this.#epoch === undefined) return
    if (record.box === 'join') this.#receiveJoin(now, this.#epoch, adapter, record)
    else if (record.box === 'host') this.#receiveBeacon(now, this.#epoch, record)
  }

  /**
   * Answers a join with a welcome.
   * @param secret that of the invite which the join has proved
   * @returns the preshared key of the tunnel to that guest, or undefined where its epoch has ended or its
   *   box key is unusable: the guest will join again
   */
  welcome(request: JoinRequest, answer: WelcomeAnswer, secret?: Uint8Array): Uint8Array | undefined {
    const { crypto, identity, room, username } = this.#options
    const message: Welcome = {
      action: 'welcome',
      room,
      publicKey: identity.publicKey,
      method: 'SHA-512',
      username,
      wireguard: request.wireguard.publicKey,
      epoch: request.join.epoch,
      inReplyTo: request.hash,
      ...answer,
    }
    const bytes = writeMessage(this.#signer, identity, message)
    if (!this.#answer(request, bytes)) return undefined
    return presharedKey(crypto, request.hash, crypto.sha512(bytes), secret)
  }

  /** Answers a join with a refusal: a stable code, and a text for the person. */
  refuse(request: JoinRequest, code: string, text: string): void {
    const { identity, room } = this.#options
    const message: Refuse = {
      action: 'refuse',
      room,
      publicKey: identity.publicKey,
      epoch: request.join.epoch,
      inReplyTo: request.hash,
      code,
      text,
    }
    this.#answer(request, writeMessage(this.#signer, identity, message))
  }

  /** Forgets a join that is not to be answered. */
  dismiss({ join, hash }: JoinRequest): void {
    const epoch = this.#epoch
    const known = epoch?.joins.get(toHex(hash))
    if (epoch === undefined || known === undefined || known.answer !== undefined) return
    this.#openJoins -= 1
    epoch.joins.delete(toHex(hash))
    epoch.byRecord.delete(known.record)
    epoch.nonces.delete(toHex(join.nonce))
    epoch.wireguardKeys.delete(toHex(join.wireguard))
  }

  handleTimeout(now: number): void {
    if (this.#epoch === undefined) return
    if (this.#takeAt !== undefined && now >= this.#takeAt) this.#takeWaiting(now, this.#epoch)
    const isPuzzleOther = this.#puzzle.handleTimeout(now)
    if (isPuzzleOther || (this.#refreshAt !== undefined && now >= this.#refreshAt)) this.#publishBeacon(now)
  }

  pollTransmit(): SignalTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): HostEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    if (this.#epoch === undefined) return undefined
    return earliest(this.#refreshAt, this.#takeAt, this.#puzzle.pollTimeout())
  }

  #beginEpoch(now: number, overtakes: number): void {
    const { crypto, random } = this.#options
    this.#counter = Math.min(MaxCounter, 1 + Math.max(overtakes, this.#counter))
    this.#keepCounter()
    if (this.#epoch !== undefined) this.#retractBeacons(this.#epoch.id)
    this.#openJoins = 0
    this.#epoch = {
      id: this.#counter.toString(16).padStart(8, '0') + toHex(random.bytes(4)),
      seal: crypto.boxKeyPair(random.bytes(32)),
      wireguard: crypto.boxKeyPair(random.bytes(32)),
      joins: new Map(),
      byRecord: new Map(),
      waiting: new Reservoir(MaxWaitingRecords, random),
      opened: new Map(),
      nonces: new Set(),
      wireguardKeys: new Set(),
    }
    this.#events.push({ type: 'epoch', epoch: this.#epoch.id, wireguard: this.#epoch.wireguard })
    this.#publishBeacon(now)
  }

  #keepCounter(): void {
    try {
      this.#options.store.write(EpochName, utf8(`${this.#counter}\n`))
    } catch (error) {
      // A room that runs does not end with its disk.
      if (this.#epoch === undefined || !(error instanceof GonetError)) throw error
      this.#events.push({ type: 'store-failed', error })
    }
  }

  #publishBeacon(now: number): void {
    const { admission = 'open', identity, random, room, username } = this.#options
    const epoch = this.#epoch
    if (epoch === undefined) return
    const beacon: Beacon = {
      action: 'host',
      room,
      publicKey: identity.publicKey,
      username,
      seal: epoch.seal.publicKey,
      epoch: epoch.id,
      admission,
      puzzle: this.#puzzle.bits,
    }
    for (const sealed of this.#points.seal(random, writeMessage(this.#signer, identity, beacon))) {
      const record = { ...sealed, box: 'host', sender: epoch.id, expiresInMs: BeaconExpiresInMs } as const
      this.#transmits.push({ kind: 'publish', record, repeat: false })
    }
    this.#refreshAt = now + BeaconRefreshMs * (0.9 + 0.1 * random.fraction())
  }

  #watch(topic: Topic): void {
    this.#transmits.push({ kind: 'watch', topic, box: 'join' })
    this.#transmits.push({ kind: 'watch', topic, box: 'host' })
  }

  #retractBeacons(epoch: string): void {
    for (const topic of this.topics) this.#retractBeacon(topic, epoch)
  }

  #retractBeacon(topic: Topic, epoch: string): void {
    this.#transmits.push({ kind: 'retract', key: { topic, box: 'host', sender: epoch } })
  }

  #receiveBeacon(now: number, epoch: Epoch, record: SignalRecord): void {
    if (record.sender === epoch.id) return
    if (!this.#beacons.take(now)) {
      this.counters.count('record-rate')
      return
    }
    this.#counting(() => this.#handleBeaconRecord(now, epoch, record))
  }

  /** Beacons of our own key, from an earlier life: older ones are taken back, a newer one is overtaken. */
  #handleBeaconRecord(now: number, epoch: Epoch, record: SignalRecord): void {
    const { crypto, identity, room } = this.#options
    const { message } = readMessage(crypto, this.#points.open(record))
    if (message.action !== 'host' || message.room !== room) return
    if (!crypto.equal(message.publicKey, identity.publicKey)) {
      this.counters.count('beacon-of-another-host')
      return
    }
    if (message.epoch < epoch.id) {
      // Only a record that names this epoch as its sender: what we sign says which record is ours to remove.
      if (record.sender === message.epoch) this.#retractBeacon(record.topic, message.epoch)
    } else if (message.epoch > epoch.id && now >= this.#overtakeAfter) {
      this.#overtakeAfter = now + OvertakeIntervalMs
      this.#beginEpoch(now, Number.parseInt(message.epoch.slice(0, 8), 16))
    }
  }

  /**
   * Strangers can send any number of these: what costs nothing comes first, then two hashes, and keys are used
   * for a sample only, of those that solved the puzzle.
   */
  #receiveJoin(now: number, epoch: Epoch, adapter: string, { bytes, topic }: SignalRecord): void {
    const problem = joinRecordProblem(bytes)
    if (problem !== undefined) {
      this.counters.count(problem)
      return
    }
    const { crypto } = this.#options
    const puzzle = puzzleOf(crypto, epoch.id, epoch.seal.publicKey, bytes)
    const id = String.fromCharCode(...puzzle)
    const way = { adapter, topic }
    if (this.#isRepeated(now, epoch, way, id)) return
    const bits = solvedBits(crypto, puzzle, bytes)
    this.#puzzle.count(now, bits)
    if (bits < this.#puzzle.bits) {
      this.counters.count('puzzle-unsolved')
      return
    }
    const record = { bytes, ways: new Map([[wayName(way), way]]) }
    if (epoch.waiting.size === 0 && this.#bucket.take(now)) {
      this.#openRecord(now, epoch, id, record)
    } else {
      this.#takeAt ??= now + TakeIntervalMs
      if (epoch.waiting.offer(id, record)) return
      this.counters.count('record-rate')
      if (this.#puzzle.overflow(now)) this.#publishBeacon(now)
    }
  }

  /** Whether the record was here before, and what it is worth a second time. */
  #isRepeated(now: number, epoch: Epoch, way: Way, id: string): boolean {
    const known = epoch.byRecord.get(id)
    const name = wayName(way)
    if (known !== undefined) {
      known.ways.set(name, way)
      if (known.answer === undefined) return true
      if (now < (known.answeredAgainAt.get(name) ?? -Infinity) + AnswerAgainMs) {
        this.counters.count('record-repeated')
        return true
      }
      known.answeredAgainAt.set(name, now)
      this.#publishAnswer(known, way)
      return true
    }
    const waiting = epoch.waiting.get(id)
    waiting?.ways.set(name, way)
    if (waiting === undefined && now >= (epoch.opened.get(id) ?? -Infinity)) return false
    this.counters.count('record-repeated')
    return true
  }

  #takeWaiting(now: number, epoch: Epoch): void {
    // A join can begin a new epoch, and end this one.
    while (epoch === this.#epoch && epoch.waiting.size > 0 && this.#bucket.take(now)) {
      const taken = epoch.waiting.take()
      if (taken !== undefined) this.#openRecord(now, epoch, ...taken)
    }
    this.#takeAt = epoch === this.#epoch && epoch.waiting.size > 0 ? now + TakeIntervalMs : undefined
  }

  #openRecord(now: number, epoch: Epoch, id: string, record: WaitingRecord): void {
    epoch.opened.delete(id)
    epoch.opened.set(id, now + OpenAgainMs)
    const [oldest] = epoch.opened.keys()
    if (epoch.opened.size > MaxOpenedRecords && oldest !== undefined) epoch.opened.delete(oldest)
    this.#counting(() => this.#handleJoinRecord(now, epoch, id, record))
  }

  #counting(handle: () => void): void {
    try {
      handle()
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
  }

  #handleJoinRecord(now: number, epoch: Epoch, id: string, { bytes, ways }: WaitingRecord): void {
    const { crypto } = this.#options
    const opened = openJoin(crypto, epoch.seal, bytes)
    const { message, hash } = readMessage(crypto, opened.message)
    if (message.action === 'update') {
      this.#handleUpdate(epoch, opened.box, message)
      return
    }
    if (message.action !== 'join') throw new DecodeError('message-action', 'not an action for a host')
    this.#checkJoin(epoch, opened.box, message)
    if (this.#openJoins >= MaxOpenJoins) {
      this.counters.count('join-queue-full')
      epoch.opened.delete(id)
      return
    }
    this.#openJoins += 1
    this.#bucket.charge(AnsweredJoinRecords - 1)
    const known: KnownJoin = {
      request: { join: message, hash, wireguard: epoch.wireguard },
      record: id,
      ways,
      answeredAgainAt: new Map(),
      answer: undefined,
    }
    epoch.joins.set(toHex(hash), known)
    epoch.byRecord.set(id, known)
    epoch.nonces.add(toHex(message.nonce))
    epoch.wireguardKeys.add(toHex(message.wireguard))
    this.#events.push({ type: 'join', request: known.request })
    if (epoch.joins.size >= (MaxJoinsPerEpoch * 3) / 4) this.#beginEpoch(now, 0)
  }

  /** @throws DecodeError `join-…` where the join is not for this host, room and epoch, or not fresh */
  #checkJoin(epoch: Epoch, box: Uint8Array, join: Join): void {
    const { crypto, identity, room } = this.#options
    if (join.room !== room) throw new DecodeError('join-other-room', 'join is for another room')
    if (!crypto.equal(join.host, identity.publicKey)) {
      throw new DecodeError('join-other-host', 'join is for another host')
    }
    if (join.epoch !== epoch.id || !crypto.equal(join.seal, epoch.seal.publicKey)) {
      throw new DecodeError('join-other-epoch', 'join is for another epoch')
    }
    if (!crypto.equal(join.box, box)) throw new DecodeError('join-resealed', 'join was sealed by another')
    if (epoch.nonces.has(toHex(join.nonce))) throw new DecodeError('join-nonce-used', 'nonce was used before')
    if (epoch.wireguardKeys.has(toHex(join.wireguard))) {
      throw new DecodeError('join-wireguard-key-used', 'WireGuard key was used before')
    }
  }

  #handleUpdate(epoch: Epoch, box: Uint8Array, update: Update): void {
    const { crypto } = this.#options
    const id = toHex(update.inReplyTo)
    const join = epoch.joins.get(id)?.request.join
    if (
      join === undefined ||
      !crypto.equal(join.publicKey, update.publicKey) ||
      !crypto.equal(join.box, box) ||
      update.epoch !== epoch.id
    ) {
      throw new DecodeError('update-unknown-join', 'update is for no join of this epoch')
    }
    this.#events.push({ type: 'update', join: id, candidates: update.candidates })
  }

  #answer(request: JoinRequest, message: Uint8Array): boolean {
    const { crypto, random } = this.#options
    const epoch = this.#epoch
    const known = epoch?.joins.get(toHex(request.hash))
    if (epoch === undefined || known === undefined || known.answer !== undefined) return false
    this.#openJoins -= 1
    const answer = sealReply(crypto, random, epoch.seal, request.join.box, message)
    if (answer === undefined) return false
    known.answer = answer
    for (const way of known.ways.values()) this.#publishAnswer(known, way)
    return true
  }

  #publishAnswer(known: KnownJoin, { adapter, topic }: Way): void {
    if (known.answer === undefined || this.#epoch === undefined) return
    const box = replyBox(this.#options.crypto, known.request.join.box)
    this.#transmits.push({
      kind: 'publish',
      record: {
        topic,
        box,
        sender: this.#epoch.id,
        bytes: known.answer,
        expiresInMs: ReplyExpiresInMs,
      },
      adapter,
      repeat: false,
    })
  }
}

/**
 * A guest's sender id: derived from the box key that it made for this join, so that nobody who copies the
 * join to another sender can lead the answer astray.
 */
export function guestSender(crypto: Pick<Crypto, 'sha256'>, box: Uint8Array): string {
  return toBase32(crypto.sha256(box)).slice(0, 20)
}

export function replyBox(crypto: Pick<Crypto, 'sha256'>, box: Uint8Array): Box {
  return `reply/${guestSender(crypto, box)}`
}

function wayName({ adapter, topic }: Way): string {
  return `${topic}/${adapter}`
}

function readCounter(store: Store): number {
  const text = fromUtf8(store.read(EpochName) ?? new Uint8Array()) ?? ''
  return /^\d{1,10}\n$/.test(text) ? Number.parseInt(text, 10) : 0
}
