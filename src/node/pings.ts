/** Those that wait for the answer to an echo request. */
import { GonetError } from '../core/errors.js'
import type { Echo } from '../room/control-channel.js'
import type { Ping } from '../room/room.js'
import type { PingedMember } from '../room/room-machine.js'

export class Pings {
  readonly #waiting = new Map<
    number,
    { readonly resolve: (rttMs: number | undefined) => void; readonly reject: (error: GonetError) => void }
  >()

  /** @throws GonetError `room-ended` */
  async wait({ member, handle }: PingedMember): Promise<Ping> {
    const rttMs = await new Promise<number | undefined>((resolve, reject) => {
      this.#waiting.set(handle, { resolve, reject })
    })
    return { member, rttMs }
  }

  handle({ handle, rttMs }: Echo): void {
    this.#waiting.get(handle)?.resolve(rttMs)
    this.#waiting.delete(handle)
  }

  /** Nobody answers any more. */
  end(): void {
    for (const { reject } of this.#waiting.values()) reject(roomEnded())
    this.#waiting.clear()
  }
}

export function roomEnded(): GonetError {
  return new GonetError('room-ended', 'The room has ended')
}
