import { describe, expect, it } from 'vitest'
import { ServiceNotifier } from '../../src/node/service-notifier.js'
import { ManualClock, silent } from './control-room.js'

function start(environment: Readonly<Record<string, string>>) {
  const clock = new ManualClock()
  const sent: string[][] = []
  let finish: (() => void) | undefined
  let fails = false
  const notifier = new ServiceNotifier({
    environment,
    clock,
    logger: silent,
    send: (assignments) => {
      sent.push([...assignments])
      if (fails) return Promise.reject(new Error('there is no such command'))
      return new Promise((resolve) => {
        finish = resolve
      })
    },
  })
  const sendOn = async (): Promise<void> => {
    finish?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const fail = (): void => {
    fails = true
  }
  return { clock, notifier, sent, sendOn, fail }
}

const socket = { NOTIFY_SOCKET: '/run/systemd/notify' }

describe('a service', () => {
  it('tells that it is ready, how it is, and that it ends; of what waits, only the latest', async () => {
    const { notifier, sent, sendOn } = start(socket)
    notifier.ready('opening')
    notifier.status('one member\nREADY=0')
    notifier.status('two members')
    await sendOn()
    notifier.stopping()
    await sendOn()
    await sendOn()
    await notifier.close()
    expect(sent).toEqual([['READY=1', 'STATUS=opening'], ['STATUS=two members'], ['STOPPING=1']])
  })

  it('tells the watchdog that it lives, twice as often as it has to', async () => {
    const { clock, notifier, sent, sendOn } = start({
      ...socket,
      WATCHDOG_USEC: '60000000',
      WATCHDOG_PID: String(process.pid),
    })
    clock.pass(60_000)
    expect(sent).toEqual([])
    notifier.ready('')
    await sendOn()
    for (let round = 0; round < 2; round++) {
      clock.pass(30_000)
      await sendOn()
    }
    await notifier.close()
    clock.pass(60_000)
    expect(sent.slice(1)).toEqual([['WATCHDOG=1'], ['WATCHDOG=1']])
  })

  it.each([
    ['nobody asks', {}],
    ['the watchdog is for another process', { ...socket, WATCHDOG_USEC: '60000000', WATCHDOG_PID: '1' }],
    ['the interval makes no sense', { ...socket, WATCHDOG_USEC: '-1' }],
  ])('tells no watchdog where %s', async (_, environment) => {
    const { clock, notifier, sent, sendOn } = start(environment)
    notifier.ready('')
    await sendOn()
    clock.pass(1_000_000)
    await sendOn()
    expect(sent.flat()).not.toContain('WATCHDOG=1')
    expect(sent).toHaveLength('NOTIFY_SOCKET' in environment ? 1 : 0)
  })

  it('goes on where it cannot tell', async () => {
    const { notifier, sent, fail, sendOn } = start(socket)
    fail()
    notifier.ready('')
    await sendOn()
    notifier.status('later')
    await notifier.close()
    expect(sent).toHaveLength(1)
  })
})
