import { once } from 'node:events'
import { GonetError } from '../../core/errors.js'
import { systemClock } from '../../node/clock.js'
import type { PingAnswer } from '../../node/control/requests/ping.js'
import type { GlobalOptions } from '../global-options.js'
import { leaveOnSignals } from '../leave-signals.js'
import { safeJson, safeLine } from '../output/safe-text.js'
import { withRunningRoom } from '../running-room.js'

const IntervalMs = 1000

/**
 * Measures the round trip to a member, through the tunnel, and prints each time as it comes.
 * @param count echo requests to send, one a second
 * @throws GonetError `no-answer` where no reply came at all, `member-away`; what finding the room throws
 */
export async function ping(who: string, count: number, options: GlobalOptions): Promise<void> {
  const leave = new AbortController()
  const stopListening = leaveOnSignals(leave)
  const { signal } = leave
  try {
    await withRunningRoom(options, async (client) => {
      const answers: PingAnswer[] = []
      const left = signal.aborted ? Promise.resolve() : once(signal, 'abort')
      while (answers.length < count) {
        const next = new Promise((resolve) => systemClock.after(IntervalMs, () => resolve(undefined)))
        const answer = client.request('ping', { who })
        await Promise.race([answer, left])
        if (signal.aborted) break
        const answered = (await answer) as PingAnswer
        answers.push(answered)
        if (options.json !== true) process.stdout.write(lineOf(answered))
        if (answers.length < count) await Promise.race([next, left])
      }
      finish(answers, who, options)
    })
  } finally {
    stopListening()
  }
}

function lineOf({ address, name, rttMs }: PingAnswer): string {
  return `${safeLine(`${name} (${address}): ${rttMs === null ? 'no answer' : `${rttMs} ms`}`)}\n`
}

function finish(answers: readonly PingAnswer[], who: string, options: GlobalOptions): void {
  const [first] = answers
  const rttsMs = answers.map(({ rttMs }) => rttMs)
  if (options.json === true && first !== undefined) {
    const { address, key, name } = first
    process.stdout.write(`${safeJson({ name, address, key, rttsMs })}\n`)
  }
  if (answers.length > 0 && rttsMs.every((rttMs) => rttMs === null)) {
    throw new GonetError('no-answer', `${first?.name ?? who} does not answer through the tunnel`)
  }
}
