import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

export const send: ControlRequest<{ readonly text: string }> = {
  name: 'send',
  parameters: z.object({ text: z.string() }),
  handle: ({ room }, { text }): { readonly id: string } => ({ id: room.send(text) }),
}
