/** What is MQTT's own about the adapter: several brokers, versions, refusals, brokers that misbehave. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import mqttClient from 'mqtt'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type MqttOptions, mqtt } from '../../src/adapters/mqtt/definition.js'
import { UsageError } from '../../src/core/errors.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { freePort } from '../servers/free-port.js'
import {
  type Mosquitto,
  type MosquittoOptions,
  mosquittoMissing,
  startMosquitto,
} from '../servers/mosquitto.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import { ManualClock } from './manual-clock.js'
import { mqttContext } from './mqtt-fixture.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'
const beaconTopic = `gonet/1/${topic}/host/epoch`
/** Of the first CONNECT: where a test's own broker reads what it is asked. */
const ProtocolLevelAt = 8
const Connack4 = Uint8Array.of(0x20, 2, 0, 0)
const Connack5 = Uint8Array.of(0x20, 3, 0, 0, 0)

let cleanUps: (() => Promise<void>)[] = []

const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'epoch',
  bytes: new TextEncoder().encode('beacon'),
  expiresInMs: 60_000,
  ...record,
})

interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
  /** Resolves with the reason as soon as the adapter is down, now or later. */
  down(): Promise<string>
  up(): Promise<void>
}

const open = async (
  options: Partial<MqttOptions> & { url: string[] },
  overrides: Partial<AdapterContext> = {},
): Promise<Opened> => {
  const states: AdapterState[] = []
  let check = (): void => undefined
  const onState = (state: AdapterState): void => {
    states.push(state)
    check()
  }
  const adapter = await mqtt.create({ prefix: 'gonet', ...options }, mqttContext(onState, overrides))
  cleanUps.push(() => adapter.close())
  await adapter.open({ role: 'host', topics: [topic] }, never)
  const reach = async (wanted: AdapterState['state']): Promise<AdapterState | undefined> => {
    await new Promise<void>((resolve) => {
      check = () => {
        if (states.at(-1)?.state === wanted) resolve()
      }
      check()
    })
    return states.at(-1)
  }
  return {
    adapter,
    states,
    down: async () => {
      const state = await reach('down')
      return state?.state === 'down' ? state.reason : ''
    },
    up: async () => {
      await reach('up')
    },
  }
}

const mosquitto = async (options: MosquittoOptions = {}): Promise<Mosquitto & { url: string }> => {
  const server = await startMosquitto(options)
  cleanUps.push(() => server.close())
  const scheme = options.tls === true ? 'mqtts' : 'mqtt'
  return Object.assign(server, { url: `${scheme}://127.0.0.1:${server.port}` })
}

/** A broker of the test's own, which does what it is told with each connection. */
const fakeBroker = async (onConnection: (socket: Socket) => void): Promise<string> => {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  return `mqtt://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

afterEach(async () => {
  // The newest first: an adapter parts from a broker that is still there.
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

describe.skipIf(mosquittoMissing !== undefined)('with mosquitto', () => {
  it('uses every broker of its list, and is up as long as one is', async () => {
    const [first, second] = [await mosquitto(), await mosquitto()]
    const nobody = `mqtt://127.0.0.1:${await freePort()}`
    const host = await open({ url: [nobody, first.url, second.url] })
    await host.up()
    await host.adapter.publish(recordOf(), never)
    for (const { url } of [first, second]) {
      const guest = await open({ url: [url] })
      const seen = new Promise<SignalRecord>((resolve) => {
        void guest.adapter.watch(topic, 'host', resolve, never)
      })
      expect(await seen).toMatchObject({ sender: 'epoch', box: 'host' })
    }
    await first.stop()
    await second.stop()
    const reason = await host.down()
    for (const url of [nobody, first.url, second.url]) expect(reason).toContain(url.replace('mqtt://', ''))
    await second.start()
    await host.up()
  })

  it('lays its beacon out again when somebody erases it or writes over it, ever more slowly', async () => {
    const { url } = await mosquitto()
    const clock = new ManualClock()
    const host = await open({ url: [url] }, { clock })
    await host.adapter.publish(recordOf(), never)
    const stranger = await mqttClient.connectAsync(url)
    onTestFinished(() => void stranger.end(true))
    const seen: string[] = []
    let check = (): void => undefined
    stranger.on('message', (_topic, payload) => {
      seen.push(payload.toString())
      check()
    })
    const until = (text: string): Promise<void> =>
      new Promise((resolve) => {
        check = () => {
          if (seen.at(-1) === text) resolve()
        }
        check()
      })
    await stranger.subscribeAsync(beaconTopic, { qos: 1 })
    await until('beacon')
    const waits: number[] = []
    for (const vandalism of ['', 'mine', '']) {
      await stranger.publishAsync(beaconTopic, vandalism, { qos: 1, retain: true })
      await until(vandalism)
      // Our adapter has heard of it too when it has set its timer, which comes before that of the expiry.
      while ((clock.nextInMs ?? 0) > 10_000) await new Promise((resolve) => setImmediate(resolve))
      waits.push(clock.nextInMs ?? 0)
      clock.advance(clock.nextInMs ?? 0)
      await until('beacon')
    }
    const [first = 0, second = 0, third = 0] = waits
    expect(first).toBeGreaterThanOrEqual(500)
    expect(second).toBeGreaterThanOrEqual(1000)
    expect(third).toBeGreaterThanOrEqual(2000)
    await host.adapter.close()
    await until('')
  })

  it('says why it is not let in', async () => {
    const users = [{ username: 'alice', password: 'correct horse', access: ['topic read gonet/#'] }]
    const { url, port } = await mosquitto({ users })
    const stranger = await open({ url: [url] })
    expect(await stranger.down()).toBe(
      `127.0.0.1:${port}: not authorized (username and password may be wrong or missing)`,
    )
    const forgetful = await open({ url: [`mqtt://alice:hunter2@127.0.0.1:${port}`] })
    expect(await forgetful.down()).toMatch(/not authorized|wrong username or password/)
    const reader = await open({ url: [url], username: 'alice', password: 'correct horse' })
    await reader.up()
    const refused = { code: 'publish-refused', message: expect.stringContaining('not authorized') as string }
    await expect(reader.adapter.publish(recordOf({ box: 'join' }), never)).rejects.toMatchObject(refused)
    await expect(reader.adapter.publish(recordOf(), never)).rejects.toMatchObject(refused)
    expect(await reader.down()).toContain('the broker refused a record: not authorized')
    expect(JSON.stringify([stranger, forgetful, reader].map(({ states }) => states))).not.toMatch(
      /correct horse|hunter2|alice/,
    )
  })

  it.each([
    ['keeps nothing', 'retain_available false', 'does not keep retained messages'],
    ['takes smaller packets only', 'max_packet_size 2000', 'takes no packet of this size'],
  ])('says so of a broker that %s', async (_what, line, reason) => {
    const { url } = await mosquitto({ lines: [line] })
    const host = await open({ url: [url] })
    await expect(
      host.adapter.publish(recordOf({ bytes: new Uint8Array(5000) }), never),
    ).rejects.toMatchObject({ message: expect.stringContaining(reason) as string })
    expect(await host.down()).toContain(reason)
  })

  it('says what is wrong with TLS', async () => {
    const plain = await mosquitto()
    const secure = await mosquitto({ tls: true })
    const strict = await mosquitto({ tls: true, lines: ['require_certificate true'] })
    const { ca, cert, key } = secure.certificates ?? { ca: '', cert: '', key: '' }
    const at = ({ port }: Mosquitto, scheme: string): string[] => [`${scheme}://127.0.0.1:${port}`]
    const trusted = strict.certificates
    const reasons = await Promise.all(
      [
        { url: at(plain, 'mqtts') },
        { url: at(secure, 'mqtt') },
        { url: at(secure, 'mqtts') },
        { url: at(strict, 'mqtts'), ca: trusted?.ca },
        { url: at(strict, 'mqtts'), ca: trusted?.ca, cert, key },
      ].map(async (options) => (await open(options)).down()),
    )
    expect(reasons.map((reason) => reason.replace(/^127\.0\.0\.1:\d+: /, ''))).toEqual([
      'the broker closed the connection without an answer (perhaps without TLS: mqtt://)',
      'the broker closed the connection without an answer (perhaps it expects TLS: mqtts://)',
      "the broker's certificate is not signed by an authority that we trust (adapters.mqtt.ca)",
      'the broker wants a client certificate that it trusts (adapters.mqtt.cert and .key)',
      'the broker wants a client certificate that it trusts (adapters.mqtt.cert and .key)',
    ])
    const known = { ca: trusted?.ca, cert: trusted?.cert, key: trusted?.key }
    await (await open({ url: at(strict, 'mqtts'), ...known })).up()
    await expect(open({ url: at(secure, 'mqtts'), ca: key })).rejects.toThrow(UsageError)
    await expect(open({ url: at(secure, 'mqtts'), ca, cert })).rejects.toThrow(UsageError)
    await expect(open({ url: at(secure, 'mqtts'), cert, key: ca })).rejects.toThrow(UsageError)
    await expect(open({ url: at(secure, 'mqtts'), ca: `${ca}.missing` })).rejects.toThrow(UsageError)
  })

  it('is down while its beacon cannot be laid out, and up when it is', async () => {
    const server = await mosquitto({ lines: ['max_connections 1'] })
    const host = await open({ url: [server.url] })
    await host.up()
    const stop = new AbortController()
    const published = expect(host.adapter.publish(recordOf(), stop.signal)).rejects.toBe('enough')
    await host.down()
    stop.abort('enough')
    await published
    await host.up()
  })
})

describe('versions of MQTT', () => {
  it.each([
    ['says that it does not know MQTT 5', (socket: Socket) => socket.end(Uint8Array.of(0x20, 2, 0, 1))],
    ['says nothing to MQTT 5', (socket: Socket) => socket.destroy()],
    ['resets a connection of MQTT 5', (socket: Socket) => socket.resetAndDestroy()],
  ])('falls back to 3.1.1 where a broker %s', async (_what, refuse) => {
    const versions: (number | undefined)[] = []
    const url = await fakeBroker((socket) => {
      socket.once('data', (connect: Buffer) => {
        versions.push(connect[ProtocolLevelAt])
        if (connect[ProtocolLevelAt] === 5) refuse(socket)
        else socket.write(Connack4)
      })
    })
    await (await open({ url: [url] })).up()
    expect(versions).toEqual([5, 4])
  })

  it('asks for MQTT 5 again where an old broker was replaced by a new one', async () => {
    const port = await freePort()
    const old = await serveMqtt({ address: '127.0.0.1', port })
    const host = await open({ url: [`mqtt://127.0.0.1:${port}`] })
    await host.up()
    await old.close()
    await host.down()
    const versions: (number | undefined)[] = []
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (connect: Buffer) => {
        versions.push(connect[ProtocolLevelAt])
        if (connect[ProtocolLevelAt] === 5) socket.write(Connack5)
        else socket.end(Uint8Array.of(0x20, 2, 0, 1))
      })
    })
    cleanUps.push(async () => {
      await new Promise((resolve) => server.close(resolve))
    })
    server.listen(port, '127.0.0.1')
    await host.up()
    await host.adapter.close()
    expect(versions).toEqual([4, 5])
  })
})

describe('a broker that misbehaves', () => {
  it('is given up when it accepts everything and answers nothing', async () => {
    const clock = new ManualClock()
    let connections = 0
    let came = (): void => undefined
    const connected = new Promise<void>((resolve) => {
      came = resolve
    })
    const url = await fakeBroker((socket) => {
      connections += 1
      socket.on('data', () => came())
    })
    const host = await open({ url: [url] }, { clock })
    await connected
    expect(host.states).toEqual([])
    clock.advance(5_000)
    expect(await host.down()).toMatch(/no answer in time$/)
    expect(connections).toBe(1)
    expect(clock.nextInMs).toBeGreaterThanOrEqual(125)
    expect(clock.nextInMs).toBeLessThanOrEqual(250)
  })

  it.each([
    ['a packet that is too large', [0x30, 0xff, 0xff, 0x01], 'a packet that is too large'],
    ['a length without an end', [0x30, 0xff, 0xff, 0xff, 0xff], /too large|does not speak MQTT/],
    ['what needs a second acknowledgement', [0x34, 6, 0, 1, 0x61, 0, 1, 0], 'what we did not ask for'],
    ['an acknowledgement of nothing', [0x62, 2, 0, 1], 'what we did not ask for'],
    ['an acknowledgement without its number', [0x62, 1, 0xf3], 'what we did not ask for'],
    ['a record without its number', [0x32, 3, 0, 1, 0x61], /\w/],
    ['a packet that is no packet', [0x00, 0x00], /\w/],
  ])('is left when it sends %s', async (_what, packet, reason) => {
    const url = await fakeBroker((socket) => {
      socket.once('data', () => {
        socket.write(Connack5)
        socket.write(Uint8Array.from(packet))
      })
    })
    expect(await (await open({ url: [url] })).down()).toMatch(reason)
  })

  it('is asked again, with the same random name, when the line was cut', async () => {
    const names: string[] = []
    const url = await fakeBroker((socket) => {
      socket.once('data', (connect: Buffer) => {
        const name = /[0-9a-f]{20}/.exec(connect.toString('latin1'))
        names.push(name?.[0] ?? '')
        socket.write(Connack5)
        if (names.length === 1) setImmediate(() => socket.destroy())
      })
    })
    const host = await open({ url: [url] })
    await host.down()
    await host.up()
    const other = await open({ url: [url] })
    await other.up()
    expect(names).toHaveLength(3)
    expect(names[0]).toMatch(/^[0-9a-f]{20}$/)
    expect(names[1]).toBe(names[0])
    expect(names[2]).not.toBe(names[0])
  })
})

it('subscribes again and lays its beacon out again when its lines were cut', async () => {
  const broker = await serveMqtt({ address: '127.0.0.1', port: 0 })
  cleanUps.push(() => broker.close())
  const relay = await startTcpRelay(broker.address.port)
  cleanUps.push(() => relay.close())
  const host = await open({ url: [`mqtt://127.0.0.1:${relay.port}`] })
  const guest = await open({ url: [broker.url] })
  const joins: string[] = []
  let came = (): void => undefined
  const onJoin = ({ sender }: SignalRecord): void => {
    joins.push(sender)
    came()
  }
  await host.adapter.watch(topic, 'join', onJoin, never)
  await host.adapter.publish(recordOf(), never)
  relay.cut()
  await host.down()
  await host.up()
  const beacon = await new Promise<SignalRecord>((resolve) => {
    void guest.adapter.watch(topic, 'host', resolve, never)
  })
  expect(new TextDecoder().decode(beacon.bytes)).toBe('beacon')
  const joined = new Promise<void>((resolve) => {
    came = resolve
  })
  await guest.adapter.publish(recordOf({ box: 'join', sender: 'guest' }), never)
  await joined
  expect(joins).toEqual(['guest'])
})

it('can be closed at every step of becoming up', async () => {
  const url = await fakeBroker((socket) => {
    socket.on('data', (bytes: Buffer) => {
      if (bytes[0] === 0x10) socket.write(Connack5)
      if (bytes[0] === 0xa2) socket.write(Uint8Array.of(0xb0, 4, bytes[2] ?? 0, bytes[3] ?? 0, 0, 0))
      if (bytes[0] !== 0x82) return
      const name = Buffer.from(`gonet/1/${topic}/join/guest`)
      const record = [0x30, name.length + 4, 0, name.length, ...name, 0, 1]
      socket.write(Uint8Array.from([0x90, 4, bytes[2] ?? 0, bytes[3] ?? 0, 0, 1, ...record]))
    })
  })
  for (let steps = 0; steps < 40; steps++) {
    const { adapter } = await open({ url: [url] })
    const shown = new Promise<void>((resolve) => {
      const watched = adapter.watch(topic, 'join', () => resolve(), never)
      watched.catch(() => undefined)
    })
    await shown
    for (let step = 0; step < steps; step++) await Promise.resolve()
    await adapter.close()
  }
})
