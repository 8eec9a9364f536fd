import type { PathAgent } from './path-agent.js'
import type { CheckUrgency, RemoteCandidate } from './remote-candidate.js'

export interface QueuedCheck {
  readonly agent: PathAgent
  readonly candidate: RemoteCandidate
}

/** Checks that are due and wait for their turn: the most urgent first, then in order of arrival. */
export class CheckQueue {
  readonly #byUrgency: Readonly<Record<CheckUrgency, QueuedCheck[]>> = {
    triggered: [],
    heartbeat: [],
    ordinary: [],
  }

  push(check: QueuedCheck, urgency: CheckUrgency): void {
    this.#byUrgency[urgency].push(check)
  }

  /** The next check, which stays in the queue; checks that became pointless meanwhile leave it. */
  peek(): QueuedCheck | undefined {
    for (const checks of Object.values(this.#byUrgency)) {
      for (let first = checks[0]; first !== undefined; first = checks[0]) {
        if (!first.candidate.removed && first.candidate.queued !== undefined) return first
        checks.shift()
      }
    }
    return undefined
  }
}
