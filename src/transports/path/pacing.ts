/**
 * How fast checks may go out: in all, for each peer, and to each target, so that nobody can aim this machine
 * at a third party by naming it as a candidate.
 */
import { type Endpoint, endpointKey } from '../../core/machine.js'

export interface Rate {
  readonly perSecond: number
  /** How many may go at once after a rest. */
  readonly burst: number
}

/** In all. */
export const TotalRate: Rate = { perSecond: 500, burst: 50 }
/** For one peer: two rounds over all its candidates at once, and RFC 8445's Ta of 50 ms in the long run. */
export const PeerRate: Rate = { perSecond: 20, burst: 24 }
/** For one peer, of those to where only its checks have come from: they may be replayed from anywhere. */
export const UnprovenSourceRate: Rate = { perSecond: 5, burst: 8 }
/** To an ip:port that has never answered, whoever named it, beside one for each authentic check from there. */
export const SilentTargetRate: Rate = { perSecond: 1 / 60, burst: 3 }
/** Answers to authentic checks from an ip:port that has never answered one. */
export const SilentSourceRate: Rate = { perSecond: 2, burst: 3 }
/** To an ip:port that has answered a check. */
export const TargetRate: Rate = { perSecond: 10, burst: 5 }
/** To all ports of an IP address from which no check has been answered. */
export const SilentAddressRate: Rate = { perSecond: 10, burst: 36 }

/** What 500 checks a second fill in two minutes, when the first of them may nearly be sent again anyway. */
const Generation = 65_536

export class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at: number | undefined

  constructor({ perSecond, burst }: Rate) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
  }

  /** How long to wait for a token, ms: 0 where there is one. */
  waitMs(now: number): number {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - (this.#at ?? now)) * this.#perMs)
    this.#at = now
    // A fraction of a token less than one microsecond's worth is rounding, not time to wait for.
    return this.#tokens > 1 - 1e-6 ? 0 : (1 - this.#tokens) / this.#perMs
  }

  /** Gives back a token, unless none is missing. */
  give(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + 1)
  }

  /** Takes the token that `waitMs` has just said to be there. */
  take(): void {
    this.#tokens -= 1
  }
}

/** The buckets of targets, shared by all peers that name them. Bounded: those not used for long go first. */
export class TargetPacing {
  readonly #silentRate: Rate
  readonly #silent = new Remembered<TokenBucket>()
  readonly #answering = new Remembered<TokenBucket>()
  readonly #silentAddresses = new Remembered<TokenBucket>()
  readonly #answeringAddresses = new Remembered<true>()

  /** @param silentRate to an ip:port that has never answered */
  constructor(silentRate: Rate) {
    this.#silentRate = silentRate
  }

  /** The buckets that a check to this target takes a token from. */
  bucketsOf(target: Endpoint): readonly TokenBucket[] {
    const key = endpointKey(target)
    const answering = this.#answering.use(key)
    if (answering !== undefined) return [answering]
    const bucket = this.#silent.use(key) ?? this.#silent.keep(key, new TokenBucket(this.#silentRate))
    if (this.#answeringAddresses.use(target.address) === true) return [bucket]
    const ofAddress =
      this.#silentAddresses.use(target.address) ??
      this.#silentAddresses.keep(target.address, new TokenBucket(SilentAddressRate))
    return [bucket, ofAddress]
  }

  /** Whether this very target has ever answered a check. */
  hasAnswered(target: Endpoint): boolean {
    return this.#answering.has(endpointKey(target))
  }

  /** Notes an authentic check from there, which may be checked in turn however often it was already. */
  asked(target: Endpoint): void {
    this.#silent.use(endpointKey(target))?.give()
  }

  /** Lets all that never answered be asked anew. */
  forgetSilent(): void {
    this.#silent.clear()
  }

  /** Notes that a target has answered a check, which only one who reads its datagrams can. */
  answered(target: Endpoint): void {
    const key = endpointKey(target)
    if (this.#answering.use(key) === undefined) this.#answering.keep(key, new TokenBucket(TargetRate))
    this.#answeringAddresses.keep(target.address, true)
  }
}

/** Keeps at least as many as a generation has, and at most two: those not used for that long are forgotten. */
class Remembered<Value> {
  #recent = new Map<string, Value>()
  #older = new Map<string, Value>()

  has(key: string): boolean {
    return this.#recent.has(key) || this.#older.has(key)
  }

  /** Looks up, and keeps it for longer. */
  use(key: string): Value | undefined {
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent
    const older = this.#older.get(key)
    return older === undefined ? undefined : this.keep(key, older)
  }

  keep(key: string, value: Value): Value {
    // Deleting the oldest, one by one, would take ever longer: a Map goes through those that were deleted.
    if (this.#recent.size >= Generation) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    this.#recent.set(key, value)
    return value
  }

  clear(): void {
    this.#recent.clear()
    this.#older.clear()
  }
}
