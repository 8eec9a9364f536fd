import { describe, expect, it } from 'vitest'
import { runAttachedSession } from '../../src/cli/attached-session.js'
import type { InputLine } from '../../src/cli/input-lines.js'
import type { Output } from '../../src/cli/output/output.js'
import { GonetError, UsageError } from '../../src/core/errors.js'
import { EventQueue } from '../../src/node/event-queue.js'
import type { RoomEvent } from '../../src/room/events.js'

async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
}

function start(options: { readonly interactive?: boolean; readonly stay?: boolean } = {}) {
  const lines = new EventQueue<InputLine>()
  const leave = new AbortController()
  const asked: unknown[] = []
  const shown: RoomEvent[] = []
  const notices: string[] = []
  let tell: (event: unknown) => unknown = () => undefined
  let end: (failure?: Error) => void = () => undefined
  const client = {
    request: (
      name: string,
      parameters: Readonly<Record<string, unknown>> = {},
      onEvent: (event: unknown) => unknown = () => undefined,
    ): Promise<unknown> => {
      if (name === 'chat') {
        tell = onEvent
        return new Promise((resolve, reject) => {
          end = (failure) => (failure === undefined ? resolve({}) : reject(failure))
        })
      }
      asked.push([name, parameters])
      if (parameters['text'] === 'bad') return Promise.reject(new UsageError('message-invalid', 'No'))
      if (name === 'asking') return Promise.resolve({ asking: [{ name: 'cleo', key: 'k' }] })
      return Promise.resolve(name === 'send' ? { id: '1' } : { name: 'bob', key: 'k' })
    },
  }
  const output: Output = {
    event: (event) => void shown.push(event),
    notice: (text) => void notices.push(text),
    drained: () => Promise.resolve(),
    close: () => undefined,
  }
  const { interactive = false, stay = false } = options
  let isOver = false
  const session = runAttachedSession({ client, output, lines, interactive, stay, leave: leave.signal })
  const over = session.finally(() => {
    isOver = true
  })
  over.catch(() => undefined)
  return {
    lines,
    leave,
    asked,
    shown,
    notices,
    session,
    over,
    isOver: () => isOver,
    tell: (event: unknown) => tell(event),
    end: (failure?: Error) => end(failure),
  }
}

describe('a chat in a running room', () => {
  it('shows what happens, posts what is typed in order, and goes when the input ends', async () => {
    const { asked, lines, shown, tell, over } = start()
    tell({ event: 'left' })
    tell({ event: 'of a later version' })
    tell(null)
    for (const text of ['one', '/kick bob', 'three']) lines.push({ text })
    lines.end()
    await over
    expect(shown).toEqual([{ event: 'left' }])
    expect(asked).toEqual(['one', '/kick bob', 'three'].map((text) => ['send', { text }]))
  })

  it('takes commands from a person, and says what came of them', async () => {
    const { asked, lines, notices, over } = start({ interactive: true })
    for (const text of ['/kick bob', '/asking', '//shrug', 'bad', '/fly']) lines.push({ text })
    lines.push({ refused: 'line 6 was not sent' })
    lines.end()
    await over
    expect(asked).toEqual([
      ['kick', { who: 'bob' }],
      ['asking', {}],
      ['send', { text: '/shrug' }],
      ['send', { text: 'bad' }],
    ])
    expect(notices).toEqual([
      'gonet: bob is out for ten minutes (key k)',
      'gonet: cleo (key k)',
      'gonet: a message was not sent: No',
      expect.stringMatching(/^gonet: that was not done: There is no command \/fly here/),
      'gonet: line 6 was not sent',
    ])
  })

  it('stays at the end of its input where it is told to, until the user goes', async () => {
    const { isOver, leave, lines, over } = start({ stay: true })
    lines.end()
    await settled()
    expect(isOver()).toBe(false)
    leave.abort()
    await over
  })

  it('ends with the room, and as the room does', async () => {
    const well = start()
    well.end()
    await well.over
    const closed = start()
    closed.end(new GonetError('room-closed', 'The host has closed the room'))
    await expect(closed.session).rejects.toMatchObject({ code: 'room-closed' })
  })
})
