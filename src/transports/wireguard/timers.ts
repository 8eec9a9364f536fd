/** A peer's timers (WireGuard paper, section 6) as a table of deadlines. */
export type TimerName =
  /** Sent an initiation: send another, or give up. */
  | 'retransmitHandshake'
  /** Received data: answer at least with a keepalive. */
  | 'sendKeepalive'
  /** Sent data and heard nothing: the session may be gone at the other side. */
  | 'newHandshake'
  /** No new session in a long time: forget all keys. */
  | 'zeroKeyMaterial'
  /** Silence that would close a NAT's mapping. */
  | 'persistentKeepalive'

export class Timers {
  readonly #deadlines = new Map<TimerName, number>()

  isSet(name: TimerName): boolean {
    return this.#deadlines.has(name)
  }

  /** Sets or moves a timer. */
  set(name: TimerName, deadline: number): void {
    this.#deadlines.set(name, deadline)
  }

  clear(name: TimerName): void {
    this.#deadlines.delete(name)
  }

  /** Brings all deadlines forward. */
  advance(ms: number): void {
    for (const [name, deadline] of this.#deadlines) this.#deadlines.set(name, deadline - ms)
  }

  clearAll(): void {
    this.#deadlines.clear()
  }

  /** Clears and returns the earliest timer whose deadline is at or before `now`. */
  takeExpired(now: number): TimerName | undefined {
    let first: TimerName | undefined
    let earliest = now
    for (const [name, deadline] of this.#deadlines) {
      if (deadline < earliest || (deadline === earliest && first === undefined)) {
        first = name
        earliest = deadline
      }
    }
    if (first !== undefined) this.#deadlines.delete(first)
    return first
  }

  next(): number | undefined {
    let next: number | undefined
    for (const deadline of this.#deadlines.values()) {
      if (next === undefined || deadline < next) next = deadline
    }
    return next
  }
}
