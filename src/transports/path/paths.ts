/**
 * Paths to many peers through one port: sorts checks to the agent of their peer, and paces what all agents
 * send. Sans-IO (src/core/machine.ts).
 *
 * Nothing that is not authentic has any effect or gets any answer, and no tunnel packet moves a path: it
 * only has its source checked.
 */
import { GonetError } from '../../core/errors.js'
import {
  type Datagram,
  type Endpoint,
  earliest,
  type Machine,
  type SocketAddress,
} from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { readBindingSuccess } from '../stun/binding.js'
import { Binding, TransactionIdBytes } from '../stun/constants.js'
import type { DecodedMessage, StunCrypto } from '../stun/message.js'
import { type Candidate, isRelayTarget, isUsableTarget } from './candidate.js'
import { CheckQueue } from './check-queue.js'
import { CheckCredentials, readCheckUsername, tryDecode } from './checks.js'
import { createCounters, type PathCounters } from './counters.js'
import type { IceCredentials } from './credentials.js'
import { SilentSourceRate, SilentTargetRate, TargetPacing, TokenBucket, TotalRate } from './pacing.js'
import { PathAgent, type PathEvent } from './path-agent.js'
import type { PairedCandidate, RemoteCandidate } from './remote-candidate.js'
import { OpenerHops, ResponseMs } from './timing.js'

export type { PathEvent } from './path-agent.js'

export interface PathsOptions {
  readonly crypto: StunCrypto
  readonly random: Random
  /** Whether checks may be sent to this machine itself. */
  readonly loopback: boolean
  /** Whether paths may be direct, rather than through a relay of this side's own. Default true. */
  readonly direct?: boolean
  /** Default 1024. */
  readonly maxPeers?: number
  /** How long a search may take before it counts as failed, ms. Default 15,000. */
  readonly failAfterMs?: number
  /** How long a peer that answers no check may be silent before its path is lost, ms. Default 15,000. */
  readonly lostAfterMs?: number
}

export interface PathPeerOptions {
  readonly local: IceCredentials
  readonly remote: IceCredentials
  /** Where the peer says it can be reached; may be empty. Those no check may go to are left out. */
  readonly remoteCandidates: readonly Candidate[]
  /** How long this side only opens its own NATs, ms: the peer has yet to hear of us. Default 0. */
  readonly opensForMs?: number
}

interface Transaction {
  readonly agent: PathAgent
  readonly candidate: RemoteCandidate
  readonly sentAt: number
}

/** How long a wait for the total rate lasts at least, ms: several checks go out at one awakening. */
const DrainMs = 10

/** A datagram, and the base that it is to leave by. */
export interface PathDatagram extends Datagram {
  readonly destination: Endpoint
  /** How many routers it may pass; as many as usual by default. */
  readonly hops?: number
}

export class Paths implements Machine<PathEvent, PathDatagram> {
  /** What was dropped, by reason. */
  readonly counters: Readonly<PathCounters>
  readonly #counters: PathCounters = createCounters()
  readonly #options: PathsOptions
  readonly #agents = new Map<string, PathAgent>()
  readonly #byLocalUfrag = new Map<string, PathAgent>()
  /** Checks under way by transaction id, oldest first. Bounded by the total rate and ResponseMs. */
  readonly #transactions = new Map<string, Transaction>()
  readonly #queue = new CheckQueue()
  readonly #pacing = new TokenBucket(TotalRate)
  readonly #targets = new TargetPacing(SilentTargetRate)
  /** For answers to those who have answered nothing: whoever asks may bear a third party's address. */
  readonly #answers = new TargetPacing(SilentSourceRate)
  /** Where each relay has what is sent to us. */
  readonly #relays = new Map<string, SocketAddress>()
  readonly #transmits: PathDatagram[] = []
  readonly #events: PathEvent[] = []
  /** No later than any agent's, so that a packet need not look at all peers. */
  #agentsWakeAt: number | undefined
  /** When the checks that wait for the total rate may go on. */
  #drainAt: number | undefined

  constructor(options: PathsOptions) {
    this.#options = options
    this.counters = this.#counters
  }

  /**
   * Begins to look for a path to a peer. A peer that is there already is looked for anew.
   * @throws GonetError `path-too-many-peers` or `path-ufrag-in-use`. Then nothing has changed.
   */
  add(now: number, peer: string, { local, remote, remoteCandidates, opensForMs = 0 }: PathPeerOptions): void {
    const { maxPeers = 1024, crypto, random, failAfterMs = 15_000, lostAfterMs = 15_000 } = this.#options
    const existing = this.#agents.get(peer)
    if (existing === undefined && this.#agents.size >= maxPeers) {
      throw new GonetError('path-too-many-peers', `There are paths to at most ${maxPeers} peers`)
    }
    const namesake = this.#byLocalUfrag.get(local.ufrag)
    if (namesake !== undefined && namesake !== existing) {
      throw new GonetError('path-ufrag-in-use', 'Another peer has the same local username fragment')
    }
    this.remove(peer)
    const agent = new PathAgent(now, {
      peer,
      credentials: new CheckCredentials(crypto, local, remote),
      random,
      failAfterMs,
      lostAfterMs,
      opensUntil: now + opensForMs,
      emit: (event) => void this.#events.push(event),
      check: (candidate, urgency) => this.#queue.push({ agent, candidate }, urgency),
      isRelay: (via) => this.#relays.has(via),
      countSurplus: () => void (this.#counters.surplusCandidate += 1),
    })
    this.#agents.set(peer, agent)
    this.#byLocalUfrag.set(local.ufrag, agent)
    this.addRemoteCandidates(now, peer, remoteCandidates)
  }

  /** Adds candidates that the peer found later. Does nothing for an unknown peer. */
  addRemoteCandidates(now: number, peer: string, candidates: readonly Candidate[]): void {
    const agent = this.#agents.get(peer)
    if (agent === undefined) return
    const usable = candidates.filter(({ address }) => isUsableTarget(address, this.#options))
    this.#counters.unusableCandidate += candidates.length - usable.length
    agent.noteSignalled(usable)
    if (this.#options.direct !== false) agent.addCandidates(now, usable)
    for (const via of this.#relays.keys()) agent.addCandidates(now, this.#pairs(via, usable))
    this.#settle(now, agent)
  }

  /**
   * Checks every candidate of every peer through a relay too, from now on.
   * @param relayed where the relay has what is sent to us
   */
  addRelay(now: number, via: string, relayed: SocketAddress): void {
    this.#relays.set(via, relayed)
    for (const agent of this.#agents.values()) {
      agent.addCandidates(now, this.#pairs(via, agent.signalled))
      this.#settle(now, agent)
    }
  }

  /** Gives up all paths through a relay. Does nothing for an unknown one. */
  removeRelay(now: number, via: string): void {
    if (!this.#relays.delete(via)) return
    for (const agent of this.#agents.values()) {
      agent.removeRelay(now, via)
      this.#settle(now, agent)
    }
  }

  /** This machine is on another network now, from where nobody was ever asked. */
  handleNetworkChange(now: number): void {
    this.#targets.forgetSilent()
    for (const agent of this.#agents.values()) {
      agent.handleNetworkChange(now)
      this.#settle(now, agent)
    }
  }

  /** Forgets a peer. Does nothing for an unknown one. */
  remove(peer: string): void {
    const agent = this.#agents.get(peer)
    if (agent === undefined) return
    agent.remove()
    this.#agents.delete(peer)
    this.#byLocalUfrag.delete(agent.credentials.localUfrag)
  }

  /**
   * Takes a STUN-shaped datagram that nobody else has claimed.
   * @param source where it came from
   */
  handleDatagram(now: number, source: Endpoint, bytes: Uint8Array): void {
    const message = tryDecode(bytes)
    if (message === undefined) this.#counters.malformed += 1
    else if (message.method !== Binding || message.class === 'indication') this.#counters.unexpected += 1
    else if (message.class === 'request') this.#handleRequest(now, source, message)
    else this.#handleResponse(now, source, message)
  }

  /** Notes an authenticated packet of a peer's tunnel, and has its source checked where that is new. */
  authenticated(now: number, peer: string, source: Endpoint): void {
    const agent = this.#agents.get(peer)
    if (agent === undefined) return
    if (agent.isKnown(source) || this.#isUsableSource(source)) {
      agent.noteReceived(now, source)
      this.#settle(now, agent)
    }
  }

  /** Notes that a packet was sent to a peer: with traffic, its path is watched more closely. */
  sent(now: number, peer: string): void {
    const agent = this.#agents.get(peer)
    if (agent === undefined) return
    agent.noteSent(now)
    this.#settle(now, agent)
  }

  /**
   * Where to send a peer's packets now: its selected path, which is kept until another one is verified.
   * @param replyTo where the packet to answer came from; used before a path is selected, and only if an
   *   authentic check came from there
   */
  route(peer: string, replyTo?: Endpoint): Endpoint | undefined {
    return this.#agents.get(peer)?.route(replyTo)
  }

  handleTimeout(now: number): void {
    if (this.#agentsWakeAt !== undefined && this.#agentsWakeAt <= now) {
      this.#agentsWakeAt = undefined
      for (const agent of this.#agents.values()) {
        if (agent.wakeAt !== undefined && agent.wakeAt <= now) agent.handleTimeout(now)
        this.#agentsWakeAt = earliest(this.#agentsWakeAt, agent.wakeAt)
      }
    }
    this.#drain(now)
  }

  /**
   * Sends a check to each of these, unpaced, whose answers mean nothing: who is there and checks in turn becomes a
   * candidate by that. For what was agreed on inside the tunnel only.
   */
  scatter(peer: string, to: readonly Endpoint[]): void {
    const agent = this.#agents.get(peer)
    if (agent === undefined) return
    for (const destination of to) {
      const bytes = agent.credentials.request(this.#options.random.bytes(TransactionIdBytes))
      this.#transmits.push({ destination, bytes })
    }
  }

  pollTransmit(): PathDatagram | undefined {
    return this.#transmits.shift()
  }

  pollEvent(): PathEvent | undefined {
    return this.#events.shift()
  }

  pollTimeout(): number | undefined {
    return earliest(this.#agentsWakeAt, this.#drainAt)
  }

  #handleRequest(now: number, source: Endpoint, request: DecodedMessage): void {
    const username = readCheckUsername(request)
    const agent = username && this.#byLocalUfrag.get(username.localUfrag)
    if (agent === undefined || agent.credentials.remoteUfrag !== username?.remoteUfrag) {
      this.#counters.unknownUsername += 1
    } else if (!agent.credentials.isAuthenticRequest(request)) {
      this.#counters.forgedRequest += 1
    } else if (source.via === undefined && this.#options.direct === false) {
      this.#counters.unexpected += 1
    } else if (this.#isUsableSource(source)) {
      if (this.#mayAnswer(now, source)) {
        this.#transmits.push({ destination: source, bytes: agent.credentials.answer(request, source) })
      }
      this.#targets.asked(source)
      agent.handleRequest(now, source)
      this.#settle(now, agent)
    }
  }

  #handleResponse(now: number, source: Endpoint, response: DecodedMessage): void {
    const key = transactionKey(response.transactionId)
    const transaction = this.#transactions.get(key)
    if (transaction === undefined || now - transaction.sentAt > ResponseMs) {
      this.#counters.unmatchedResponse += 1
      return
    }
    const { agent, candidate, sentAt } = transaction
    // A forgery must not end the transaction: the true response may be on its way.
    if (!candidate.isAt(source)) this.#counters.wrongSource += 1
    else if (!agent.credentials.isAuthenticResponse(response)) this.#counters.forgedResponse += 1
    else {
      this.#transactions.delete(key)
      if (response.class === 'error' || readBindingSuccess(response) === undefined) {
        this.#counters.refusedCheck += 1
      } else if (!candidate.removed) {
        this.#targets.answered(source)
        agent.handleResponse(now, candidate, now - sentAt)
        this.#settle(now, agent)
      }
    }
  }

  #mayAnswer(now: number, source: Endpoint): boolean {
    if (this.#targets.hasAnswered(source)) return true
    const buckets = this.#answers.bucketsOf(source)
    if (buckets.some((bucket) => bucket.waitMs(now) > 0)) {
      this.#counters.unansweredRequest += 1
      return false
    }
    for (const bucket of buckets) bucket.take()
    return true
  }

  #pairs(via: string, candidates: readonly Candidate[]): readonly PairedCandidate[] {
    const relayed = this.#relays.get(via)
    if (relayed === undefined) return []
    const { loopback } = this.#options
    return candidates
      .filter(({ address }) => isRelayTarget(address, { loopback, relayed }))
      .map(({ kind, address }) => ({ kind, address: { ...address, via }, relayed: true }))
  }

  #isUsableSource(source: Endpoint): boolean {
    if (isUsableTarget(source, this.#options)) return true
    this.#counters.unusableSource += 1
    return false
  }

  /** After something has changed for one agent: what it wants to send now, and when it wakes next. */
  #settle(now: number, agent: PathAgent): void {
    if (agent.wakeAt !== undefined && agent.wakeAt <= now) agent.handleTimeout(now)
    this.#drain(now)
    this.#agentsWakeAt = earliest(this.#agentsWakeAt, agent.wakeAt)
  }

  /** Sends the checks whose turn it is. */
  #drain(now: number): void {
    this.#drainAt = undefined
    for (let check = this.#queue.peek(); check !== undefined; check = this.#queue.peek()) {
      const { agent, candidate } = check
      const totalWaitMs = this.#pacing.waitMs(now)
      if (totalWaitMs > 0) {
        this.#drainAt = now + Math.max(totalWaitMs, DrainMs)
        return
      }
      // Leaves the queue by this (CheckQueue.peek).
      const urgency = candidate.queued
      candidate.queued = undefined
      const buckets = [...agent.bucketsOf(candidate), ...this.#targets.bucketsOf(candidate.address)]
      const waitMs = Math.max(...buckets.map((bucket) => bucket.waitMs(now)))
      if (waitMs > 0) {
        agent.postpone(now, candidate, waitMs, urgency)
      } else {
        for (const bucket of [this.#pacing, ...buckets]) bucket.take()
        this.#send(now, agent, candidate)
      }
      this.#agentsWakeAt = earliest(this.#agentsWakeAt, agent.wakeAt)
    }
  }

  #send(now: number, agent: PathAgent, candidate: RemoteCandidate): void {
    for (const [key, { sentAt }] of this.#transactions) {
      if (now - sentAt <= ResponseMs) break
      this.#transactions.delete(key)
    }
    const transactionId = this.#options.random.bytes(TransactionIdBytes)
    this.#transactions.set(transactionKey(transactionId), { agent, candidate, sentAt: now })
    const bytes = agent.credentials.request(transactionId)
    const hops = agent.isToOpen(now, candidate) ? { hops: OpenerHops } : {}
    this.#transmits.push({ destination: candidate.address, bytes, ...hops })
    agent.noteCheckSent(now, candidate)
  }
}

function transactionKey(transactionId: Uint8Array): string {
  return String.fromCharCode(...transactionId)
}
