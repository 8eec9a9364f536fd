/** Who shares a DHT with us, what goes wrong with a proxy, and the one line that says so. */
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { opendht } from '../../src/adapters/opendht/definition.js'
import { boxKey } from '../../src/adapters/opendht/proxy.js'
import { commitmentTo, decodeValue, encodeValue } from '../../src/adapters/opendht/value.js'
import { UsageError } from '../../src/core/errors.js'
import type { Clock } from '../../src/core/ports.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { systemClock } from '../../src/node/clock.js'
import { dhtnodeMissing, startDhtnode } from '../servers/dhtnode.js'
import { freePort } from '../servers/free-port.js'
import { hastyClock, httpContext } from './opendht-fixture.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'
const cleanUps: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Opened {
  readonly adapter: SignallingAdapter
  readonly states: AdapterState[]
}

async function open(
  proxy: string,
  { ca, ...context }: Partial<AdapterContext> & { readonly ca?: string | undefined } = {},
): Promise<Opened> {
  const states: AdapterState[] = []
  const adapter = await opendht.create(
    { proxy, ca },
    httpContext((state) => states.push(state), context),
  )
  cleanUps.push(() => adapter.close())
  await adapter.open({ role: 'host', topics: [topic] }, never)
  return { adapter, states }
}

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!isSo()) {
    if (Date.now() > deadline) expect.fail(`not within 10 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The first reason for being down, without the port. */
async function reason({ states }: Opened): Promise<string> {
  await until(() => states.some(({ state }) => state === 'down'), 'down')
  const down = states.find((state) => state.state === 'down')
  return down?.state === 'down' ? down.reason.replace(/^127\.0\.0\.1:\d+: /, '') : ''
}

const recordOf = (record: Partial<SignalRecord> = {}): SignalRecord => ({
  topic,
  box: 'host',
  sender: 'epoch',
  bytes: new TextEncoder().encode('beacon'),
  expiresInMs: 60_000,
  ...record,
})

/** Lays something under a key, as a stranger does. */
async function put(port: number, value: Record<string, unknown>, key = boxKey(topic, 'host')): Promise<void> {
  const asked = request({ host: '127.0.0.1', port, path: `/key/${key}`, method: 'POST' })
  asked.end(JSON.stringify(value))
  const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream & { statusCode: number }]
  answer.resume()
  expect(answer.statusCode).toBe(200)
}

const randomId = (): string => String(1 + Math.floor(Math.random() * 2 ** 52))

async function seenBy({ adapter }: Opened): Promise<string[]> {
  const seen: string[] = []
  const stop = new AbortController()
  await adapter.watch(
    topic,
    'host',
    ({ sender, bytes }) => seen.push(`${sender} ${Buffer.from(bytes).toString()}`),
    stop.signal,
  )
  stop.abort()
  return seen
}

async function server(answer: (server: Server) => void): Promise<string> {
  const started = createServer()
  answer(started)
  started.listen(0, '127.0.0.1')
  await once(started, 'listening')
  cleanUps.push(async () => {
    started.closeAllConnections()
    await new Promise((resolve) => started.close(resolve))
  })
  const address = started.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

describe.skipIf(dhtnodeMissing !== undefined)('neighbours in a DHT', () => {
  it('cannot replace or retract what is not theirs, nor hide it in a flood', async () => {
    const nodes = await startDhtnode()
    cleanUps.push(() => nodes.close())
    const [first, second = 0] = nodes.ports
    const host = await open(`http://127.0.0.1:${first}`)
    await host.adapter.publish(recordOf(), never)
    const forged = encodeValue({
      kind: 'record',
      sender: 'epoch',
      commitment: commitmentTo(new Uint8Array(16)),
      secrets: [new Uint8Array(16).fill(7)],
      bytes: new TextEncoder().encode('forged'),
    })
    const retraction = encodeValue({ kind: 'retraction', secrets: [new Uint8Array(16).fill(9)] })
    for (const value of [forged, retraction]) {
      await put(second, { id: randomId(), data: Buffer.from(value).toString('base64') })
    }
    const garbage = Array.from({ length: 1000 }, (_, index) => ({
      id: randomId(),
      data: Buffer.alloc(index % 50 === 0 ? 40_000 : index + 1, index).toString('base64'),
    }))
    for (let at = 0; at < garbage.length; at += 50) {
      await Promise.all(garbage.slice(at, at + 50).map((value) => put(second, value)))
    }
    const guest = await open(`http://127.0.0.1:${second}`)
    // What is forged is for the core to refuse.
    expect((await seenBy(guest)).sort()).toEqual(['epoch beacon', 'epoch forged'])
    await host.adapter.retract(recordOf(), never)
    expect(await seenBy(guest)).toEqual(['epoch forged'])
  }, 60_000)

  it('keep a record beyond the 10 minutes of their values, and no longer than it lasts', async () => {
    const nodes = await startDhtnode({ nodes: 1 })
    cleanUps.push(() => nodes.close())
    let puts = 0
    const url = await server((relay) => {
      relay.on('request', (asked, answered) => {
        if (asked.method === 'POST') puts += 1
        const { method, url: path, headers } = asked
        const passed = request({ host: '127.0.0.1', port: nodes.port, method, path, headers }, (answer) => {
          answered.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(answered)
        })
        passed.on('error', () => answered.destroy())
        asked.pipe(passed)
      })
    })
    // A quarter of an hour takes 5 seconds; what takes less than half a minute takes as long as ever.
    const hasty = hastyClock(180)
    const after: Clock['after'] = (delayMs, callback) =>
      (delayMs < 30_000 ? systemClock : hasty).after(delayMs, callback)
    const host = await open(url, { clock: { now: () => hasty.now(), after } })
    await host.adapter.publish(recordOf({ expiresInMs: 14 * 60_000 }), never)
    await until(() => puts >= 2, 'put again')
    const guest = await open(`http://127.0.0.1:${nodes.port}`)
    await until(() => puts >= 5, 'taken back')
    const deadline = Date.now() + 10_000
    while ((await seenBy(guest)).length > 0) expect(Date.now()).toBeLessThan(deadline)
    expect(puts).toBeLessThanOrEqual(6)
  }, 30_000)

  it('need a certificate that we trust', async () => {
    const nodes = await startDhtnode({ nodes: 1, tls: true })
    cleanUps.push(() => nodes.close())
    const url = `https://127.0.0.1:${nodes.port}`
    expect(await reason(await open(url))).toBe(
      "the server's certificate is not signed by an authority that we trust (adapters.opendht.ca)",
    )
    expect(await reason(await open(`http://127.0.0.1:${nodes.port}`))).toMatch(/\(perhaps https:\/\/\)|reset/)
    const trusting = await open(url, { ca: nodes.certificates?.ca })
    await until(() => trusting.states.at(-1)?.state === 'up', 'up')
  }, 30_000)
})

describe('a proxy', () => {
  it.each([
    ['refuses connections', () => Promise.resolve(undefined), 'connection refused'],
    [
      'is none',
      () =>
        server((http) => {
          http.on('request', (_asked, answered) => answered.writeHead(404).end('no'))
        }),
      'there is no OpenDHT proxy at this URL (dhtnode --proxyserver)',
    ],
    [
      'is another server',
      () =>
        server((http) => {
          http.on('request', (_asked, answered) => answered.end('<html>'))
        }),
      'there is no OpenDHT proxy at this URL (dhtnode --proxyserver)',
    ],
    [
      'redirects',
      () =>
        server((http) => {
          http.on('request', (_asked, answered) => answered.writeHead(302, { location: '/elsewhere' }).end())
        }),
      'HTTP 302',
    ],
    ['hangs', () => server((http) => void http.on('request', () => undefined)), 'no answer in time'],
    [
      'sends without end',
      () =>
        server((http) => {
          http.on('request', (_asked, answered) => {
            answered.on('drain', () => answered.write(Buffer.alloc(65_536)))
            answered.write(Buffer.alloc(65_536))
          })
        }),
      'the answer is larger than 65536 bytes',
    ],
    [
      'does not speak HTTP',
      () =>
        server((http) => {
          http.on('connection', (socket) => socket.end('220 mail.example ESMTP\r\n'))
        }),
      'the server does not speak HTTP on this port (perhaps https://)',
    ],
  ])('that %s is said to', async (_how, start, words) => {
    const url = (await start()) ?? `http://127.0.0.1:${await freePort()}`
    const opened = await open(url, { clock: hastyClock(20) })
    expect(await reason(opened)).toBe(words)
    // It is asked again, and nothing is left waiting.
    const startedAt = Date.now()
    await opened.adapter.close()
    expect(Date.now() - startedAt).toBeLessThan(2000)
  })

  it('of a wrong configuration is refused when it is opened', async () => {
    const adapter = await opendht.create(
      { proxy: 'http://127.0.0.1:1', ca: '/nowhere/ca.pem' },
      httpContext(() => undefined),
    )
    await expect(adapter.open({ role: 'guest', topics: [] }, never)).rejects.toThrow(UsageError)
    await expect(adapter.open({ role: 'guest', topics: [] }, never)).rejects.toMatchObject({
      code: 'opendht-file-unreadable',
    })
    await adapter.close()
  })

  it('is told of a value only what the value is', () => {
    const value = { kind: 'record', sender: 'a', commitment: new Uint8Array(16), secrets: [] } as const
    const record = { ...value, bytes: Uint8Array.of(1, 2) }
    expect(decodeValue(encodeValue(record))).toEqual(record)
  })
})
