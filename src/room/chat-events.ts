import type { ChatEvent } from '../chat/replica.js'
import { explain, type GonetError } from '../core/errors.js'
import type { RoomEvent } from './events.js'

/**
 * What the room's user is told of the chat; undefined for what they posted themselves.
 * @param addressOf the overlay address of an author, or empty where it has left the roster
 */
export function roomEventOf(
  event: ChatEvent,
  addressOf: (author: Uint8Array) => string | undefined,
): RoomEvent | undefined {
  switch (event.type) {
    case 'delivered':
      return { event: 'delivered', id: event.id }
    case 'store-failed':
      return storeFailed(event.error)
    case 'message': {
      if (event.own) return undefined
      const { author, id, name, text, late } = event
      const address = addressOf(author) ?? ''
      return { event: 'message', from: name, address, text, id, ...(late && { late }) }
    }
  }
}

/** Something could not be kept on disk, and the room goes on without. */
export function storeFailed(error: GonetError): RoomEvent {
  return { event: 'error', code: error.code, message: explain(error) }
}
