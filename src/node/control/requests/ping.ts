import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

export interface PingAnswer {
  readonly name: string
  readonly address: string
  readonly key: string
  /** Null where no reply came in 5 s. */
  readonly rttMs: number | null
}

export const ping: ControlRequest<{ readonly who: string }> = {
  name: 'ping',
  parameters: z.object({ who: z.string() }),
  handle: async ({ room }, { who }): Promise<PingAnswer> => {
    const { member, rttMs } = await room.ping(who)
    const { name, address, key } = member
    return { name, address, key, rttMs: rttMs === undefined ? null : Math.round(rttMs * 100) / 100 }
  },
}
