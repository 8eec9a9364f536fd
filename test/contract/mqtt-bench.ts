/** What the tests of MQTT alone share: adapters that tell when they are up or down, and brokers of all kinds. */
import { once, setMaxListeners } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type MqttOptions, mqtt } from '../../src/adapters/mqtt/definition.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../servers/mosquitto.js'
import { mqttContext } from './mqtt-fixture.js'

export const never: AbortSignal = new AbortController().signal
// Many waits at a time share it.
setMaxListeners(0, never)
export const topic = 'abcdefghijklmnopqrst'
export const beaconTopic: string = `gonet/1/${topic}/host/epoch`
/** Of the first CONNECT: where a test's own broker reads what it is asked. */
export const ProtocolLevelAt = 8
export const Connack4: Uint8Array<ArrayBuffer> = Uint8Array.of(0x20, 2, 0, 0)
export const Connack5: Uint8Array<ArrayBuffer> = Uint8Array.of(0x20, 3, 0, 0, 0)

let cleanUps: (() => Promise<void>)[] = []

/** Done after the test, the last first: an adapter parts from a broker that is still there. */
export const atEnd = (cleanUp: () => Promise<void>): void => {
  cleanUps.push(cleanUp)
}

export const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'epoch',
  bytes: new TextEncoder().encode('beacon'),
  expiresInMs: 60_000,
  ...record,
})

export interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
  /** Resolves with the reason as soon as the adapter is down, now or later. */
  down(): Promise<string>
  up(): Promise<void>
}

export const open = async (
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
  atEnd(() => adapter.close())
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

export const mosquitto = async (options: MosquittoOptions = {}): Promise<Mosquitto & { url: string }> => {
  const server = await startMosquitto(options)
  atEnd(() => server.close())
  const scheme = `${options.webSockets === true ? 'ws' : 'mqtt'}${options.tls === true ? 's' : ''}`
  return Object.assign(server, { url: `${scheme}://127.0.0.1:${server.port}` })
}

/** A broker of the test's own, which does what it is told with each connection. */
export const fakeBroker = async (onConnection: (socket: Socket) => void): Promise<string> => {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  atEnd(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  return `mqtt://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

/** Records as they come, and a way to wait for one. */
export class Seen {
  readonly records: SignalRecord[] = []
  #check = (): void => undefined

  readonly add = (record: SignalRecord): void => {
    this.records.push(record)
    this.#check()
  }

  /** Resolves when a record of this sender has come, and when it came so often. */
  async shows(sender: string, times = 1): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#check = () => {
        if (this.records.filter((each) => each.sender === sender).length >= times) resolve()
      }
      this.#check()
    })
  }
}

/** What a newcomer is shown of the host's box, once a marker that was laid there last is shown. */
export const beaconsAt = async (
  url: string,
  options: Partial<Omit<MqttOptions, 'url'>> = {},
): Promise<string[]> => {
  const [witness, newcomer] = [await open({ ...options, url: [url] }), await open({ ...options, url: [url] })]
  await witness.adapter.publish(recordOf({ sender: 'marker' }), never)
  const seen = new Seen()
  await newcomer.adapter.watch(topic, 'host', seen.add, never)
  await seen.shows('marker')
  // What is retained comes at once, though in no order.
  await newcomer.adapter.publish(recordOf({ sender: 'last' }), never)
  await seen.shows('last')
  await Promise.all([witness.adapter.close(), newcomer.adapter.close()])
  return [...new Set(seen.records.map(({ sender }) => sender))].filter(
    (each) => !/^(marker|last)$/.test(each),
  )
}
