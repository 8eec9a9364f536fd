import { formatSocketAddress } from '../core/machine.js'
import type { RoomEvent } from './events.js'
import type { UnderlayEvent } from './underlay.js'

/** Tells of a peer's paths: once for each that its packets change to, not when only its round trip changes. */
export class PathEvents {
  #last = ''

  /** @param member the peer's name */
  next(member: string, selected: Extract<UnderlayEvent, { readonly type: 'path' }>): RoomEvent | undefined {
    const { kind, address } = selected.candidate
    const remote = formatSocketAddress(address)
    const path = `${kind} ${remote}`
    if (path === this.#last) return undefined
    this.#last = path
    return { event: 'path', member, kind, remote, rttMs: Math.round(selected.rttMs * 10) / 10 }
  }
}
