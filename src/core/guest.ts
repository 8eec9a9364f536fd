/**
 * The guest's side of signalling, as a machine: it looks for the room's beacon, joins the host that the
 * beacon names, repeats the join where backends do not keep it, and takes the first answer that is proved
 * to be the host's answer to this very join (docs/protocol.md, Joining).
 */
import { Counters, TokenBucket } from './bounded.js'
import { DecodeError } from './errors.js'
import { guestSender, replyBox } from './host.js'
import { HostChoice, type HostChoiceOptions } from './host-choice.js'
import { formatKey, type Identity } from './identity.js'
import { type InviteKey, proveInvite } from './invite-proof.js'
import { earliest, type Machine } from './machine.js'
import { type Beacon, type Join, readMessage, type Update, type Welcome, writeMessage } from './messages.js'
import type { Crypto, KeyPair, Random } from './ports.js'
import { PuzzleSolver, puzzleOf, withSolution } from './puzzle.js'
import { type RoomId, roomIdMatches } from './room-id.js'
import { beaconKey, openBeacon, openReply, presharedKey, roomTopic, sealJoin } from './sealing.js'
import type { SignalTransmit } from './signal.js'
import type { RecordKey, SignalRecord, Topic } from './signalling-adapter.js'

const JoinExpiresInMs = 60_000
/** Until it is answered, a join is published again after 1 to 2 s. */
const RepeatMinMs = 1000
const RepeatJitterMs = 1000
/** Solutions tried at a time, some 5 ms of work, and the pause after that, in which everything else runs. */
const SolutionsAtATime = 4096
const SolvePauseMs = 2
/** Records looked at, a second. */
const RecordsPerSecond = 500

export interface GuestOptions {
  readonly identity: Identity
  readonly room: RoomId
  /** What the guest knows of the host's key; else any key that the room id matches may be it. */
  readonly expected?: Pick<HostChoiceOptions, 'hostKey' | 'hostDigits' | 'pinnedKey'>
  readonly username: string
  /** The room's secret, 16 bytes: the room is looked for where that leads to, not by its id. */
  readonly secret?: Uint8Array | undefined
  /** What the guest was invited by. */
  readonly invite?: InviteKey | undefined
  readonly crypto: Crypto
  readonly random: Random
}

/** What the guest brings to a join; all of it fresh. */
export interface JoinOffer {
  /** X25519 public key. */
  readonly wireguard: Uint8Array
  readonly ice: string
  readonly candidates: string
}

export type GuestEvent =
  /** A beacon of the room's host: the first one, or one of a newer epoch. The answer to it is `join`. */
  | { readonly type: 'host'; readonly beacon: Beacon }
  | {
      readonly type: 'welcome'
      readonly welcome: Welcome
      /** WireGuard's preshared key, 32 bytes. */
      readonly presharedKey: Uint8Array
      /** The backend that was first. */
      readonly adapter: string
    }
  | { readonly type: 'refused'; readonly code: string; readonly text: string }
  /** It is not clear who the host is: nobody is joined. */
  | { readonly type: 'distrusted'; readonly code: string; readonly text: string }

interface Attempt {
  readonly box: KeyPair
  readonly sender: string
}

/** A sealed record, and the puzzle that the host has to see solved before it opens it. */
interface Puzzled {
  /** As it was published last, or as it is sealed. */
  record: SignalRecord
  readonly solver: PuzzleSolver
  /** Only ever more: backends may show older beacons after newer ones. */
  bits: number
  isPublished: boolean
}

interface OpenJoin extends Attempt {
  readonly beacon: Beacon
  readonly hash: Uint8Array
  /** What it was proved by, where it was. */
  readonly invite: InviteKey | undefined
  readonly puzzled: Puzzled
  /** Updates all lie under one sender id, and each replaces the one before. */
  update: Puzzled | undefined
  /** An answered join takes no second answer; it stays for late updates. */
  answered: boolean
}

export class Guest implements Machine<GuestEvent, SignalTransmit> {
  /** What was dropped, by reason. */
  readonly counters: Counters = new Counters()
  readonly #options: GuestOptions
  readonly #topic: Topic
  readonly #beaconKey: Uint8Array
  readonly #bucket = new TokenBucket(RecordsPerSecond, RecordsPerSecond)
  readonly #transmits: SignalTransmit[] = []
  readonly #events: GuestEvent[] = []
  readonly #choice: HostChoice
  /** The newest beacon of each host that claims the room, until one is chosen; by key. */
  readonly #claims = new Map<string, Beacon>()
  #distrusts = false
  #invite: InviteKey | undefined
  #beacon: Beacon | undefined
  /** Made, and its reply box watched, before there is a beacon: a subscription takes a round trip. */
  #next: Attempt | undefined
  #join: OpenJoin | undefined
  #repeatAt: number | undefined
  /** When to go on solving puzzles. */
  #solveAt: number | undefined

  constructor(options: GuestOptions) {
    this.#options = options
    const { crypto, room, expected, secret } = options
    this.#topic = roomTopic(crypto, secret ?? room)
    this.#beaconKey = beaconKey(crypto, secret ?? room)
    this.#invite = options.invite
    this.#choice = new HostChoice({ crypto, room, ...expected })
  }

  get topic(): Topic {
    return this.#topic
  }

  get topics(): readonly Topic[] {
    return [this.#topic]
  }

  /** Begins to look for the host. Call it once. */
  start(): void {
    this.#transmits.push({ kind: 'watch', topic: this.#topic, box: 'host' })
    this.#next = this.#prepare()
  }

  /** Takes an open join back, and looks for no answer any more. Safe to call twice. */
  stop(): void {
    this.#withdraw()
    if (this.#next !== undefined) this.#unwatch(this.#next)
    this.#next = undefined
  }

  /** The host knows this guest from now on: later joins are made without the invite. */
  forgetInvite(): void {
    this.#invite = undefined
  }

  /** Joins the host of the latest beacon, in place of any join that is still open. */
  join(now: number, offer: JoinOffer): void {
    const { crypto, identity, random, room, username } = this.#options
    const beacon = this.#beacon
    if (beacon === undefined) return
    this.#withdraw()
    const attempt = this.#next ?? this.#prepare()
    this.#next = undefined
    const invite = this.#invite
    const join: Join = {
      action: 'join',
      room,
      publicKey: identity.publicKey,
      username,
      host: beacon.publicKey,
      seal: beacon.seal,
      epoch: beacon.epoch,
      box: attempt.box.publicKey,
      nonce: random.bytes(16),
      ...offer,
    }
    const message = invite === undefined ? join : { ...join, invite: proveInvite(crypto, invite, join) }
    const plain = writeMessage(crypto, identity, message)
    const bytes = sealJoin(crypto, random, attempt.box, beacon.seal, plain)
    if (bytes === undefined) {
      this.counters.count('beacon-seal-unusable')
      return
    }
    this.#join = {
      ...attempt,
      beacon,
      hash: crypto.sha512(plain),
      invite,
      puzzled: this.#puzzle(beacon, attempt.sender, bytes),
      update: undefined,
      answered: false,
    }
    this.#solve(now)
  }

  /** Tells the host all candidates anew, since some were found after the join. */
  update(candidates: string): void {
    const { crypto, identity, random, room } = this.#options
    const join = this.#join
    if (join === undefined) return
    const message: Update = {
      action: 'update',
      room,
      publicKey: identity.publicKey,
      epoch: join.beacon.epoch,
      inReplyTo: join.hash,
      candidates,
    }
    const bytes = sealJoin(
      crypto,
      random,
      join.box,
      join.beacon.seal,
      writeMessage(crypto, identity, message),
    )
    if (bytes === undefined) return
    const sender = join.update?.record.sender ?? guestSender(crypto, random.bytes(32))
    join.update = this.#puzzle(join.beacon, sender, bytes)
    if (join.update.bits === 0) this.#publish(join.update)
    else this.#solveAt ??= -Infinity
  }

  /** Takes a record from a backend; what is wrong with it is counted, nothing else happens. */
  handleRecord(now: number, adapter: string, record: SignalRecord): void {
    if (record.topic !== this.#topic) return
    if (!this.#bucket.take(now)) {
      this.counters.count('record-rate')
      return
    }
    try {
      if (record.box === 'host') this.#handleBeacon(now, record.bytes)
      else if (record.box !== 'join') this.#handleReply(adapter, record)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.counters.count(error.code)
    }
  }

  handleTimeout(now: number): void {
    this.#choose(now)
    if (this.#solveAt !== undefined && now >= this.#solveAt) this.#solve(now)
    if (this.#repeatAt === undefined || now < this.#repeatAt || this.#join === undefined) return
    this.#transmits.push({ kind: 'publish', record: this.#join.puzzled.record, repeat: true })
    this.#scheduleRepeat(now)
  }

  pollTransmit(): SignalTransmit | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): GuestEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    const isChoosing = this.#beacon === undefined && !this.#distrusts
    return earliest(this.#repeatAt, this.#solveAt, isChoosing ? this.#choice.pollTimeout() : undefined)
  }

  #handleBeacon(now: number, bytes: Uint8Array): void {
    const { crypto, room } = this.#options
    const { message } = readMessage(crypto, openBeacon(crypto, this.#beaconKey, bytes))
    if (message.action !== 'host' || message.room !== room) {
      throw new DecodeError('beacon-other-room', 'not a beacon of this room')
    }
    if (!roomIdMatches(crypto, room, message.publicKey)) {
      throw new DecodeError('beacon-key-not-of-room', 'the room id is not in the hash of the key')
    }
    const chosen = this.#beacon?.publicKey
    const isMeant =
      chosen === undefined
        ? this.#choice.claim(now, message.publicKey)
        : crypto.equal(message.publicKey, chosen)
    if (!isMeant) throw new DecodeError('beacon-of-another-host', 'beacon of another host')
    if (chosen === undefined) this.#keepClaim(message)
    else this.#takeBeacon(message)
    this.#choose(now)
  }

  #keepClaim(beacon: Beacon): void {
    const key = formatKey(beacon.publicKey)
    const known = this.#claims.get(key)
    if (known === undefined || beacon.epoch >= known.epoch) this.#claims.set(key, beacon)
  }

  #choose(now: number): void {
    if (this.#beacon !== undefined || this.#distrusts) return
    const decision = this.#choice.decide(now)
    if (decision === undefined) return
    if (decision.type === 'take') {
      const beacon = this.#claims.get(formatKey(decision.publicKey))
      this.#claims.clear()
      if (beacon !== undefined) this.#takeBeacon(beacon)
    } else {
      this.#distrusts = true
      this.#events.push({ type: 'distrusted', code: decision.code, text: decision.text })
    }
  }

  #takeBeacon(beacon: Beacon): void {
    if (this.#beacon !== undefined && beacon.epoch <= this.#beacon.epoch) {
      this.#handlePuzzle(beacon, this.#beacon)
      return
    }
    this.#beacon = beacon
    this.#events.push({ type: 'host', beacon })
  }

  /** Another beacon of an epoch that is known: its puzzle may be another. */
  #handlePuzzle(beacon: Beacon, known: Beacon): void {
    if (beacon.epoch !== known.epoch || !this.#options.crypto.equal(beacon.seal, known.seal)) return
    this.#beacon = beacon
    const join = this.#join
    if (join === undefined || join.beacon.epoch !== beacon.epoch) return
    // What was published before the answer may have been dropped unsolved.
    if (!join.answered) this.#ask(join.puzzled, beacon.puzzle)
    if (join.update !== undefined && !(join.answered && join.update.isPublished)) {
      this.#ask(join.update, beacon.puzzle)
    }
  }

  #ask(puzzled: Puzzled, bits: number): void {
    puzzled.bits = Math.max(puzzled.bits, bits)
    if (puzzled.solver.isSolved(puzzled.bits)) return
    puzzled.isPublished = false
    this.#solveAt ??= -Infinity
  }

  #puzzle(beacon: Beacon, sender: string, bytes: Uint8Array): Puzzled {
    const { crypto } = this.#options
    return {
      record: { topic: this.#topic, box: 'join', sender, bytes, expiresInMs: JoinExpiresInMs },
      solver: new PuzzleSolver(crypto, puzzleOf(crypto, beacon.epoch, beacon.seal, bytes)),
      // The join's beacon may have been seen again since, and ask for more.
      bits: this.#beacon?.epoch === beacon.epoch ? this.#beacon.puzzle : beacon.puzzle,
      isPublished: false,
    }
  }

  /** Works on the puzzles of what waits, for a bounded time, and publishes what is solved. */
  #solve(now: number): void {
    this.#solveAt = undefined
    const join = this.#join
    if (join === undefined) return
    const waiting = [join.answered ? undefined : join.puzzled, join.update].filter(
      (each) => each?.isPublished === false,
    )
    const [puzzled, ...others] = waiting
    if (puzzled === undefined) return
    const isSolved = puzzled.solver.solve(puzzled.bits, SolutionsAtATime)
    if (!isSolved || others.length > 0) this.#solveAt = now + SolvePauseMs
    if (!isSolved) return
    this.#publish(puzzled)
    if (puzzled === join.puzzled) this.#scheduleRepeat(now)
  }

  #publish(puzzled: Puzzled): void {
    const { record, solver } = puzzled
    puzzled.record = { ...record, bytes: withSolution(record.bytes, solver.solution) }
    puzzled.isPublished = true
    this.#transmits.push({ kind: 'publish', record: puzzled.record, repeat: false })
  }

  #handleReply(adapter: string, record: SignalRecord): void {
    const { crypto } = this.#options
    const join = this.#join
    if (join === undefined || join.answered || record.box !== `reply/${join.sender}`) return
    const bytes = openReply(crypto, join.box, join.beacon.seal, record.bytes)
    const { message, hash } = readMessage(crypto, bytes)
    if (message.action !== 'welcome' && message.action !== 'refuse') {
      throw new DecodeError('message-action', 'not an action for a guest')
    }
    if (
      !crypto.equal(message.publicKey, join.beacon.publicKey) ||
      !crypto.equal(message.inReplyTo, join.hash) ||
      message.room !== this.#options.room ||
      message.epoch !== join.beacon.epoch
    ) {
      throw new DecodeError('reply-other-join', 'not the answer to this join')
    }
    this.#repeatAt = undefined
    this.#unwatch(join)
    this.#retract(join.puzzled.record)
    join.answered = true
    if (message.action === 'refuse') {
      this.#events.push({ type: 'refused', code: message.code, text: message.text })
      return
    }
    const key = presharedKey(crypto, join.hash, hash, join.invite?.secret)
    this.#events.push({ type: 'welcome', welcome: message, presharedKey: key, adapter })
  }

  #withdraw(): void {
    this.#repeatAt = undefined
    this.#solveAt = undefined
    if (this.#join === undefined) return
    if (!this.#join.answered) {
      this.#unwatch(this.#join)
      this.#retract(this.#join.puzzled.record)
    }
    if (this.#join.update !== undefined) this.#retract(this.#join.update.record)
    this.#join = undefined
  }

  #prepare(): Attempt {
    const { crypto, random } = this.#options
    const box = crypto.boxKeyPair(random.bytes(32))
    this.#transmits.push({ kind: 'watch', topic: this.#topic, box: replyBox(crypto, box.publicKey) })
    return { box, sender: guestSender(crypto, box.publicKey) }
  }

  #unwatch(attempt: Attempt): void {
    this.#transmits.push({ kind: 'unwatch', topic: this.#topic, box: `reply/${attempt.sender}` })
  }

  #retract({ topic, box, sender }: RecordKey): void {
    this.#transmits.push({ kind: 'retract', key: { topic, box, sender } })
  }

  #scheduleRepeat(now: number): void {
    this.#repeatAt = now + RepeatMinMs + RepeatJitterMs * this.#options.random.fraction()
  }
}
