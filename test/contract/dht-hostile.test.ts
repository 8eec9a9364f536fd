/** Neighbours in the DHT who lie, flood and break off: an honest guest joins all the same. */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import DHT from '@hyperswarm/dht'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DhtAdapter, type DhtHooks } from '../../src/adapters/dht/adapter.js'
import { encodeFrame } from '../../src/adapters/dht/frames.js'
import { meetingPoint } from '../../src/adapters/dht/keys.js'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { type DhtTestnet, startDhtTestnet } from '../servers/dht-testnet.js'
import { dhtContext } from './dht-fixture.js'

const never = new AbortController().signal
setMaxListeners(0, never)
const Limit = 60_000
/** How long a guest may take, whatever its neighbours do. */
const JoinLimitMs = 50_000

let testnet: DhtTestnet
let topic: string
let cleanUps: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  testnet = await startDhtTestnet()
})
beforeEach(() => {
  topic = Array.from(randomBytes(20), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte % 32]).join('')
})
afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})
afterAll(() => testnet.close())

async function open(hooks: DhtHooks = {}): Promise<DhtAdapter> {
  const options = { bootstrap: [testnet.bootstrap], port: 0 }
  const adapter = new DhtAdapter(
    options,
    dhtContext(() => undefined),
    hooks,
  )
  cleanUps.push(() => adapter.close())
  await adapter.open({ role: 'guest', topics: [topic] }, never)
  return adapter
}

function recordOf(record: Partial<SignalRecord>): SignalRecord {
  const bytes = new TextEncoder().encode('record')
  return { topic, box: 'host', sender: 'epoch', bytes, expiresInMs: 60_000, ...record }
}

/** A host as the engine is one: a beacon, and an answer to every join. */
async function host(hooks: DhtHooks = {}): Promise<DhtAdapter> {
  const adapter = await open(hooks)
  await adapter.watch(
    topic,
    'join',
    ({ sender, bytes }) => {
      void adapter
        .publish(recordOf({ box: `reply/${sender}`, sender: 'host', bytes }), never)
        .catch(() => undefined)
    },
    never,
  )
  await adapter.publish(recordOf({}), never)
  return adapter
}

/** Resolves when a guest was shown the beacon, and has the answer to its join; fails where that takes too long. */
async function join(sender: string, hooks: DhtHooks = {}, limitMs = JoinLimitMs): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => {
      resolve(false)
    }, limitMs)
  })
  const isIn = await Promise.race([joined(sender, hooks).then(() => true), late])
  clearTimeout(timer)
  expect(isIn, 'the guest is in').toBe(true)
}

async function joined(sender: string, hooks: DhtHooks): Promise<void> {
  const adapter = await open(hooks)
  const shown = (box: 'host' | `reply/${string}`, from: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const onRecord = (record: SignalRecord): void => {
        if (record.sender === from) resolve()
      }
      adapter.watch(topic, box, onRecord, never).catch(reject)
    })
  const answer = shown(`reply/${sender}`, 'host')
  await shown('host', 'epoch')
  await adapter.publish(recordOf({ box: 'join', sender }), never)
  await answer
}

async function hostileNode(): Promise<DHT> {
  const node = new DHT({
    bootstrap: [{ host: '127.0.0.1', port: testnet.port }],
    port: [0, 0],
    host: '127.0.0.1',
    ephemeral: true,
    firewalled: false,
  })
  cleanUps.push(() => node.destroy({ force: true }))
  await node.fullyBootstrapped()
  return node
}

/** Fills a meeting point with keys that nobody answers for. */
async function flood(target: Buffer, count: number): Promise<void> {
  const node = await hostileNode()
  let left = count
  const announcer = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await node.announce(target, DHT.keyPair(randomBytes(32)), []).finished()
    }
  }
  await Promise.all(Array.from({ length: 16 }, announcer))
}

/** Poses as hosts, and does with each connection what it is told. */
async function poses(count: number, onConnection: (stream: DHT.SecretStream) => void): Promise<void> {
  const node = await hostileNode()
  for (let index = 0; index < count; index++) {
    const keyPair = DHT.keyPair(randomBytes(32))
    const server = node.createServer({ shareLocalAddress: false }, (stream) => {
      stream.on('error', () => undefined)
      onConnection(stream)
    })
    await server.listen(keyPair)
    await node.announce(meetingPoint(topic, 'host'), keyPair, []).finished()
  }
}

describe('dht among hostile neighbours', () => {
  it(
    'a thousand false hosts do not hide the true one',
    async () => {
      await host()
      await flood(meetingPoint(topic, 'host'), 1000)
      await join('guest')
    },
    Limit,
  )

  it.each<[string, (stream: DHT.SecretStream) => void]>([
    ['say nothing', () => undefined],
    ['hang up', (stream) => stream.destroy()],
    ['send what is no frame', (stream) => stream.write(randomBytes(1000))],
    [
      'send for ever',
      (stream) => {
        const more = (): void => {
          while (!stream.destroyed && stream.write(randomBytes(65_536)));
        }
        stream.on('drain', more)
        more()
      },
    ],
    [
      'flood with beacons',
      (stream) => {
        stream.write(encodeFrame({ type: 'hello', target: meetingPoint(topic, 'host') }))
        for (let index = 0; index < 2000; index++) {
          const sender = `false${index}`
          stream.write(
            encodeFrame({ type: 'record', box: 'host', sender, expiresInMs: 1000, bytes: randomBytes(600) }),
          )
        }
      },
    ],
  ])(
    'false hosts who %s do not keep a guest from the true one',
    async (_what, onConnection) => {
      await poses(30, onConnection)
      await host()
      await join('guest')
    },
    Limit,
  )

  it(
    'false hosts who were there first, and say nothing, make room for the true one',
    async () => {
      let connections = 0
      await poses(30, () => {
        connections += 1
      })
      const joining = join('guest', {}, 15_000)
      // As many as a guest tries at a time.
      await expect.poll(() => connections, { timeout: 10_000 }).toBeGreaterThanOrEqual(24)
      await host()
      await joining
    },
    Limit,
  )

  it(
    'connections that fill a host do not keep a guest out',
    async () => {
      const adapter = await host()
      const node = await hostileNode()
      let hostKey: Buffer | undefined
      for await (const { peers } of node.lookup(meetingPoint(topic, 'host'))) hostKey ??= peers[0]?.publicKey
      expect(hostKey).toBeDefined()
      const hello = encodeFrame({ type: 'hello', target: meetingPoint(topic, 'host') })
      for (let index = 0; index < 300; index++) {
        const stream = node.connect(hostKey ?? Buffer.alloc(32), {})
        stream.on('error', () => undefined)
        stream.on('data', () => undefined)
        stream.once('open', () => {
          if (index % 3 === 0) stream.write(hello)
          else if (index % 3 === 1) stream.write(randomBytes(100_000))
        })
        if (index % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      await join('guest')
      expect(adapter.name).toBe('dht')
    },
    Limit,
  )

  it(
    'a thousand false requests do not hide a true one',
    async () => {
      await host()
      await flood(meetingPoint(topic, 'inbox'), 1000)
      await join('guest', { connects: false })
    },
    Limit,
  )

  it(
    'mailboxes of others are no trouble',
    async () => {
      await host()
      const node = await hostileNode()
      const values = [randomBytes(1000), Buffer.of(1, 16), Buffer.of(1, 1, ...randomBytes(32)), Buffer.of(1)]
      for (const value of values) {
        for (const box of ['inbox', 'host'] as const) {
          const keyPair = DHT.keyPair(randomBytes(32))
          await node.mutablePut(keyPair, value, { seq: 1 })
          await node.announce(meetingPoint(topic, box), keyPair, []).finished()
        }
      }
      await join('guest', { connects: false })
    },
    Limit,
  )
})
