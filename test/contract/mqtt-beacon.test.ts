/** Beacons on brokers where anybody may write, and where old connections die late. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import mqttClient, { type MqttClient } from 'mqtt'
import { describe, expect, it, onTestFinished } from 'vitest'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { mosquittoMissing } from '../servers/mosquitto.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import { ManualClock } from './manual-clock.js'
import { atEnd, beaconsAt, beaconTopic, mosquitto, never, open, recordOf } from './mqtt-bench.js'

const DayMs = 24 * 60 * 60 * 1000

/** Somebody else on the broker, who sees the beacon's topic and writes there. */
class Stranger {
  readonly #client: MqttClient
  readonly #seen: string[] = []
  #check = (): void => undefined

  static async at(url: string): Promise<Stranger> {
    const stranger = new Stranger(await mqttClient.connectAsync(url))
    await stranger.#client.subscribeAsync(beaconTopic, { qos: 1 })
    return stranger
  }

  private constructor(client: MqttClient) {
    this.#client = client
    onTestFinished(() => void client.end(true))
    client.on('message', (_topic, payload) => {
      this.#seen.push(payload.toString())
      this.#check()
    })
  }

  get count(): number {
    return this.#seen.length
  }

  /** Resolves when what is there is this text; empty for an erasure. */
  async sees(text: string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#check = () => {
        if (this.#seen.at(-1) === text) resolve()
      }
      this.#check()
    })
  }

  async write(text: string): Promise<void> {
    await this.#client.publishAsync(beaconTopic, text, { qos: 1, retain: true })
  }
}

const brokers: [name: string, start: () => Promise<{ url: string; port: number }>, missing: boolean][] = [
  ['mosquitto', () => mosquitto(), mosquittoMissing !== undefined],
  [
    'aedes',
    async () => {
      const served = await serveMqtt({ address: '127.0.0.1', port: 0 })
      atEnd(() => served.close())
      return { url: served.url, port: served.address.port }
    },
    false,
  ],
]

describe.each(brokers.filter(([, , missing]) => !missing))('a beacon on %s', (_name, start) => {
  it('is laid out again each of 50 times that somebody erases it or writes over it, ever more slowly', async () => {
    const { url } = await start()
    const clock = new ManualClock()
    const host = await open({ url: [url] }, { clock })
    await host.adapter.publish(recordOf({ expiresInMs: DayMs }), never)
    const stranger = await Stranger.at(url)
    /** Until nothing is under way: no timer but the expiry; or, after a deed of the stranger's, the repair. */
    const until = async (isReached: (nextInMs: number) => boolean): Promise<void> => {
      while (!isReached(clock.nextInMs ?? 0)) await new Promise((resolve) => setImmediate(resolve))
    }
    const waits: number[] = []
    for (let round = 0; round < 50; round++) {
      await stranger.sees('beacon')
      await until((next) => next > 60_000)
      const deed = round % 2 === 0 ? '' : `mine ${round}`
      await stranger.write(deed)
      await stranger.sees(deed)
      await until((next) => next <= 60_000)
      waits.push(clock.nextInMs ?? 0)
      clock.advance(clock.nextInMs ?? 0)
    }
    await stranger.sees('beacon')
    for (const [round, wait] of waits.entries()) {
      const full = Math.min(1000 * 2 ** round, 60_000)
      expect(wait).toBeGreaterThanOrEqual(full / 2)
      expect(wait).toBeLessThanOrEqual(full)
    }
    // One message for each deed, and one for each repair: it is no more eager than the stranger.
    expect(stranger.count).toBeLessThanOrEqual(101)
    expect(host.states).toEqual([{ state: 'up' }])
    await until((next) => next > 60_000)
    // The engine's next publication comes at once, and the next repair is quick again.
    await host.adapter.publish(recordOf({ bytes: new TextEncoder().encode('new') }), never)
    await stranger.sees('new')
    await host.adapter.close()
    await stranger.sees('')
  })

  it('is repaired once for many erasures in a row', async () => {
    const { url } = await start()
    const clock = new ManualClock()
    const host = await open({ url: [url] }, { clock })
    await host.adapter.publish(recordOf({ expiresInMs: DayMs }), never)
    const stranger = await Stranger.at(url)
    await stranger.sees('beacon')
    while ((clock.nextInMs ?? 0) <= 60_000) await new Promise((resolve) => setImmediate(resolve))
    for (let round = 0; round < 50; round++) await stranger.write(round % 3 === 0 ? '' : 'mine')
    while ((clock.nextInMs ?? 0) > 60_000) await new Promise((resolve) => setImmediate(resolve))
    await expect.poll(() => stranger.count).toBe(51)
    clock.advance(1000)
    await stranger.sees('beacon')
    while ((clock.nextInMs ?? 0) <= 60_000) await new Promise((resolve) => setImmediate(resolve))
    expect(stranger.count).toBe(52)
  })

  it('outlives the half of a connection that a broken line has left behind', async () => {
    const { url, port } = await start()
    const relay = await startTcpRelay(port)
    atEnd(() => relay.close())
    const host = await open({ url: [`mqtt://127.0.0.1:${relay.port}`] })
    await host.adapter.publish(recordOf(), never)
    const stranger = await Stranger.at(url)
    await stranger.sees('beacon')
    relay.abandon()
    await host.down()
    await host.up()
    // The broker does the old connection's will at last, whenever it notices; here, as the new one comes.
    await stranger.sees('beacon')
    relay.abandon()
    await host.down()
    await host.up()
    await expect.poll(() => beaconsAt(url), { timeout: 5000 }).toEqual(['epoch'])
  })

  it('is laid out again when the will of another connection comes after it', async () => {
    const { url, port } = await start()
    const relay = await startTcpRelay(port)
    atEnd(() => relay.close())
    const will = { topic: beaconTopic, payload: Buffer.alloc(0), qos: 1, retain: true } as const
    const old = await mqttClient.connectAsync(`mqtt://127.0.0.1:${relay.port}`, {
      will,
      keepalive: 1,
      reconnectPeriod: 0,
    })
    onTestFinished(() => void old.end(true))
    const stranger = await Stranger.at(url)
    const host = await open({ url: [url] })
    await host.adapter.publish(recordOf(), never)
    await stranger.sees('beacon')
    // The broker hears nothing more of it, and gives it up after a second and a half.
    relay.stall()
    await stranger.sees('')
    await stranger.sees('beacon')
    expect(await beaconsAt(url)).toEqual(['epoch'])
  })

  it('is not touched by the death of the process before', async () => {
    const { url } = await start()
    const program = `
      import mqtt from 'mqtt'
      const topic = process.argv[2]
      const will = { topic, payload: Buffer.alloc(0), qos: 1, retain: true }
      const client = await mqtt.connectAsync(process.argv[1], { will })
      await client.publishAsync(topic, 'old', { qos: 1, retain: true })
      console.log('ready')
    `
    const old = spawn(
      process.execPath,
      ['--input-type=module', '--eval', program, '--', url, beaconTopic.replace('epoch', 'before')],
      { stdio: ['ignore', 'pipe', 'inherit'], cwd: fileURLToPath(new URL('../..', import.meta.url)) },
    )
    onTestFinished(() => void old.kill('SIGKILL'))
    await once(createInterface({ input: old.stdout }), 'line')
    const host = await open({ url: [url] })
    await host.adapter.publish(recordOf(), never)
    expect((await beaconsAt(url)).sort()).toEqual(['before', 'epoch'])
    old.kill('SIGKILL')
    await expect.poll(() => beaconsAt(url), { timeout: 5000 }).toEqual(['epoch'])
  })
})
