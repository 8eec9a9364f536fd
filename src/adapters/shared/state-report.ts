/** Reports an adapter's state where it has changed, until the adapter is closed. */
import type { AdapterState } from '../../core/signalling-adapter.js'

export class StateReport {
  readonly #onState: (state: AdapterState) => void
  #reported: AdapterState | undefined
  #isClosed = false

  constructor(onState: (state: AdapterState) => void) {
    this.#onState = onState
  }

  /** What was reported last; undefined before the first report. */
  get last(): AdapterState | undefined {
    return this.#reported
  }

  set(state: AdapterState): void {
    if (this.#isClosed || isSame(state, this.#reported)) return
    this.#reported = state
    this.#onState(state)
  }

  up(): void {
    this.set({ state: 'up' })
  }

  /** @param reason for a person: what is wrong, on one line */
  down(reason: string): void {
    this.set({ state: 'down', reason })
  }

  /** Nothing is reported from now on. */
  close(): void {
    this.#isClosed = true
  }
}

function isSame(a: AdapterState, b: AdapterState | undefined): boolean {
  return a.state === b?.state && (a.state === 'up' || (b.state === 'down' && a.reason === b.reason))
}
