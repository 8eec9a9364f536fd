/** Several brokers at once, most of them of no use: the one that works carries everything, without delay. */
import type { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { systemClock } from '../../src/node/clock.js'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { freePort } from '../servers/free-port.js'
import { mosquittoMissing } from '../servers/mosquitto.js'
import { ManualClock } from './manual-clock.js'
import {
  atEnd,
  beaconsAt,
  Connack5,
  fakeBroker,
  mosquitto,
  never,
  open,
  recordOf,
  Seen,
  topic,
} from './mqtt-bench.js'

const silent = (socket: Socket): void => void socket.resume()
const silentAfterConnack = (socket: Socket): void => {
  socket.once('data', () => socket.write(Connack5))
}
const refusing = (socket: Socket): void => {
  socket.once('data', () => socket.end(Uint8Array.of(0x20, 3, 0, 138, 0)))
}

/** A logger that keeps what it is told of each broker. */
const brokerStates = (): { logger: AdapterContext['logger']; reasons: Map<string, unknown> } => {
  const reasons = new Map<string, unknown>()
  const ignore = (): void => undefined
  const debug = (_message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    reasons.set(String(fields['broker']), fields['reason'] ?? fields['state'])
  }
  return { logger: { debug, info: ignore, warn: ignore, error: ignore }, reasons }
}

const embedded = async (): Promise<string> => {
  const served = await serveMqtt({ address: '127.0.0.1', port: 0 })
  atEnd(() => served.close())
  return served.url
}

describe('with several brokers', () => {
  it('the one that works carries everything, while others hang, refuse or are down', async () => {
    const fine = await embedded()
    const others = {
      hung: await fakeBroker(silent),
      hungLater: await fakeBroker(silentAfterConnack),
      down: `mqtt://127.0.0.1:${await freePort()}`,
      refusing: await fakeBroker(refusing),
    }
    const url = [...Object.values(others), fine]
    const { logger, reasons } = brokerStates()
    // The connections that hang take five seconds to be given up: half of that here.
    const clock = {
      now: () => systemClock.now() * 2,
      after: (delayMs: number, callback: () => void) => systemClock.after(delayMs / 2, callback),
    }
    const [host, guest] = [await open({ url }, { clock, logger }), await open({ url }, { clock })]
    const [joins, beacons] = [new Seen(), new Seen()]
    const startedAt = performance.now()
    await host.adapter.watch(topic, 'join', joins.add, never)
    await host.adapter.publish(recordOf(), never)
    await guest.adapter.watch(topic, 'host', beacons.add, never)
    await beacons.shows('epoch')
    for (let round = 0; round < 20; round++) {
      await guest.adapter.publish(recordOf({ box: 'join', sender: `guest${round}` }), never)
      await joins.shows(`guest${round}`)
    }
    // None of the deadlines of the others is that short.
    expect(performance.now() - startedAt).toBeLessThan(2000)
    expect(await beaconsAt(fine)).toEqual(['epoch'])
    await host.adapter.retract({ topic, box: 'host', sender: 'epoch' }, never)
    expect(await beaconsAt(fine)).toEqual([])
    const label = (each: string): string => each.replace('mqtt://', '')
    const reasonOf = (each: string): string =>
      String(reasons.get(label(each))).replace(`${label(each)}: `, '')
    await expect
      .poll(() => Object.values(others).map(reasonOf), { timeout: 15_000 })
      .toEqual([
        'no answer in time',
        expect.stringMatching(/^(up|the broker does not answer any more)$/),
        'connection refused',
        'the broker has banned us',
      ])
    expect(reasonOf(fine)).toBe('up')
    expect([...host.states, ...guest.states]).toEqual([{ state: 'up' }, { state: 'up' }])
    const leavingAt = performance.now()
    await host.adapter.close()
    expect(performance.now() - leavingAt).toBeLessThan(1500)
  })

  it('a record goes to each, and a watcher of all takes doubles', async () => {
    const url = [await embedded(), await embedded(), await embedded()]
    const [host, guest] = [await open({ url }), await open({ url })]
    const beacons = new Seen()
    await guest.adapter.watch(topic, 'host', beacons.add, never)
    await host.adapter.publish(recordOf(), never)
    await beacons.shows('epoch', 3)
    expect(new Set(beacons.records.map(({ bytes }) => new TextDecoder().decode(bytes)))).toEqual(
      new Set(['beacon']),
    )
    for (const each of url) await expect.poll(() => beaconsAt(each)).toEqual(['epoch'])
  })

  it('one that hangs after it has let us in is given up, and told apart from one that is quiet', async () => {
    const clock = new ManualClock()
    const [url, quiet] = [await fakeBroker(silentAfterConnack), await embedded()]
    const { logger, reasons } = brokerStates()
    const host = await open({ url: [url, quiet] }, { clock, logger })
    await host.adapter.publish(recordOf({ box: 'join', sender: 'a' }), never)
    await expect.poll(() => reasons.size).toBe(2)
    clock.advance(10_000)
    const label = url.replace('mqtt://', '')
    await expect.poll(() => reasons.get(label)).toBe(`${label}: the broker does not answer any more`)
    expect(host.states).toEqual([{ state: 'up' }])
  })

  it('all of them down is said of each in one line', async () => {
    const url = [`mqtt://127.0.0.1:${await freePort()}`, await fakeBroker(refusing)]
    const host = await open({ url })
    await expect
      .poll(() => host.states.at(-1))
      .toEqual({
        state: 'down',
        reason: url
          .map(
            (each, index) =>
              `${each.replace('mqtt://', '')}: ${['connection refused', 'the broker has banned us'][index]}`,
          )
          .join('; '),
      })
  })

  it.skipIf(mosquittoMissing !== undefined)('they may speak differently', async () => {
    const url = [await embedded(), (await mosquitto()).url, (await mosquitto({ webSockets: true })).url]
    const host = await open({ url })
    await host.adapter.publish(recordOf(), never)
    for (const each of url) await expect.poll(() => beaconsAt(each), { timeout: 5000 }).toEqual(['epoch'])
  })
})
