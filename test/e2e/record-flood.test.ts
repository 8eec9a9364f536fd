/** A stranger floods a room's topic on a real broker while an honest guest joins. */
import { setTimeout } from 'node:timers/promises'
import mqtt, { type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { roomTopic } from '../../src/core/sealing.js'
import { nodeCrypto as crypto } from '../../src/node/crypto.js'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { Workbench } from './workbench.js'

/**
 * Four times what a host opens, and what its broker passes on on a machine with other work too. 10,000 a second take
 * a machine that does nothing else: GONET_FLOOD=10000.
 */
const PerSecond = Number(process.env['GONET_FLOOD'] ?? 2000)
const BatchMs = 100
const RecordsAtATime = (PerSecond * BatchMs) / 1000

let broker: Mosquitto
let bench: Workbench
let stranger: MqttClient | undefined

describe.skipIf(mosquittoMissing !== undefined)('a host on a broker that a stranger floods', () => {
  beforeAll(async () => {
    broker = await startMosquitto()
  })
  beforeEach(() => {
    bench = new Workbench()
  })
  afterEach(async () => {
    await stranger?.endAsync(true)
    await bench.close()
  })
  afterAll(() => broker.close())

  it('lets an honest guest in within 5 s, and says no more than a line of it', async () => {
    const start = (name: string, ...args: string[]) => {
      const url = `adapters.mqtt.url=mqtt://127.0.0.1:${broker.port}`
      const common = ['--json', '--signal=mqtt', '--set', url, '--name', name, '--state', name]
      return bench.start(...common, ...args)
    }
    const host = start('alice', 'create')
    const { room } = await host.next('room')
    stranger = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker.port}`)
    let [sent, isOver] = [0, false]
    const flooding = (async () => {
      const topic = `gonet/1/${roomTopic(crypto, room)}/join/x`
      while (!isOver) {
        const pause = setTimeout(BatchMs)
        for (let end = sent + RecordsAtATime; sent < end; sent += 1) stranger.publish(topic, record(sent))
        // The last of them is on its way when this is acknowledged.
        await stranger.publishAsync(topic, record(sent), { qos: 1 })
        await pause
      }
    })()
    // Where the test fails, its client is closed under it.
    flooding.catch(() => undefined)
    while (sent < 1000) await new Promise((resolve) => setImmediate(resolve))

    const began = performance.now()
    const guest = start('bob', 'join', room)
    const sentBefore = sent
    await guest.next('joined')
    expect(performance.now() - began).toBeLessThan(5000)
    // The flood went on all the time that the guest was joining, and goes on.
    expect(sent - sentBefore).toBeGreaterThanOrEqual(RecordsAtATime)
    isOver = true
    await flooding
    guest.end('hello')
    expect((await host.next('message')).text).toBe('hello')
    host.signal('SIGTERM')
    const { code, stderr } = await host.finished
    expect(code).toBe(0)
    expect(stderr.split('\n').filter(Boolean).length).toBeLessThan(4)
  }, 60_000)
})

/** Of the right shape: only opening it shows that it is none. */
function record(number: number): Buffer {
  const bytes = Buffer.alloc(849, 9)
  bytes[0] = 1
  bytes.writeUInt32BE(number, 50)
  return bytes
}
