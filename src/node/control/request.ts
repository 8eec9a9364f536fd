/** What a request of the control socket is: each stands in a file of its own in `requests/`. */
import type * as z from 'zod/mini'
import type { Clock } from '../../core/ports.js'
import type { Room } from '../../room/room.js'
import type { RoomView } from './room-view.js'

/** What a request can act on. */
export interface RequestContext {
  readonly room: Room
  readonly role: 'host' | 'guest'
  readonly view: RoomView
  readonly clock: Clock
  /** Sends the client an event of this request. */
  readonly emit: (event: unknown) => void
  /** Aborted when the client is gone, or the room. */
  readonly signal: AbortSignal
}

export interface ControlRequest<Parameters = unknown> {
  readonly name: string
  readonly parameters: z.ZodMiniType<Parameters>
  /**
   * @returns what the client gets: anything that JSON can say
   * @throws GonetError, which the client gets as its error
   */
  handle(context: RequestContext, parameters: Parameters): unknown
}

/** A request of any parameters: they are checked before it is handled. */
export interface AnyRequest {
  readonly name: string
  /**
   * @throws UsageError `request-invalid` where the parameters are not the request's; what its handler throws
   */
  run(context: RequestContext, parameters: unknown): unknown
}
