/**
 * When handshakes must bring a cookie, and how many of one address are computed with then (WireGuard paper,
 * section 5.3).
 */
import ipaddr from 'ipaddr.js'
import {
  HandshakeBurst,
  HandshakesPerSecond,
  MaxRateLimitedAddresses,
  PacketsBurstable,
  PacketsPerSecond,
  UnderLoadAfterTimeMs,
} from './constants.js'

export interface LoadPolicy {
  /** Takes note of an initiation or response whose mac1 is right. True where it must bring a cookie. */
  isUnderLoad(now: number): boolean
}

/** Under load is who gets more handshakes than it means to compute, and stays so for UnderLoadAfterTime. */
export class HandshakeLoad implements LoadPolicy {
  readonly #bucket: TokenBucket
  #until = Number.NEGATIVE_INFINITY

  constructor(perSecond: number = HandshakesPerSecond, burst: number = HandshakeBurst) {
    this.#bucket = new TokenBucket(perSecond, burst)
  }

  isUnderLoad(now: number): boolean {
    if (!this.#bucket.take(now)) this.#until = now + UnderLoadAfterTimeMs
    return now < this.#until
  }
}

/** A bucket is full again after this time, and no different from a new one. */
const FullAfterMs: number = (PacketsBurstable / PacketsPerSecond) * 1000

/**
 * Handshakes of one IP address, under load. Only for addresses that a cookie has proved: a bucket is state, and
 * whoever forges sources could fill the table.
 */
export class RateLimiter {
  /** The least recently used first. */
  readonly #buckets = new Map<string, { readonly bucket: TokenBucket; readonly usedAt: number }>()

  allow(now: number, address: string): boolean {
    this.#forget(now)
    const key = networkOf(address)
    const bucket = this.#buckets.get(key)?.bucket ?? new TokenBucket(PacketsPerSecond, PacketsBurstable)
    this.#buckets.delete(key)
    this.#buckets.set(key, { bucket, usedAt: now })
    return bucket.take(now)
  }

  /** How many addresses are kept. */
  get size(): number {
    return this.#buckets.size
  }

  #forget(now: number): void {
    for (const [key, { usedAt }] of this.#buckets) {
      if (now < usedAt + FullAfterMs && this.#buckets.size < MaxRateLimitedAddresses) return
      this.#buckets.delete(key)
    }
  }
}

/** An IPv4 address, or the /64 of an IPv6 one: whoever has one address there has them all. */
function networkOf(address: string): string {
  if (!ipaddr.isValid(address)) return address
  const parsed = ipaddr.process(address)
  const bytes = parsed.toByteArray()
  return (parsed.kind() === 'ipv4' ? bytes : bytes.slice(0, 8)).join('.')
}

class TokenBucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at: number | undefined

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
  }

  /** Takes a token, or none and false. */
  take(now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - (this.#at ?? now)) * this.#perMs)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
