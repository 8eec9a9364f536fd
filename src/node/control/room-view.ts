/** What a room has told so far, for those that ask later; and those that want to hear what it tells from now on. */
import type { PathKind, RoomEvent } from '../../room/events.js'

/** Members whose paths are remembered, by name: who is not in yet has one too. */
const PathsMax = 4096

export interface KnownPath {
  readonly kind: PathKind
  readonly remote: string
  readonly rttMs: number
}

export interface Backend {
  readonly adapter: string
  readonly state: 'up' | 'down'
  readonly reason?: string
}

export class RoomView {
  readonly #backends = new Map<string, Backend>()
  readonly #paths = new Map<string, KnownPath>()
  readonly #listeners = new Set<(event: RoomEvent) => void>()
  #own: { readonly address: string; readonly invite?: string } | undefined
  #end: { readonly failure: Error | undefined } | undefined
  readonly #ended: Promise<void>
  #isEnded: (() => void) | undefined

  constructor() {
    this.#ended = new Promise((resolve) => {
      this.#isEnded = resolve
    })
  }

  get backends(): readonly Backend[] {
    return Array.from(this.#backends.values())
  }

  /** This member's address, and a host's link, once the room is up. */
  get own(): { readonly address: string; readonly invite?: string } | undefined {
    return this.#own
  }

  /** The path to a member, by its name. */
  pathTo(member: string): KnownPath | undefined {
    return this.#paths.get(member)
  }

  handleEvent(event: RoomEvent): void {
    switch (event.event) {
      case 'room':
        this.#own = {
          address: event.address,
          ...(event.invite !== undefined && { invite: event.invite }),
        }
        break
      case 'joined':
        this.#own = { address: event.address }
        break
      case 'signalling': {
        const { adapter, state, reason } = event
        this.#backends.set(adapter, { adapter, state, ...(reason !== undefined && { reason }) })
        break
      }
      case 'path': {
        const { member, kind, remote, rttMs } = event
        this.#paths.delete(member)
        this.#paths.set(member, { kind, remote, rttMs })
        const [oldest] = this.#paths.keys()
        if (this.#paths.size > PathsMax && oldest !== undefined) this.#paths.delete(oldest)
        break
      }
      case 'member':
        if (event.state === 'left') this.#paths.delete(event.name)
    }
    for (const listener of this.#listeners) listener(event)
  }

  /** The room has ended. Safe to call twice: the first call counts. */
  end(failure: Error | undefined): void {
    this.#end ??= { failure }
    this.#isEnded?.()
  }

  /**
   * Tells of what happens until the signal is aborted, or the room has ended.
   * @throws what ended the room, where that was a failure
   */
  async follow(onEvent: (event: RoomEvent) => void, signal: AbortSignal): Promise<void> {
    this.#listeners.add(onEvent)
    const aborted = new AbortController()
    try {
      await Promise.race([
        this.#ended,
        new Promise<void>((resolve) => {
          if (signal.aborted) resolve()
          signal.addEventListener('abort', () => resolve(), { signal: aborted.signal })
        }),
      ])
    } finally {
      aborted.abort()
      this.#listeners.delete(onEvent)
    }
    if (this.#end?.failure !== undefined) throw this.#end.failure
  }
}
