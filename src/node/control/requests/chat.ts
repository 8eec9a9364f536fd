import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

/** Tells what happens in the room, until the client goes or the room ends. */
export const chat: ControlRequest<object> = {
  name: 'chat',
  parameters: z.object({}),
  handle: ({ view, emit, signal }) => view.follow(emit, signal),
}
