import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

export interface NamespaceAnswer {
  /** The process that holds the network namespace in which programs reach the room; null where there is none. */
  readonly pid: number | null
}

export const namespace: ControlRequest<object> = {
  name: 'namespace',
  parameters: z.object({}),
  handle: ({ room }): NamespaceAnswer => ({ pid: room.namespace ?? null }),
}
