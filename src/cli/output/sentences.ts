/** Events as people read them. */
import { formatRoomId, isWeakRoomId, roomIdStrengthBits } from '../../core/room-id.js'
import type { RoomEvent } from '../../room/events.js'
import { safeLine } from './safe-text.js'

/** How much is said: `--quiet` leaves the comings and goings out, `--verbose` says all. */
export type Verbosity = 'quiet' | 'normal' | 'verbose'

type Sentence = Exclude<RoomEvent, { readonly event: 'message' }>

/** What to say of an event, each a harmless line; none where it does not matter at this verbosity. */
export function sentences(event: Sentence, verbosity: Verbosity): string[] {
  const isQuiet = verbosity === 'quiet'
  switch (event.event) {
    case 'room': {
      const id = formatRoomId(event.room)
      const bits = Math.floor(roomIdStrengthBits(event.room))
      return [
        `room ${id} (${bits} bits) is open; your address is ${event.address}`,
        ...(event.invite === undefined
          ? ['others join by invite only: make one with gonet invite, or /invite in the chat']
          : [`others join with: gonet join ${id}`, `or by link: gonet join '${event.invite}'`]),
        ...(event.invite !== undefined && isWeakRoomId(event.room)
          ? ['the id is short: others can find a key for it too; give out the link, which names yours']
          : []),
      ].map(safeLine)
    }
    case 'joined':
      return [
        safeLine(
          `joined room ${formatRoomId(event.room)} of ${event.host}; your address is ${event.address}`,
        ),
      ]
    case 'signalling': {
      if (isQuiet) return []
      const reason = event.reason === undefined ? '' : `: ${event.reason}`
      return [safeLine(`signalling by ${event.adapter} is ${event.state}${reason}`)]
    }
    case 'member':
      if (isQuiet) return []
      return [
        safeLine(
          event.state === 'joined'
            ? `${event.name} joined (${event.address})${lookAlikeClause(event.looksLike)}`
            : `${event.name} left`,
        ),
      ]
    case 'path':
      if (isQuiet) return []
      return [safeLine(`path to ${event.member}: ${event.kind} ${event.remote}, ${event.rttMs} ms`)]
    case 'asks': {
      const from = event.remote === '' ? '' : `, from ${event.remote}`
      return [
        `${event.name} asks to be let in (key ${event.key}${from})${lookAlikeClause(event.looksLike)}`,
        `let them in with /approve ${event.name}, or not with /deny ${event.name}`,
      ].map(safeLine)
    }
    case 'waiting':
      return ['the host is asked whether to let you in']
    case 'delivered':
      return verbosity === 'verbose' ? [safeLine(`delivered ${event.id}`)] : []
    case 'refused':
      return [safeLine(`refused: ${event.message} (${event.code})`)]
    case 'error':
      return [safeLine(`error: ${event.message} (${event.code})`)]
    case 'warning':
      return [safeLine(`warning: ${event.message} (${event.code})`)]
    case 'left':
      return isQuiet ? [] : ['left']
  }
}

function lookAlikeClause(other: string | undefined): string {
  return other === undefined ? '' : `; beware, the name looks like that of ${other}`
}

/** What stands before a message that came after later ones. */
export function lateSentence(from: string): string {
  return safeLine(`the next message of ${from} came late`)
}
