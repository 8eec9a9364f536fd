/**
 * A record of ours: what etcd should have at one key, and putting it there: at first, in every new session,
 * and where somebody else has written over it or erased it.
 */
import { SignallingError } from '../../core/errors.js'
import type { Clock, Random } from '../../core/ports.js'
import { abortable } from '../waiting.js'
import type { Stream } from './client.js'
import { isRefusal } from './failure.js'
import type { Session } from './session.js'

export interface OwnRecordOptions {
  readonly key: string
  /** Whether to put it back where it is changed or erased. Else only new sessions store it again. */
  readonly isGuarded: boolean
  readonly session: () => Session | undefined
  /** There is nothing more to do for it. */
  readonly onGone: () => void
  readonly clock: Clock
  readonly random: Random
}

interface Content {
  readonly bytes: Uint8Array
}

interface Waiting {
  readonly content: Content
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Anybody who may write can write over it. We do not fight faster than this, and ever slower. */
const FirstRestoreMs = 1_000
const LongestRestoreMs = 60_000

export class OwnRecord {
  readonly #options: OwnRecordOptions
  /** What etcd should have; undefined where it should have nothing. */
  #content: Content | undefined
  /** What it has taken last, and in which session. */
  #stored: { readonly content: Content; readonly session: Session } | undefined
  /** Whether etcd may have something of ours. */
  #wasSent = false
  #isBusy = false
  #running: Promise<void> = Promise.resolve()
  #isClosed = false
  readonly #waiting = new Set<Waiting>()
  #cancelExpiry: () => void = () => undefined
  #guard: { readonly session: Session; stream?: Stream } | undefined
  #restoreAfterMs = FirstRestoreMs
  #cancelRestore: (() => void) | undefined

  constructor(options: OwnRecordOptions) {
    this.#options = options
  }

  /**
   * Stores it instead of the one before, until it expires. Resolves when etcd has it.
   * @throws SignallingError `publish-refused`, `record-expired`, `retracted`; the signal's reason
   */
  async put(bytes: Uint8Array, expiresInMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const content = { bytes }
    this.#content = content
    this.#restoreAfterMs = FirstRestoreMs
    this.#cancelExpiry()
    this.#cancelExpiry = clock.after(expiresInMs, () => {
      this.#erase(new SignallingError('record-expired', 'the record expired before etcd took it'))
    })
    let waiting: Waiting | undefined
    const stored = new Promise<void>((resolve, reject) => {
      waiting = { content, resolve, reject }
      this.#waiting.add(waiting)
    })
    this.sync()
    try {
      await abortable(stored, signal)
    } finally {
      if (waiting !== undefined) this.#waiting.delete(waiting)
      const isUnheard = signal.aborted && this.#stored?.content !== content
      if (isUnheard && this.#content === content) this.#erase(signal.reason)
    }
  }

  /** Removes it, although it may be of an earlier life of ours that stored it. */
  retract(): void {
    this.#wasSent = true
    this.#erase(new SignallingError('retracted', 'the record was retracted'))
  }

  /** Resolves when etcd has what it should have, or is not there. */
  async settled(): Promise<void> {
    await this.#running
  }

  /** Forgets it; etcd removes it with the session's lease. */
  close(reason: unknown): void {
    this.#isClosed = true
    this.#cancelExpiry()
    this.#stopGuarding()
    this.#content = undefined
    this.#settle(() => true, reason)
  }

  /** Makes etcd have what it should have, if there is a session. Called for every new session, too. */
  sync(): void {
    if (this.#isBusy || this.#isClosed) return
    this.#isBusy = true
    this.#running = this.#sync()
  }

  /** @param reason what those hear who wait for it to be stored */
  #erase(reason: unknown): void {
    this.#cancelExpiry()
    this.#stopGuarding()
    this.#content = undefined
    this.#settle(() => true, reason)
    this.sync()
  }

  async #sync(): Promise<void> {
    for (;;) {
      const session = this.#options.session()
      if (this.#content === undefined && !this.#wasSent) this.#options.onGone()
      if (this.#isClosed || session === undefined || session.isOver || this.#isDone(session)) break
      try {
        if (this.#content === undefined) await this.#remove(session)
        else await this.#store(session, this.#content)
      } catch (error) {
        if (isRefusal(error)) this.#settle(() => true, error)
        // So that it is shown, and tried again in the next session.
        session.fail(error as SignallingError)
      }
    }
    // In the same moment as the last look, so that no change falls in between.
    this.#isBusy = false
  }

  #isDone(session: Session): boolean {
    if (this.#content === undefined) return !this.#wasSent
    return this.#stored?.session === session && this.#stored.content === this.#content
  }

  async #remove(session: Session): Promise<void> {
    try {
      await session.remove(this.#options.key)
    } catch (error) {
      // What we may not remove is not ours, or expires by itself.
      if (!isRefusal(error)) throw error
    }
    if (this.#content !== undefined) return
    this.#wasSent = false
    this.#stored = undefined
  }

  async #store(session: Session, content: Content): Promise<void> {
    this.#wasSent = true
    const revision = await session.put(this.#options.key, content.bytes)
    this.#stored = { content, session }
    this.#settle((waiting) => waiting.content === content)
    if (this.#options.isGuarded && this.#content !== undefined) await this.#watchOver(session, revision)
  }

  /** So that we see it when somebody else erases or replaces the record. */
  async #watchOver(session: Session, revision: bigint): Promise<void> {
    if (this.#guard?.session === session) return
    this.#stopGuarding()
    const guard: { readonly session: Session; stream?: Stream } = { session }
    this.#guard = guard
    const stream = await session.watch(this.#options.key, revision, {
      onPut: ({ value }) => {
        if (this.#guard !== guard || this.#content === undefined) return
        if (Buffer.compare(value, this.#content.bytes) === 0) this.#stopRestoring()
        else this.#restoreLater()
      },
      onDelete: () => {
        if (this.#guard === guard && this.#content !== undefined) this.#restoreLater()
      },
      // Whoever may write and not read has to do without.
      onEnd: () => undefined,
    })
    if (this.#guard === guard) guard.stream = stream
    else stream.cancel()
  }

  #restoreLater(): void {
    if (this.#cancelRestore !== undefined) return
    const { clock, random } = this.#options
    const delayMs = this.#restoreAfterMs * (0.5 + random.fraction() / 2)
    this.#restoreAfterMs = Math.min(this.#restoreAfterMs * 2, LongestRestoreMs)
    this.#cancelRestore = clock.after(delayMs, () => {
      this.#cancelRestore = undefined
      this.#stored = undefined
      this.sync()
    })
  }

  #stopRestoring(): void {
    this.#cancelRestore?.()
    this.#cancelRestore = undefined
  }

  #stopGuarding(): void {
    this.#stopRestoring()
    this.#guard?.stream?.cancel()
    this.#guard = undefined
  }

  /** Ends the waits that this concerns: with an error, if one is given. */
  #settle(concerns: (waiting: Waiting) => boolean, error?: unknown): void {
    for (const waiting of this.#waiting) {
      if (!concerns(waiting)) continue
      this.#waiting.delete(waiting)
      if (error === undefined) waiting.resolve()
      else waiting.reject(error)
    }
  }
}
