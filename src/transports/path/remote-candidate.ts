import { type Endpoint, endpointKey } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { type CandidateKind, candidateClass } from './candidate.js'
import { MissMs, RoundGapsMs, RttFactor, RttGainMs, SilentChecks, SlowestRoundMs } from './timing.js'

/** Which checks go first when not all can: what the peer waits for, what carries traffic, the rest. */
export type CheckUrgency = 'triggered' | 'heartbeat' | 'ordinary'

/** A candidate of the peer, and the base of this side that it is paired with. */
export interface PairedCandidate {
  readonly kind: CandidateKind
  readonly address: Endpoint
  /** Whether the base is a relay. */
  readonly relayed?: boolean
}

/** A candidate pair (RFC 8445 section 6.1.2): where a peer may be reached, and what checks have shown so far. */
export class RemoteCandidate {
  /** Changes when a peer-reflexive candidate turns out to be one that the peer signalled. */
  kind: CandidateKind
  readonly address: Endpoint
  readonly key: string
  readonly #relayed: boolean
  /** When to check next, ms; undefined where no check is due, or one waits for its turn. */
  checkAt: number | undefined
  /** How many checks have gone out since the last answer, or since the last fresh start. */
  unanswered = 0
  /** When the first of the unanswered checks went out; meaningful once there is one. */
  unansweredSince = 0
  /** How many checks have been answered. */
  answers = 0
  /** Smoothed round-trip time, ms; meaningful once there is an answer. */
  rttMs = 0
  lastCheckAt: number | undefined
  /** When the peer was last heard from here: a response, an authentic check, or a tunnel packet. */
  heardAt: number | undefined
  /** Whether the peer has sent an authentic check from here, so that a packet to it is an answer. */
  asked = false
  /** How urgent the check is that waits for its turn; undefined where none does. */
  queued: CheckUrgency | undefined
  /** How urgent the check is that was put off until `checkAt`; undefined where `checkAt` is its regular time. */
  postponed: CheckUrgency | undefined
  /** Whether as much has gone there, for all peers together, as may go where nobody answers. */
  isStarved = false
  /** Whether the peer is no longer looked for here. */
  removed = false

  constructor(candidate: PairedCandidate, now: number) {
    this.kind = candidate.kind
    this.address = candidate.address
    this.key = endpointKey(candidate.address)
    this.#relayed = candidate.relayed === true
    this.checkAt = now
  }

  isAt({ address, port, via }: Endpoint): boolean {
    return this.address.port === port && this.address.address === address && this.address.via === via
  }

  /** What the path is like: a relay at either end makes it relayed. */
  get pathKind(): CandidateKind {
    return this.#relayed ? 'relay' : this.kind
  }

  /** A smaller class, or the same with a round trip that is clearly shorter, seen more than once. */
  isClearlyBetterThan(other: RemoteCandidate): boolean {
    const difference = candidateClass(this.pathKind) - candidateClass(other.pathKind)
    if (difference !== 0) return difference < 0
    return this.answers > 1 && this.rttMs < other.rttMs * RttFactor && this.rttMs < other.rttMs - RttGainMs
  }

  noteAnswer(now: number, rttMs: number): void {
    this.rttMs = this.answers === 0 ? rttMs : 0.75 * this.rttMs + 0.25 * rttMs
    this.answers += 1
    this.unanswered = 0
    this.heardAt = now
  }

  /** Begins the rounds of checks anew. */
  restart(now: number): void {
    this.unanswered = 0
    if (this.queued === undefined) this.checkAt = now
  }

  /** How long an answer may take before it counts as missed. */
  get missMs(): number {
    return Math.max(MissMs, 2 * this.rttMs)
  }

  /** Whether an answer is missed, rather than only waited for. */
  hasMissed(now: number): boolean {
    return this.unanswered > 1 || (this.unanswered === 1 && now - (this.lastCheckAt ?? now) >= this.missMs)
  }

  /** Whether it was checked often enough, with a direct path elsewhere. */
  get exhausted(): boolean {
    return this.unanswered >= (this.answers === 0 ? SilentChecks : RoundGapsMs.length + 1)
  }

  /** The time to the next round, after `unanswered` checks of which none was answered. */
  roundGapMs(random: Random): number {
    const slow = 15_000 * 2 ** (this.unanswered - RoundGapsMs.length - 1)
    const gap = RoundGapsMs[this.unanswered - 1] ?? Math.min(slow, SlowestRoundMs)
    return gap * (0.9 + 0.2 * random.fraction())
  }
}
