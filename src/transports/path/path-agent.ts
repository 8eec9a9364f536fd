/**
 * The search for a path to one peer, and the watch over it.
 *
 * Every candidate is checked in rounds that begin dense and thin out. The first one to answer is selected at
 * once; the others go on, and one that is clearly better is promoted. The selected path is checked every few
 * seconds while there is traffic. When a check goes unanswered it is repeated twice a second; when several do
 * and the peer is not heard through the tunnel either, the path is distrusted: all candidates start anew,
 * and the next one to answer is selected. Until then the old path is kept: there is nothing better to do with
 * a packet than to try.
 *
 * There is no controlling role (RFC 8445 section 6.1.1): each side selects the path that it sends on.
 */
import { type Endpoint, endpointKey } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { type Candidate, candidateClass } from './candidate.js'
import { MaxSignalled, makeRoom } from './candidate-room.js'
import type { CheckCredentials } from './checks.js'
import { PeerRate, TokenBucket, UnprovenSourceRate } from './pacing.js'
import { type CheckUrgency, type PairedCandidate, RemoteCandidate } from './remote-candidate.js'
import * as timing from './timing.js'
import { Traffic } from './traffic.js'

export type PathEvent =
  /** Packets go here from now on; or the kind of where they go has become known. */
  | {
      readonly type: 'selected'
      readonly peer: string
      readonly candidate: PairedCandidate
      readonly rttMs: number
    }
  /** The peer has not been heard on its path for long, nor elsewhere. The search has begun anew. */
  | { readonly type: 'lost'; readonly peer: string }
  /** No path was found in good time. The search goes on, slowly. Once for each search. */
  | { readonly type: 'failed'; readonly peer: string }

export interface PathAgentOptions {
  readonly peer: string
  readonly credentials: CheckCredentials
  readonly random: Random
  readonly failAfterMs: number
  readonly lostAfterMs: number
  /** Until when checks only open this side's own NATs: the peer sends none yet, and its NAT is not to see any. */
  readonly opensUntil: number
  readonly emit: (event: PathEvent) => void
  /** Has a candidate checked as soon as its turn comes; `noteSent` says when that was. */
  readonly check: (candidate: RemoteCandidate, urgency: CheckUrgency) => void
  readonly isRelay: (via: string) => boolean
  /** Counts a candidate that there was no room for. */
  readonly countSurplus: () => void
}

export class PathAgent {
  readonly peer: string
  readonly credentials: CheckCredentials
  /** When `handleTimeout` wants to be called, ms; it may be too early, never too late. */
  wakeAt: number | undefined
  readonly #options: PathAgentOptions
  readonly #pacing = new TokenBucket(PeerRate)
  readonly #unprovenPacing = new TokenBucket(UnprovenSourceRate)
  readonly #candidates = new Map<string, RemoteCandidate>()
  #signalled: readonly Candidate[] = []
  #selected: RemoteCandidate | undefined
  /** Whether the selected path has let us down, so that any other one is better. */
  #distrusted = false
  #lost = false
  /** When the present search began; undefined once a path was found or the search has failed. */
  #searchingSince: number | undefined
  readonly #traffic = new Traffic()
  /** Where the peer's latest tunnel packet came from. */
  #lastSource: RemoteCandidate | undefined
  /** When the tunnel was heard on the selected path. */
  #tunnelHeardAt = -Infinity

  constructor(now: number, options: PathAgentOptions) {
    this.#options = options
    this.peer = options.peer
    this.credentials = options.credentials
    this.#searchingSince = now
    this.#wake(now)
  }

  /** Where to send: the selected path; before there is one, back to where an authentic check came from. */
  route(replyTo: Endpoint | undefined): Endpoint | undefined {
    if (this.#selected !== undefined) return this.#selected.address
    return replyTo && this.#find(replyTo)?.asked === true ? replyTo : undefined
  }

  /** The buckets of this peer that a check takes a token from. */
  bucketsOf(candidate: RemoteCandidate): readonly TokenBucket[] {
    const unproven = candidate.kind === 'prflx' && candidate.answers === 0 && candidate !== this.#lastSource
    return unproven ? [this.#pacing, this.#unprovenPacing] : [this.#pacing]
  }

  /** Whether the peer is on its selected path there, or was heard through the tunnel from there last. */
  isKnown(source: Endpoint): boolean {
    return this.#selected?.isAt(source) === true || this.#lastSource?.isAt(source) === true
  }

  /** What the peer has signalled, latest last, to be paired with relays that come later. */
  get signalled(): readonly Candidate[] {
    return this.#signalled
  }

  noteSignalled(candidates: readonly Candidate[]): void {
    this.#signalled = this.#signalled.concat(candidates).slice(-MaxSignalled)
  }

  /** Adds what the peer signalled, or names the kind of what is known already. */
  addCandidates(now: number, candidates: readonly PairedCandidate[]): void {
    for (const candidate of candidates) {
      const known = this.#find(candidate.address)
      if (known === undefined) this.#add(now, candidate)
      else if (known.kind === 'prflx' && candidate.kind !== 'prflx' && this.#hasRoom(now, candidate)) {
        known.kind = candidate.kind
        if (known === this.#selected) this.#emitSelected(known)
      }
    }
    this.#wake(now)
  }

  /** Forgets all pairs of a relay that is gone; where one of them was selected, the search begins anew. */
  removeRelay(now: number, via: string): void {
    for (const candidate of this.#candidates.values()) {
      if (candidate.address.via !== via) continue
      candidate.removed = true
      this.#candidates.delete(candidate.key)
      if (candidate === this.#lastSource) this.#lastSource = undefined
      if (candidate !== this.#selected) continue
      this.#selected = undefined
      this.#searchingSince = now
    }
    if (this.#selected === undefined)
      for (const candidate of this.#candidates.values()) candidate.restart(now)
    this.#wake(now)
  }

  /** This machine is on another network now: what was out of reach may be within. */
  handleNetworkChange(now: number): void {
    for (const candidate of this.#candidates.values()) if (candidate.answers === 0) candidate.restart(now)
    this.#wake(now)
  }

  /** Whether a check is to die on its way, since all that it is for is this side's own NATs. */
  isToOpen(now: number, { address, answers, asked }: RemoteCandidate): boolean {
    return now < this.#options.opensUntil && address.via === undefined && answers === 0 && !asked
  }

  /** Takes an authentic check from the peer: its source is checked in turn. */
  handleRequest(now: number, source: Endpoint): void {
    const candidate = this.#find(source) ?? this.#addSource(now, source)
    if (candidate === undefined) return
    candidate.heardAt = now
    candidate.asked = true
    const proven = candidate.answers > 0 && !candidate.hasMissed(now)
    if (!proven || (this.#distrusted && candidate !== this.#selected)) this.#check(candidate, 'triggered')
  }

  /** Takes an authentic response to a check. */
  handleResponse(now: number, candidate: RemoteCandidate, rttMs: number): void {
    candidate.noteAnswer(now, rttMs)
    const selected = this.#selected
    if (candidate === selected) {
      if (this.#lost) this.#select(now, candidate)
      this.#distrusted = false
    } else if (selected === undefined || this.#isToReplace(selected, candidate)) {
      this.#select(now, candidate)
    }
    this.#schedule(now, candidate, this.#restMs(now, candidate))
  }

  /** Notes an authenticated packet of the peer's tunnel: the path that it came by works, that way at least. */
  noteReceived(now: number, source: Endpoint): void {
    if (this.#traffic.noteReceived(now)) this.#hurry(now)
    const known = this.#selected?.isAt(source) === true ? this.#selected : this.#lastSource
    if (known === this.#selected) this.#tunnelHeardAt = now
    const candidate = known?.isAt(source) === true ? known : this.#find(source)
    if (candidate !== undefined && candidate === this.#lastSource) {
      candidate.heardAt = now
      // It is back: no need to wait for the next slow round.
      if (this.#lost && now - (candidate.lastCheckAt ?? 0) >= timing.MissMs)
        this.#check(candidate, 'triggered')
      return
    }
    // The peer has begun to send from elsewhere, perhaps since its old path is gone: look at both.
    const fresh = candidate ?? this.#addSource(now, source)
    if (fresh === undefined) return
    fresh.heardAt = now
    this.#lastSource = fresh
    if (fresh === this.#selected) return
    this.#check(fresh, 'triggered')
    if (this.#selected?.unanswered === 0) this.#check(this.#selected, 'heartbeat')
  }

  /** Notes a packet to the peer. */
  noteSent(now: number): void {
    if (this.#traffic.noteSent(now)) this.#hurry(now)
  }

  /** Notes that a check has gone out. */
  noteCheckSent(now: number, candidate: RemoteCandidate): void {
    // A peer that goes on asking by a path on which it cannot hear us has checks sent out of turn, each of
    // which puts off the time to judge: so judge here too.
    if (candidate === this.#selected) this.#judge(now, candidate)
    candidate.lastCheckAt = now
    candidate.isStarved = false
    if (candidate.unanswered === 0) candidate.unansweredSince = now
    candidate.unanswered += 1
    if (candidate === this.#selected && !this.#lost) {
      this.#schedule(now, candidate, candidate.missMs)
    } else if (candidate.exhausted && this.#isContent()) {
      candidate.checkAt = undefined
    } else {
      // One opener is enough: what it opens stays open for longer than this lasts.
      const opensMs = this.isToOpen(now, candidate) ? this.#options.opensUntil - now : 0
      this.#schedule(now, candidate, Math.max(candidate.roundGapMs(this.#options.random), opensMs))
    }
  }

  /** Puts a check off that may not go out yet; it stays as urgent as it is. */
  postpone(now: number, candidate: RemoteCandidate, waitMs: number, urgency: CheckUrgency | undefined): void {
    this.#schedule(now, candidate, waitMs)
    candidate.postponed = urgency
    candidate.isStarved = waitMs >= timing.StarvedMs
  }

  handleTimeout(now: number): void {
    const { failAfterMs, emit, peer } = this.#options
    if (this.#searchingSince !== undefined && now >= this.#searchingSince + failAfterMs) {
      this.#searchingSince = undefined
      emit({ type: 'failed', peer })
    }
    if (this.#selected?.checkAt !== undefined && this.#selected.checkAt <= now) {
      this.#judge(now, this.#selected)
    }
    for (const candidate of this.#candidates.values()) {
      if (candidate.checkAt === undefined || candidate.checkAt > now) continue
      if (this.#isHeard(now, candidate)) {
        this.#schedule(now, candidate, this.#restMs(now, candidate))
        continue
      }
      if (candidate.isStarved && this.#isContent()) {
        candidate.checkAt = undefined
        continue
      }
      this.#check(candidate, candidate.postponed ?? (candidate === this.#selected ? 'heartbeat' : 'ordinary'))
    }
    this.#rearm()
  }

  /** Forgets all candidates, so that checks that wait for their turn are dropped. */
  remove(): void {
    for (const candidate of this.#candidates.values()) candidate.removed = true
  }

  /** What the misses of the selected path mean by now. */
  #judge(now: number, selected: RemoteCandidate): void {
    if (this.#lost) return
    const silenceMs = now - (selected.heardAt ?? now)
    const misses = selected.unanswered
    const silent = misses >= timing.DistrustMisses && silenceMs >= timing.DistrustSilenceMs
    if (!this.#distrusted && (silent || misses >= timing.DistrustMissesAlone)) {
      this.#distrusted = true
      for (const candidate of this.#candidates.values()) {
        // Where nobody ever answered there is no more reason to ask than before, until the peer is lost.
        if (candidate !== selected && candidate.answers > 0) candidate.restart(now)
      }
      this.#wake(now)
    }
    if (this.#distrusted && misses > 0 && this.#unheardMs(now, selected) >= this.#options.lostAfterMs) {
      this.#lost = true
      this.#searchingSince = now
      for (const candidate of this.#candidates.values()) candidate.restart(now)
      this.#wake(now)
      this.#options.emit({ type: 'lost', peer: this.peer })
    }
  }

  /** How long the peer, though asked, has not been heard anywhere. An idle peer that nobody asked may be silent. */
  #unheardMs(now: number, selected: RemoteCandidate): number {
    const heardAt = Array.from(this.#candidates.values(), (candidate) => candidate.heardAt ?? 0)
    return now - Math.max(selected.unansweredSince, ...heardAt)
  }

  /** Whether the tunnel shows by itself that the path works: members of a quiet room answer each other. */
  #isHeard(now: number, candidate: RemoteCandidate): boolean {
    if (candidate !== this.#selected || candidate.unanswered > 0 || candidate.answers < 2) return false
    if (this.#traffic.isBusy(now) || now - this.#tunnelHeardAt >= timing.IdleHeartbeatMs) return false
    return now - (candidate.lastCheckAt ?? -Infinity) < timing.HeardHeartbeatMs
  }

  #isToReplace(selected: RemoteCandidate, candidate: RemoteCandidate): boolean {
    if (this.#distrusted || this.#lost) return true
    // A single miss is enough where the peer itself has gone over to the other path.
    if (selected.unanswered > 1 && candidate === this.#lastSource) return true
    return candidate.isClearlyBetterThan(selected)
  }

  #select(now: number, candidate: RemoteCandidate): void {
    const previous = this.#selected
    this.#selected = candidate
    this.#distrusted = false
    this.#lost = false
    this.#searchingSince = undefined
    if (previous !== undefined && previous !== candidate) {
      previous.unanswered = 0
      this.#schedule(now, previous, this.#restMs(now, previous))
    }
    this.#emitSelected(candidate)
  }

  #emitSelected({ pathKind: kind, address, rttMs }: RemoteCandidate): void {
    this.#options.emit({ type: 'selected', peer: this.peer, candidate: { kind, address }, rttMs })
  }

  /** How long a candidate that has just answered may rest. */
  #restMs(now: number, candidate: RemoteCandidate): number {
    const fraction = this.#options.random.fraction()
    if (candidate !== this.#selected) {
      if (candidate.answers < 2) return timing.SecondAnswerMs
      const hasNat = candidateClass(candidate.pathKind) > 0
      return (hasNat ? timing.StandbyMs : timing.StandbyWithoutNatMs) * (0.9 + 0.2 * fraction)
    }
    return this.#traffic.isBusy(now)
      ? timing.BusyHeartbeatMs
      : timing.IdleHeartbeatMs + timing.IdleHeartbeatJitterMs * fraction
  }

  /** The heartbeat of an idle path comes forward, so that a path which has died meanwhile shows at once. */
  #hurry(now: number): void {
    const selected = this.#selected
    if (selected?.checkAt === undefined) return
    const busyAt = Math.max(now, (selected.lastCheckAt ?? now) + timing.BusyHeartbeatMs)
    if (selected.unanswered === 0 && selected.checkAt > busyAt) {
      this.#schedule(now, selected, busyAt - now)
    }
  }

  /** Whether there is a path that is worth no further search. */
  #isContent(): boolean {
    return (
      this.#selected !== undefined && !this.#distrusted && !this.#lost && this.#selected.pathKind !== 'relay'
    )
  }

  #find(address: Endpoint): RemoteCandidate | undefined {
    return this.#candidates.get(endpointKey(address))
  }

  #addSource(now: number, source: Endpoint): RemoteCandidate | undefined {
    const relayed = source.via !== undefined && this.#options.isRelay(source.via)
    return this.#add(now, { kind: 'prflx', address: source, relayed })
  }

  #add(now: number, candidate: PairedCandidate): RemoteCandidate | undefined {
    if (!this.#hasRoom(now, candidate)) return undefined
    const added = new RemoteCandidate(candidate, now)
    this.#candidates.set(added.key, added)
    this.#wake(now)
    return added
  }

  #hasRoom(now: number, candidate: PairedCandidate): boolean {
    const room = makeRoom(now, candidate, this.#candidates, [this.#selected, this.#lastSource])
    if (room !== 'there') this.#options.countSurplus()
    return room !== 'none'
  }

  #check(candidate: RemoteCandidate, urgency: CheckUrgency): void {
    candidate.checkAt = undefined
    if (candidate.queued === 'triggered' || (candidate.queued !== undefined && urgency !== 'triggered'))
      return
    candidate.queued = urgency
    this.#options.check(candidate, urgency)
  }

  #schedule(now: number, candidate: RemoteCandidate, inMs: number): void {
    candidate.checkAt = now + inMs
    candidate.postponed = undefined
    this.#wake(candidate.checkAt)
  }

  #wake(at: number): void {
    if (this.wakeAt === undefined || at < this.wakeAt) this.wakeAt = at
  }

  #rearm(): void {
    this.wakeAt =
      this.#searchingSince === undefined ? undefined : this.#searchingSince + this.#options.failAfterMs
    for (const { checkAt } of this.#candidates.values()) {
      if (checkAt !== undefined) this.#wake(checkAt)
    }
  }
}
