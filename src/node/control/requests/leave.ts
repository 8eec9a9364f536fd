import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

export const leave: ControlRequest<object> = {
  name: 'leave',
  parameters: z.object({}),
  handle: ({ room }) => room.leave(),
}
