import { formatSocketAddress } from '../../core/machine.js'
import type { Message } from '../stun/message.js'
import { type AlternateServer, readAlternateServer } from './responses.js'

/** RFC 8489 section 10: a server that was tried so lately is not tried again, ms. */
const RememberMs = 300_000
const MaxRedirects = 5

/** Where servers have sent this client (RFC 8489 section 10), so that they cannot send it in circles. */
export class Redirects {
  readonly #seenAt = new Map<string, number>()

  /** @param error with the number 300 @returns undefined where the client should not go there */
  follow(now: number, error: Message): AlternateServer | undefined {
    const alternate = readAlternateServer(error)
    if (alternate === undefined) return undefined
    for (const [key, at] of this.#seenAt) if (at + RememberMs <= now) this.#seenAt.delete(key)
    const key = formatSocketAddress(alternate.server)
    if (this.#seenAt.has(key) || this.#seenAt.size >= MaxRedirects) return undefined
    this.#seenAt.set(key, now)
    return alternate
  }
}
