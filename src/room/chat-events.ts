import type { ChatEvent } from '../chat/replica.js'
import { explain, type GonetError } from '../core/errors.js'
import { lookAlike } from '../core/look-alike.js'
import type { RoomEvent } from './events.js'

/** The members, as far as the chat needs them. */
export interface Authors {
  /** Undefined where the author is not on the roster. */
  memberOf(author: Uint8Array): { readonly name: string; readonly address: string } | undefined
  /** The names of all members. */
  names(): readonly string[]
}

/**
 * What the room's user is told of the chat; undefined for what they posted themselves. An author is called as the
 * roster says, not as it calls itself; one that is not on the roster passes for nobody who is.
 */
export function roomEventOf(event: ChatEvent, authors: Authors): RoomEvent | undefined {
  switch (event.type) {
    case 'delivered':
      return { event: 'delivered', id: event.id }
    case 'store-failed':
      return storeFailed(event.error)
    case 'message': {
      if (event.own) return undefined
      const { author, id, name, text, late } = event
      const member = authors.memberOf(author)
      const isAnothers = member === undefined && lookAlike(name, authors.names()) !== undefined
      const from = member?.name ?? (isAnothers ? `${name} (not here)` : name)
      return { event: 'message', from, address: member?.address ?? '', text, id, ...(late && { late }) }
    }
  }
}

/** Something could not be kept on disk, and the room goes on without. */
export function storeFailed(error: GonetError): RoomEvent {
  return { event: 'error', code: error.code, message: explain(error) }
}
