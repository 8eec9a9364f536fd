import { once } from 'node:events'
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseBrokerUrl } from '../../src/adapters/mqtt/broker-url.js'
import { mqtt } from '../../src/adapters/mqtt/definition.js'
import { PacketFraming } from '../../src/adapters/mqtt/packet-limit.js'
import { boxTopic, parseRecordTopic, recordTopic } from '../../src/adapters/mqtt/topics.js'
import { mqttTraits } from '../../src/adapters/mqtt/traits.js'
import { DecodeError, UsageError } from '../../src/core/errors.js'
import type { AdapterState, Box, SignalRecord } from '../../src/core/signalling-adapter.js'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { mqttContext } from '../contract/mqtt-fixture.js'
import { frame, Opcode, startWebSocketServer } from '../servers/websocket.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'
const boxes: readonly Box[] = ['host', 'join', 'reply/g']
const Sender = /^[0-9a-z]{1,64}$/
const Connack = Uint8Array.of(0x20, 3, 0, 0, 0)

const topics = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }).map((end) => `gonet/1/${topic}/join/${end}`),
  fc
    .tuple(fc.constantFrom(...boxes, 'reply/other', 'other'), fc.stringMatching(/^[0-9a-zA-Z_/.-]{0,70}$/))
    .map(([box, sender]) => `gonet/1/${topic}/${box}/${sender}`),
)
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.integer({ min: 8_000, max: 9_000 }).map((length) => new Uint8Array(length)),
)
const publications = fc.record({
  topic: topics,
  payload: payloads,
  expiries: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 2 }),
})

const streams = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  // With a length that is right, so that more than the header is looked at.
  fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 100 }))
    .map(([first, rest]) => Uint8Array.from([first, rest.length, ...rest])),
)

/** A PUBLISH of MQTT 5, QoS 0 (section 3.3), which may name its expiry more than once. */
function publishPacket({
  topic: name,
  payload,
  expiries,
}: {
  topic: string
  payload: Uint8Array
  expiries: number[]
}): Uint8Array {
  const text = Buffer.from(name)
  const properties = expiries.flatMap((seconds) => [
    2,
    seconds >>> 24,
    (seconds >>> 16) & 255,
    (seconds >>> 8) & 255,
    seconds & 255,
  ])
  const body = [text.length >> 8, text.length & 255, ...text, properties.length, ...properties, ...payload]
  const length = [(body.length & 127) | 128, ((body.length >> 7) & 127) | 128, body.length >> 14]
  return Uint8Array.from([0x30, ...length, ...body])
}

const opcodes = fc.constantFrom<number>(...Object.values(Opcode), 1, 8, 10, 3)
const frames = fc.array(
  fc.oneof(
    fc.tuple(streams, opcodes, fc.boolean()).map(([bytes, opcode, isFinal]) => frame(bytes, opcode, isFinal)),
    fc.uint8Array({ maxLength: 50 }),
  ),
  { maxLength: 5 },
)

/** A broker that lets anybody in and grants every watch; what else it sends is the test's. */
class Broker {
  url = ''
  #socket: Socket | undefined
  readonly #server: Server

  constructor() {
    this.#server = createServer((socket) => {
      this.#socket = socket
      socket.on('error', () => undefined)
      socket.on('data', (bytes) => {
        if (bytes[0] === 0x10) socket.write(Connack)
        // Every SUBSCRIBE of these tests is short, has one filter, and comes alone.
        if (bytes[0] === 0x82) socket.write(Uint8Array.of(0x90, 4, bytes[2] ?? 0, bytes[3] ?? 0, 0, 1))
      })
    })
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address !== null && typeof address === 'object') this.url = `mqtt://127.0.0.1:${address.port}`
  }

  send(bytes: Uint8Array): void {
    this.#socket?.write(bytes)
  }

  /** Ends the connection after what was sent. */
  end(): void {
    this.#socket?.end()
  }

  async stop(): Promise<void> {
    this.#socket?.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

let broker: Broker

beforeAll(async () => {
  broker = new Broker()
  await broker.start()
})
afterAll(() => broker.stop())

/** What an adapter reports that watches every kind of box, while the broker sends these bytes and ends. */
async function reported(bytes: Uint8Array): Promise<SignalRecord[]> {
  return reportedBy([broker.url], () => {
    broker.send(bytes)
    broker.end()
  })
}

async function reportedBy(url: string[], send: () => void): Promise<SignalRecord[]> {
  const records: SignalRecord[] = []
  let down = (): void => undefined
  const isDown = new Promise<void>((resolve) => {
    down = resolve
  })
  const onState = ({ state }: AdapterState): void => {
    if (state === 'down') down()
  }
  const options = { prefix: 'gonet', url }
  const adapter = await mqtt.create(options, mqttContext(onState))
  await adapter.open({ role: 'host', topics: [topic] }, never)
  for (const box of boxes) await adapter.watch(topic, box, (record) => records.push(record), never)
  send()
  await isDown
  await adapter.close()
  return records
}

function expectValid(record: SignalRecord): void {
  expect(record.topic).toBe(topic)
  expect(boxes).toContain(record.box)
  expect(record.sender).toMatch(Sender)
  expect(record.bytes.constructor).toBe(Uint8Array)
  expect(record.bytes.length).toBeGreaterThan(0)
  expect(record.bytes.length).toBeLessThanOrEqual(mqttTraits.maxRecordBytes)
  expect(Number.isSafeInteger(record.expiresInMs) && record.expiresInMs >= 0).toBe(true)
}

describe('the mqtt adapter', () => {
  it('reports valid records only, whatever strangers publish', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(publications, { maxLength: 30 }), async (strange) => {
        const records = await reported(Buffer.concat(strange.map(publishPacket)))
        for (const record of records) expectValid(record)
      }),
      { numRuns: 150 },
    )
  })

  it('reports every valid record among invalid ones', async () => {
    const senders = fc.stringMatching(/^[0-9a-z]{1,64}$/)
    const wrong = fc.stringMatching(/^([0-9a-z]{65,70}|[A-Z_.-]{1,5}|)$/)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(senders, wrong), { minLength: 1, maxLength: 20 }), async (pairs) => {
        const packetOf = (sender: string): Uint8Array =>
          publishPacket({
            topic: `gonet/1/${topic}/join/${sender}`,
            payload: Uint8Array.of(7),
            expiries: [60],
          })
        const records = await reported(Buffer.concat(pairs.flatMap((pair) => pair.map(packetOf))))
        expect(records.map(({ sender }) => sender)).toEqual(pairs.map(([sender]) => sender))
        expect(new Set(records.map(({ expiresInMs }) => expiresInMs))).toEqual(new Set([60_000]))
      }),
      { numRuns: 50 },
    )
  })

  it('survives any bytes of a broker', async () => {
    await fc.assert(
      fc.asyncProperty(streams, async (sent) => {
        for (const record of await reported(sent)) expectValid(record)
      }),
      { numRuns: 300 },
    )
  })
})

it('over a WebSocket, the mqtt adapter survives any frames of a broker', async () => {
  let connection: Socket | undefined
  const server = await startWebSocketServer((socket) => {
    connection = socket
    socket.on('data', (bytes: Buffer) => {
      // From a client every frame is masked: bit by bit with four bytes that follow the length, here below 126.
      for (let at = 0; at + 6 <= bytes.length; at += 6 + ((bytes[at + 1] ?? 0) & 127)) {
        const packet = bytes.subarray(at + 6).map((byte, index) => byte ^ (bytes[at + 2 + (index % 4)] ?? 0))
        if (packet[0] === 0x10) socket.write(frame(Connack))
        if (packet[0] !== 0x82) continue
        socket.write(frame(Uint8Array.of(0x90, 4, packet[2] ?? 0, packet[3] ?? 0, 0, 1)))
      }
    })
  })
  const url = [`ws://127.0.0.1:${server.port}`]
  await fc.assert(
    fc.asyncProperty(frames, async (sent) => {
      const records = await reportedBy(url, () => connection?.end(Buffer.concat(sent)))
      for (const record of records) expectValid(record)
    }),
    { numRuns: 200 },
  )
  await server.close()
})

it('the embedded broker survives any bytes of a client', async () => {
  const served = await serveMqtt({ address: '127.0.0.1', port: 0 })
  const hello = Uint8Array.of(0x10, 13, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60, 0, 1, 0x61)
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(streams, { maxLength: 3 }), async (isKnown, sent) => {
      const socket = connectTcp({ host: '127.0.0.1', port: served.address.port })
      socket.on('error', () => undefined)
      const closed = once(socket, 'close')
      socket.resume()
      socket.end(Buffer.concat([...(isKnown ? [hello] : []), ...sent]))
      await closed
    }),
    { numRuns: 500 },
  )
  await served.close()
})

describe('topic names', () => {
  it('give a valid sender or nothing', () => {
    fc.assert(
      fc.property(topics, (name) => {
        const parsed = parseRecordTopic(name)
        if (parsed === undefined) return
        expect(parsed.sender).toMatch(Sender)
        expect(`${parsed.box}/${parsed.sender}`).toBe(name)
      }),
      { numRuns: 2000 },
    )
  })

  it('read back as they were written', () => {
    const key = fc.record({
      topic: fc.stringMatching(/^[a-z2-7]{20}$/),
      box: fc.oneof(
        fc.constantFrom<Box>('host', 'join'),
        fc.stringMatching(/^[0-9a-z]{1,64}$/).map((guest): Box => `reply/${guest}`),
      ),
      sender: fc.stringMatching(/^[0-9a-z]{1,64}$/),
    })
    fc.assert(
      fc.property(fc.constantFrom('gonet', 'rooms/of/gonet'), key, (prefix, record) => {
        const box = boxTopic(prefix, record.topic, record.box)
        expect(parseRecordTopic(recordTopic(prefix, record))).toEqual({ box, sender: record.sender })
      }),
    )
  })
})

describe('packet framing', () => {
  it('finds the same, however the bytes are cut', () => {
    const judge = (chunks: readonly Uint8Array[]): string => {
      const framing = new PacketFraming(100)
      try {
        for (const chunk of chunks) framing.read(chunk)
        return 'fine'
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError)
        return (error as DecodeError).code
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 50 }), (bytes, size) => {
        const count = Math.ceil(bytes.length / size)
        const cut = Array.from({ length: count }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
        expect(judge(cut)).toBe(judge([bytes]))
      }),
      { numRuns: 1000 },
    )
  })

  it('takes every packet up to the limit, and none above it', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 10 }), (lengths) => {
        const packets = lengths.map((length) =>
          Uint8Array.from([0x30, (length & 127) | 128, length >> 7, ...new Uint8Array(length)]),
        )
        const read = (): void => {
          new PacketFraming(200).read(Buffer.concat(packets))
        }
        if (lengths.some((length) => length > 200)) expect(read).toThrow(DecodeError)
        else expect(read).not.toThrow()
      }),
    )
  })
})

it('broker URLs are refused with words that do not repeat them', () => {
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'binary' }).map((end) => `mqtt://user:s3cr3t-word@${end}`),
    fc.webUrl().map((url) => url.replace('//', '//user:s3cr3t-word@')),
    fc
      .webUrl({ withQueryParameters: true, withFragments: true })
      .map((url) => url.replace(/^https?:../, 'wss://user:s3cr3t-word@')),
  )
  fc.assert(
    fc.property(texts, (text) => {
      try {
        parseBrokerUrl(text)
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError)
        expect((error as UsageError).message).not.toContain('s3cr3t-word')
      }
    }),
    { numRuns: 1000 },
  )
})
