/**
 * Cookies (WireGuard paper, sections 5.3 and 5.4.7): under load a handshake message is computed with only when
 * its mac2 shows that its sender receives what is sent to its address.
 *
 * The responder keeps nothing for it: a cookie is a MAC of the address under a secret that changes. The
 * initiator keeps the latest cookie of every path to its peer, since a cookie is good for one address of its own
 * only, and another path (a relay above all) shows another.
 */
import { type Endpoint, endpointKey, formatSocketAddress } from '../../core/machine.js'
import type { Random } from '../../core/ports.js'
import { CookieRefreshTimeMs, LabelCookie, MaxCookies } from './constants.js'
import type { NoiseCrypto } from './crypto.js'
import { hasMac2, mac1Key, readMac1, verifyMac1, verifyMac2, writeMac2 } from './macs.js'
import { type CookieReply, cookieReply } from './messages.js'
import { NonceLength, open, seal } from './xchacha20-poly1305.js'

/** The receiver's part: checks both MACs and hands out cookies. One a device. */
export class CookieChecker {
  readonly #crypto: NoiseCrypto
  readonly #random: Random
  readonly #mac1Key: Uint8Array
  readonly #replyKey: Uint8Array
  #secret: { readonly bytes: Uint8Array; readonly madeAt: number } | undefined

  /** @param publicKey the device's own */
  constructor(crypto: NoiseCrypto, random: Random, publicKey: Uint8Array) {
    this.#crypto = crypto
    this.#random = random
    this.#mac1Key = mac1Key(crypto, publicKey)
    this.#replyKey = cookieReplyKey(crypto, publicKey)
  }

  verifyMac1(message: Uint8Array): boolean {
    return verifyMac1(this.#crypto, this.#mac1Key, message)
  }

  /** Whether a message brings the cookie that its source was given. */
  verifyMac2(now: number, source: Endpoint, message: Uint8Array): boolean {
    const secret = this.#secret
    if (secret === undefined || now >= secret.madeAt + CookieRefreshTimeMs || !hasMac2(message)) return false
    return verifyMac2(this.#crypto, this.#cookieOf(secret.bytes, source), message)
  }

  /**
   * Section 5.4.7: the source's cookie, which only those who see this message can open.
   * @param receiver the sender index of the message that it answers
   */
  createReply(now: number, source: Endpoint, receiver: number, message: Uint8Array): Uint8Array {
    if (this.#secret === undefined || now >= this.#secret.madeAt + CookieRefreshTimeMs) {
      this.#secret = { bytes: this.#random.bytes(32), madeAt: now }
    }
    const nonce = this.#random.bytes(NonceLength)
    const cookie = this.#cookieOf(this.#secret.bytes, source)
    return cookieReply(receiver, nonce, seal(this.#replyKey, nonce, cookie, readMac1(message)))
  }

  #cookieOf(secret: Uint8Array, source: Endpoint): Uint8Array {
    return this.#crypto.mac(secret, new TextEncoder().encode(formatSocketAddress(source)))
  }
}

/** The sender's part: keeps the cookies that a peer gave us, and makes mac2 of them. One a peer. */
export class CookieGenerator {
  readonly #crypto: NoiseCrypto
  readonly #replyKey: Uint8Array
  /** By the peer's address on a path; the latest last. */
  readonly #cookies = new Map<string, { readonly cookie: Uint8Array; readonly receivedAt: number }>()
  /** Of the latest handshake message that has had no cookie reply. */
  #lastMac1: Uint8Array | undefined

  /** @param publicKey the peer's */
  constructor(crypto: NoiseCrypto, publicKey: Uint8Array) {
    this.#crypto = crypto
    this.#replyKey = cookieReplyKey(crypto, publicKey)
  }

  /**
   * Writes mac2 over a message to this peer that has its mac1, where there is a cookie for its path.
   * @param destination where it goes; undefined where nobody knows: then the latest cookie is taken
   */
  addMac2(now: number, destination: Endpoint | undefined, message: Uint8Array): void {
    this.#lastMac1 = readMac1(message).slice()
    const kept =
      destination === undefined
        ? Array.from(this.#cookies.values()).at(-1)
        : this.#cookies.get(endpointKey(destination))
    if (kept === undefined || now >= kept.receivedAt + CookieRefreshTimeMs) return
    writeMac2(this.#crypto, kept.cookie, message)
  }

  /**
   * Takes a cookie for the path that it came by. It is used with the next message, which goes when it would have
   * gone anyway (section 6.6): a reply must not make us send.
   * @returns false for a forgery, and for a second reply to one message
   */
  consumeReply(now: number, source: Endpoint, reply: CookieReply): boolean {
    if (this.#lastMac1 === undefined) return false
    const cookie = open(this.#replyKey, reply.nonce, reply.encryptedCookie, this.#lastMac1)
    if (cookie === undefined) return false
    this.#lastMac1 = undefined
    const path = endpointKey(source)
    this.#cookies.delete(path)
    this.#cookies.set(path, { cookie, receivedAt: now })
    const [oldest] = this.#cookies.keys()
    if (this.#cookies.size > MaxCookies && oldest !== undefined) this.#cookies.delete(oldest)
    return true
  }
}

function cookieReplyKey(crypto: NoiseCrypto, publicKey: Uint8Array): Uint8Array {
  return crypto.hash(new TextEncoder().encode(LabelCookie), publicKey)
}
