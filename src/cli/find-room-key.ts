/** The search for a key that may host a chosen room, with what it takes shown meanwhile. */
import { GonetError, UsageError } from '../core/errors.js'
import { formatRoomId, type RoomId, roomIdStrengthBits } from '../core/room-id.js'
import { type RoomSearchProgress, searchRoomKey } from '../node/room-search.js'
import type { State } from '../node/state.js'
import { type GlobalOptions, verbosityOf } from './global-options.js'
import { leaveOnSignals } from './leave-signals.js'

/** Beyond this a search takes years on any machine: whoever names such a room means one that exists. */
const HopelessBits = 42
/** How often a pipe is told; a terminal sees every report. */
const PipeReportMs = 5000

/**
 * Sees that the state folder has an identity for a room: it makes one where that can be done.
 * @throws UsageError `room-not-hosted` where it would take too long; GonetError `interrupted`, `store-failed`
 */
export async function findRoomKey(room: RoomId, state: State, options: GlobalOptions): Promise<void> {
  if (state.readRoom(room) !== undefined) return
  const bits = roomIdStrengthBits(room)
  if (bits > HopelessBits) {
    throw new UsageError('room-not-hosted', `The state folder has no identity for room ${room}`, {
      advice: `Import it, or run gonet create without an id. A search for another key would take years: 2^${Math.round(bits)} tries`,
    })
  }
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const show = verbosityOf(options) === 'quiet' ? undefined : new Progress(room, 2 ** bits)
  try {
    const onProgress = (progress: RoomSearchProgress): void => show?.update(progress)
    state.createRoom(room, await searchRoomKey(room, { signal: leave.signal, onProgress }))
  } catch (error) {
    if (!leave.signal.aborted) throw error
    throw new GonetError('interrupted', 'The search was interrupted; nothing was kept')
  } finally {
    show?.close()
    stopListening()
  }
}

class Progress {
  readonly #room: string
  readonly #expectedTries: number
  readonly #isTerminal = process.stderr.isTTY
  #toldAt = performance.now()

  constructor(room: RoomId, expectedTries: number) {
    this.#room = formatRoomId(room)
    this.#expectedTries = expectedTries
  }

  update({ tried, perSecond }: RoomSearchProgress): void {
    if (tried === 0) return
    const now = performance.now()
    if (!this.#isTerminal && now - this.#toldAt < PipeReportMs) return
    this.#toldAt = now
    const numbers = `${tried.toLocaleString('en')} tried, ${Math.round(perSecond).toLocaleString('en')} a second`
    // Luck has no memory: what is left is always as much as it was at first.
    const left = `${duration(this.#expectedTries / perSecond)} to go on average`
    const text = `gonet: searching for a key for room ${this.#room}: ${numbers}, ${left}`
    process.stderr.write(this.#isTerminal ? `\r\u001b[K${text}` : `${text}\n`)
  }

  close(): void {
    if (this.#isTerminal) process.stderr.write('\r\u001b[K')
  }
}

function duration(seconds: number): string {
  const units = [
    [86_400 * 365, 'years'],
    [86_400, 'days'],
    [3600, 'hours'],
    [60, 'minutes'],
  ] as const
  const [size, unit] = units.find(([each]) => seconds >= 2 * each) ?? [1, 'seconds']
  return `${Math.ceil(seconds / size)} ${unit}`
}
