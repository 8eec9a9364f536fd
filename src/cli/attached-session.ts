/** A room that runs in another process, between its user's input and output. */
import { explain } from '../core/errors.js'
import type { ControlClient } from '../node/control/client.js'
import type { RoomEvent } from '../room/events.js'
import type { Named } from '../room/find-member.js'
import type { InputLine } from './input-lines.js'
import type { Output } from './output/output.js'
import { post, type Recipient } from './post.js'

export interface AttachedSessionOptions {
  readonly client: Pick<ControlClient, 'request'>
  readonly output: Output
  readonly lines: AsyncIterable<InputLine>
  /** Somebody types. */
  readonly interactive: boolean
  /** Whether to stay when the input ends. */
  readonly stay: boolean
  /** Aborted when the user wants to go. */
  readonly leave: AbortSignal
}

/**
 * Shows what happens and posts what is typed, until the input ends, the user goes, or the room ends.
 * @throws GonetError what ended the room
 */
export async function runAttachedSession(options: AttachedSessionOptions): Promise<void> {
  const { client, leave, output } = options
  const room = recipientOf(client)
  const shown = client.request('chat', {}, async (event) => {
    if (!isRoomEvent(event)) return
    output.event(event)
    await output.drained(leave)
  })
  const aborted = new Promise<void>((resolve) => {
    if (leave.aborted) resolve()
    else leave.addEventListener('abort', () => resolve(), { once: true })
  })
  await Promise.race([shown, aborted, readLines(room, options)])
}

/** Resolves at the end of the input, once all of it is posted; never where the user stays. */
async function readLines(
  room: Recipient,
  { interactive, leave, lines, output, stay }: AttachedSessionOptions,
): Promise<void> {
  try {
    for await (const line of lines) {
      if (leave.aborted) return
      const told = 'refused' in line ? line.refused : await post(room, line.text, interactive)
      if (told !== undefined) output.notice(`gonet: ${told}`)
    }
  } catch (error) {
    output.notice(`gonet: stdin cannot be read: ${explain(error)}`)
  }
  if (stay) await new Promise(() => undefined)
}

function recipientOf(client: Pick<ControlClient, 'request'>): Recipient {
  return {
    get asking() {
      return client
        .request('asking')
        .then((answer) => (answer as { readonly asking: readonly Named[] }).asking)
    },
    get bans() {
      return client.request('bans').then((answer) => (answer as { readonly bans: readonly Named[] }).bans)
    },
    administer: async (act, who) => (await client.request(act, { who })) as Named,
    send: async (text) => ((await client.request('send', { text })) as { readonly id: string }).id,
  }
}

const KnownEvents: Readonly<Record<RoomEvent['event'], true>> = {
  room: true,
  signalling: true,
  joined: true,
  member: true,
  path: true,
  message: true,
  asks: true,
  waiting: true,
  delivered: true,
  refused: true,
  error: true,
  warning: true,
  left: true,
}

/** A room of a later version may tell more. */
function isRoomEvent(event: unknown): event is RoomEvent {
  if (typeof event !== 'object' || event === null || !('event' in event)) return false
  return typeof event.event === 'string' && Object.hasOwn(KnownEvents, event.event)
}
