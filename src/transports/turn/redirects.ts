import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'

/** RFC 8489 section 10: a server that was tried so lately is not tried again, ms. */
const RememberMs = 300_000
const MaxRedirects = 5

/** Where servers have sent this client (RFC 8489 section 10), so that they cannot send it in circles. */
export class Redirects {
  readonly #seenAt = new Map<string, number>()

  /** @returns false where the client should not go there */
  follow(now: number, server: SocketAddress): boolean {
    for (const [key, at] of this.#seenAt) if (at + RememberMs <= now) this.#seenAt.delete(key)
    const key = formatSocketAddress(server)
    if (this.#seenAt.has(key) || this.#seenAt.size >= MaxRedirects) return false
    this.#seenAt.set(key, now)
    return true
  }
}
