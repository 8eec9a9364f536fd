import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import mqtt, { type MqttClient } from 'mqtt'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import { type MqttBroker, type MqttBrokerLimits, serveMqtt } from '../../src/node/serve-mqtt.js'
import { ManualClock } from '../contract/manual-clock.js'

const local = { address: '127.0.0.1', port: 0 }
let broker: MqttBroker | undefined

const serve = async (limits: MqttBrokerLimits = {}): Promise<MqttBroker> => {
  broker = await serveMqtt(local, limits)
  return broker
}
const client = async ({ url }: MqttBroker, options: mqtt.IClientOptions = {}): Promise<MqttClient> => {
  const made = await mqtt.connectAsync(url, { protocolVersion: 4, reconnectPeriod: 0, ...options })
  onTestFinished(() => void made.end(true))
  return made
}
const closed = (connected: MqttClient): Promise<void> =>
  new Promise((resolve) => connected.once('close', () => resolve()))
/** What a client is shown of these topics: when the last one comes, all that came before it. */
const shown = async (reader: MqttClient, filter: string, until: string): Promise<Map<string, string>> => {
  const seen = new Map<string, string>()
  const finished = new Promise<void>((resolve) => {
    reader.on('message', (topic, payload) => {
      if (topic === until) resolve()
      else seen.set(topic, payload.toString())
    })
  })
  await reader.subscribeAsync(filter, { qos: 1 })
  await reader.publishAsync(until, 'end', { qos: 1 })
  await finished
  return seen
}
const tcp = async ({ address: { address, port } }: MqttBroker): Promise<Socket> => {
  const socket = connectTcp({ host: address, port })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}

afterEach(async () => {
  await broker?.close()
  broker = undefined
})

describe('the embedded broker', () => {
  it('says where it listens', async () => {
    const { address, url } = await serve()
    expect(address.address).toBe('127.0.0.1')
    expect(address.port).toBeGreaterThan(0)
    expect(url).toBe(`mqtt://127.0.0.1:${address.port}`)
  })

  it('refuses a port that is taken', async () => {
    const { address } = await serve()
    const refused = serveMqtt(address)
    await expect(refused).rejects.toThrow(UsageError)
    await expect(refused).rejects.toMatchObject({
      code: 'listen-failed',
      message: `Cannot listen on 127.0.0.1:${address.port}`,
      advice: expect.stringContaining('--listen') as string,
    })
  })

  it('closes twice, ends every connection, and leaves the port free', async () => {
    const first = await serve()
    const connected = await client(first)
    const waiting = await tcp(first)
    const ended = Promise.all([closed(connected), once(waiting, 'close')])
    await Promise.all([first.close(), first.close()])
    await first.close()
    await ended
    const second = await serveMqtt(first.address)
    await second.close()
  })

  it('keeps no timer for the last wills of those that its end disconnects', async () => {
    const clock = new ManualClock()
    const first = await serve({ clock })
    await client(first, { will: { topic: 'a/will', payload: Buffer.from('x'), qos: 1, retain: true } })
    await first.close()
    expect(clock.nextInMs).toBeUndefined()
  })

  it('retains, passes on and erases', async () => {
    const served = await serve()
    const writer = await client(served)
    await writer.publishAsync('a/kept', 'kept', { qos: 1, retain: true })
    await writer.publishAsync('a/gone', 'gone', { qos: 1, retain: true })
    await writer.publishAsync('a/gone', '', { qos: 1, retain: true })
    expect(await shown(await client(served), 'a/+', 'a/end')).toEqual(new Map([['a/kept', 'kept']]))
  })
})

describe('what strangers can fill', () => {
  it('is one packet of a bounded size', async () => {
    const served = await serve({ maxPacketBytes: 1000 })
    const big = await client(served)
    const ended = closed(big)
    big.publish('a/b', Buffer.alloc(1001), { qos: 1 }, () => undefined)
    await ended
    const fits = await client(served)
    await fits.publishAsync('a/b', Buffer.alloc(900), { qos: 1 })
  })

  it.each([
    ['announces a packet of 256 MiB', [0x10, 0xff, 0xff, 0xff, 0x7f]],
    ['sends no MQTT', [...Buffer.from('GET / HTTP/1.1\r\n\r\n')]],
    ['sends a length without an end', [0x10, 0xff, 0xff, 0xff, 0xff, 0xff]],
  ])('ends where somebody %s', async (_what, bytes) => {
    const socket = await tcp(await serve())
    const closed = once(socket, 'close')
    socket.write(Uint8Array.from(bytes))
    socket.resume()
    await closed
  })

  it('is a bounded number of connections', async () => {
    const served = await serve({ maxConnections: 2 })
    const [first] = [await client(served), await client(served)]
    const third = await tcp(served)
    third.resume()
    await once(third, 'close')
    await first.endAsync()
    await client(served)
  })

  it('is a bounded number of retained records, which are passed on without being kept beyond it', async () => {
    const served = await serve({ maxRetained: 2 })
    const [writer, watcher] = [await client(served), await client(served)]
    const live: string[] = []
    watcher.on('message', (topic) => live.push(topic))
    await watcher.subscribeAsync('a/+', { qos: 1 })
    const retain = async (topic: string, payload: string): Promise<void> => {
      await writer.publishAsync(topic, payload, { qos: 1, retain: true })
    }
    for (const topic of ['a/1', 'a/2', 'a/3']) await retain(topic, 'old')
    await retain('a/2', 'new')
    expect([...(await shown(await client(served), 'a/+', 'a/end'))].sort()).toEqual([
      ['a/1', 'old'],
      ['a/2', 'new'],
    ])
    expect(live).toContain('a/3')
    await retain('a/1', '')
    await retain('a/3', 'now')
    expect([...(await shown(await client(served), 'a/+', 'a/end'))].sort()).toEqual([
      ['a/2', 'new'],
      ['a/3', 'now'],
    ])
  })

  it('is emptied of retained records when their time is over', async () => {
    const clock = new ManualClock()
    const served = await serve({ clock, retainMs: 1000 })
    const writer = await client(served)
    await writer.publishAsync('a/old', 'x', { qos: 1, retain: true })
    await writer.publishAsync('a/renewed', 'x', { qos: 1, retain: true })
    clock.advance(600)
    await writer.publishAsync('a/renewed', 'x', { qos: 1, retain: true })
    clock.advance(600)
    expect([...(await shown(await client(served), 'a/+', 'a/end')).keys()]).toEqual(['a/renewed'])
    clock.advance(1000)
    expect(await shown(await client(served), 'a/+', 'a/end')).toEqual(new Map())
    expect(clock.nextInMs).toBeUndefined()
  })

  it('is no session that outlives its connection, and no reserved topic', async () => {
    const served = await serve()
    const lasting = { clean: false, clientId: 'stays', protocolVersion: 4, reconnectPeriod: 0 } as const
    await closed(mqtt.connect(served.url, lasting))
    const writer = await client(served)
    const ended = closed(writer)
    writer.publish('$SYS/fake', 'x', { qos: 1 }, () => undefined)
    await ended
  })

  it('is nobody else who waits for one that does not read', async () => {
    const served = await serve()
    const [writer, reader, deaf] = [await client(served), await client(served), await client(served)]
    await deaf.subscribeAsync('a/+', { qos: 0 })
    ;(deaf.stream as Socket).pause()
    let got = 0
    let [lastAt, longestMs] = [performance.now(), 0]
    const all = new Promise<void>((resolve) => {
      reader.on('message', () => {
        const now = performance.now()
        longestMs = Math.max(longestMs, now - lastAt)
        lastAt = now
        got += 1
        if (got === 1000) resolve()
      })
    })
    await reader.subscribeAsync('a/+', { qos: 0 })
    // More than the system's buffers take for the deaf one.
    for (let sent = 0; sent < 1000; sent++) await writer.publishAsync('a/b', Buffer.alloc(15_000), { qos: 1 })
    await all
    // Nobody waited until the deaf one was disconnected, which takes 5 s.
    expect(longestMs).toBeLessThan(4000)
  })
})
