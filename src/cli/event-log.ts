/** A room's events as log lines: who comes and goes, and what goes wrong; never what is said. */
import type { Logger } from '../core/ports.js'
import { formatRoomId } from '../core/room-id.js'
import type { RoomEvent } from '../room/events.js'
import { sentences } from './output/sentences.js'

export class EventLog {
  readonly #logger: Logger

  constructor(logger: Logger) {
    this.#logger = logger
  }

  show(event: RoomEvent): void {
    const logger = this.#logger
    switch (event.event) {
      case 'message':
      case 'delivered':
        return
      case 'room': {
        // Its link may let others in.
        const { address, room } = event
        logger.info(`room ${formatRoomId(room)} is open; the address here is ${address}`)
        return
      }
      case 'asks': {
        const { key, name, remote } = event
        logger.warn(`${name} asks to be let in: gonet approve ${key}, or gonet deny ${key}`, { remote })
        return
      }
      case 'error':
      case 'refused':
        logger.warn(event.message, { code: event.code })
        return
      default: {
        const isDown = event.event === 'signalling' && event.state === 'down'
        for (const sentence of sentences(event, 'normal')) {
          if (isDown) logger.warn(sentence)
          else logger.info(sentence)
        }
      }
    }
  }
}
