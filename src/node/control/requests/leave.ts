import * as z from 'zod/mini'
import type { ControlRequest } from '../request.js'

export const leave: ControlRequest<{ readonly close?: boolean | undefined }> = {
  name: 'leave',
  parameters: z.object({ close: z.optional(z.boolean()) }),
  handle: ({ room }, { close = false }) => room.leave({ close }),
}
