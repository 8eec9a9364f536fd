/**
 * The up to three sessions of a peer: previous, current, next. A responder's new session is `next` until the
 * initiator's first transport message proves that the response arrived; only `current` sends.
 */
import type { Session } from './session.js'

export class Sessions {
  readonly #release: (localIndex: number) => void
  #previous: Session | undefined
  #current: Session | undefined
  #next: Session | undefined

  /** @param release told the index of each session that is dropped */
  constructor(release: (localIndex: number) => void) {
    this.#release = release
  }

  /** The one to send with. */
  get current(): Session | undefined {
    return this.#current
  }

  get isEmpty(): boolean {
    return this.#previous === undefined && this.#current === undefined && this.#next === undefined
  }

  find(localIndex: number): Session | undefined {
    if (this.#current?.localIndex === localIndex) return this.#current
    if (this.#previous?.localIndex === localIndex) return this.#previous
    return this.#next?.localIndex === localIndex ? this.#next : undefined
  }

  /** A response of theirs was consumed: the session can be used at once. */
  addAsInitiator(session: Session): void {
    // Where both sides initiated at the same time the peer sends with the one that it initiated, our `next`.
    const older = this.#next ?? this.#current
    if (older !== this.#current) this.#drop(this.#current)
    this.#drop(this.#previous)
    this.#previous = older
    this.#next = undefined
    this.#current = session
  }

  /** A response of ours was made: the session waits for its first message. */
  addAsResponder(session: Session): void {
    this.#drop(this.#next)
    this.#drop(this.#previous)
    this.#previous = undefined
    this.#next = session
  }

  /** An authentic message came by this session. True where that makes it the current one. */
  confirm(session: Session): boolean {
    if (session !== this.#next) return false
    this.#drop(this.#previous)
    this.#previous = this.#current
    this.#current = session
    this.#next = undefined
    return true
  }

  wipe(): void {
    this.#drop(this.#previous)
    this.#drop(this.#current)
    this.#drop(this.#next)
    this.#previous = this.#current = this.#next = undefined
  }

  #drop(session: Session | undefined): void {
    if (session === undefined) return
    session.wipe()
    this.#release(session.localIndex)
  }
}
