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
/** To an ip:port that has never answered, whoever named it. */
export const SilentTargetRate: Rate = { perSecond: 2, burst: 3 }
/** To an ip:port that has answered a check. */
export const TargetRate: Rate = { perSecond: 10, burst: 5 }
/** To all ports of an IP address from which no check has been answered. */
export const SilentAddressRate: Rate = { perSecond: 10, burst: 36 }

/** Many times what 500 checks a second can fill before the oldest bucket is full again, and so forgettable. */
const MaxTargets = 8192

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

  /** Takes the token that `waitMs` has just said to be there. */
  take(): void {
    this.#tokens -= 1
  }
}

/** The buckets of targets, shared by all peers that name them. Bounded: the least recently used go first. */
export class TargetPacing {
  readonly #silent = new Map<string, TokenBucket>()
  readonly #answering = new Map<string, TokenBucket>()
  readonly #silentAddresses = new Map<string, TokenBucket>()
  readonly #answeringAddresses = new Map<string, true>()

  /** The buckets that a check to this target takes a token from. */
  bucketsOf(target: Endpoint): readonly TokenBucket[] {
    const key = endpointKey(target)
    const answering = use(this.#answering, key)
    if (answering !== undefined) return [answering]
    const bucket = use(this.#silent, key) ?? keep(this.#silent, key, new TokenBucket(SilentTargetRate))
    if (use(this.#answeringAddresses, target.address) === true) return [bucket]
    const ofAddress =
      use(this.#silentAddresses, target.address) ??
      keep(this.#silentAddresses, target.address, new TokenBucket(SilentAddressRate))
    return [bucket, ofAddress]
  }

  /** Whether this very target has ever answered a check. */
  hasAnswered(target: Endpoint): boolean {
    return this.#answering.has(endpointKey(target))
  }

  /** Notes that a target has answered a check, which only one who reads its datagrams can. */
  answered(target: Endpoint): void {
    const key = endpointKey(target)
    if (use(this.#answering, key) === undefined) keep(this.#answering, key, new TokenBucket(TargetRate))
    keep(this.#answeringAddresses, target.address, true)
  }
}

/** Looks up, and marks as used last. */
function use<Value>(map: Map<string, Value>, key: string): Value | undefined {
  const value = map.get(key)
  if (value !== undefined) {
    map.delete(key)
    map.set(key, value)
  }
  return value
}

function keep<Value>(map: Map<string, Value>, key: string, value: Value): Value {
  map.set(key, value)
  if (map.size > MaxTargets) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
  return value
}
