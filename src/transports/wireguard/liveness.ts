/** The timers by which a session is kept up, and its end noticed (WireGuard paper, sections 6.3 to 6.5). */
import type { Random } from '../../core/ports.js'
import {
  KeepaliveTimeoutMs,
  RejectAfterTimeMs,
  RekeyTimeoutJitterMaxMs,
  RekeyTimeoutMs,
} from './constants.js'
import type { Timers } from './timers.js'

export class Liveness {
  readonly #timers: Timers
  readonly #random: Random
  readonly #persistentKeepaliveMs: number | undefined
  #anotherKeepaliveDue = false

  /** @param timers those of the tunnel */
  constructor(timers: Timers, random: Random, persistentKeepaliveMs: number | undefined) {
    this.#timers = timers
    this.#random = random
    this.#persistentKeepaliveMs = persistentKeepaliveMs
  }

  sessionDerived(now: number): void {
    this.#timers.set('zeroKeyMaterial', now + 3 * RejectAfterTimeMs)
  }

  /** Everything that leaves is authenticated, and so serves as a keepalive. */
  authenticatedSent(now: number): void {
    this.#timers.clear('sendKeepalive')
    this.#traversed(now)
  }

  authenticatedReceived(now: number): void {
    this.#timers.clear('newHandshake')
    this.#traversed(now)
  }

  dataSent(now: number): void {
    if (this.#timers.isSet('newHandshake')) return
    const jitter = this.#random.fraction() * RekeyTimeoutJitterMaxMs
    this.#timers.set('newHandshake', now + KeepaliveTimeoutMs + RekeyTimeoutMs + jitter)
  }

  dataReceived(now: number): void {
    if (this.#timers.isSet('sendKeepalive')) this.#anotherKeepaliveDue = true
    else this.#timers.set('sendKeepalive', now + KeepaliveTimeoutMs)
  }

  /** A keepalive has been sent in its time: data that came meanwhile wants another. */
  keepaliveSent(now: number): void {
    if (!this.#anotherKeepaliveDue) return
    this.#anotherKeepaliveDue = false
    this.#timers.set('sendKeepalive', now + KeepaliveTimeoutMs)
  }

  #traversed(now: number): void {
    if (this.#persistentKeepaliveMs === undefined) return
    this.#timers.set('persistentKeepalive', now + this.#persistentKeepaliveMs)
  }
}
