import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import mqtt, { MqttClient } from 'mqtt'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import {
  type MqttBroker,
  type MqttBrokerLimits,
  ownerOfAddress,
  serveMqtt,
} from '../../src/node/serve-mqtt.js'
import { ManualClock } from '../contract/manual-clock.js'

/** Below it a wildcard may stand. */
const box = 'a/1/topic/host'
const local = { address: '127.0.0.1', port: 0 }
/** The packet with which a client begins. */
const connect = Uint8Array.of(0x10, 12, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60, 0, 0)
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
  // The broker reads what it retains in steps of its own, beside what is published.
  for (let step = 0; step < 5; step++) await reader.publishAsync('elsewhere', '', { qos: 1 })
  await reader.publishAsync(until, 'end', { qos: 1 })
  await finished
  return seen
}
/** @param from the address to connect from, one of 127.0.0.0/8 */
const tcp = async ({ address: { address, port } }: MqttBroker, from = '127.0.0.1'): Promise<Socket> => {
  const socket = connectTcp({ host: address, port, localAddress: from })
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
    await client(first, { will: { topic: `${box}/will`, payload: Buffer.from('x'), qos: 1, retain: true } })
    await first.close()
    expect(clock.nextInMs).toBeUndefined()
  })

  it('retains, passes on and erases', async () => {
    const served = await serve()
    const writer = await client(served)
    await writer.publishAsync(`${box}/kept`, 'kept', { qos: 1, retain: true })
    await writer.publishAsync(`${box}/gone`, 'gone', { qos: 1, retain: true })
    await writer.publishAsync(`${box}/gone`, '', { qos: 1, retain: true })
    expect(await shown(await client(served), `${box}/+`, `${box}/end`)).toEqual(
      new Map([[`${box}/kept`, 'kept']]),
    )
  })
})

describe('what strangers can fill', () => {
  it('is one packet of a bounded size', async () => {
    const served = await serve({ maxPacketBytes: 1000 })
    const big = await client(served)
    const ended = closed(big).then(() => 'ended')
    const taken = new Promise((resolve) => {
      big.publish(`${box}/b`, Buffer.alloc(1001), { qos: 1 }, (error) => {
        if (!error) resolve('taken')
      })
    })
    expect(await Promise.race([ended, taken])).toBe('ended')
    const fits = await client(served)
    await fits.publishAsync(`${box}/b`, Buffer.alloc(900), { qos: 1 })
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
    const outcome = Promise.race([
      once(third, 'data').then(() => 'let in'),
      once(third, 'close').then(() => 'ended'),
    ])
    third.write(connect)
    expect(await outcome).toBe('ended')
    await first.endAsync()
    await client(served)
  })

  it('is a bounded number of retained records, which are passed on without being kept beyond it', async () => {
    const served = await serve({ maxRetained: 2 })
    const [writer, watcher] = [await client(served), await client(served)]
    const live: string[] = []
    watcher.on('message', (topic) => live.push(topic))
    await watcher.subscribeAsync(`${box}/+`, { qos: 1 })
    const retain = async (topic: string, payload: string): Promise<void> => {
      await writer.publishAsync(topic, payload, { qos: 1, retain: true })
    }
    for (const topic of [`${box}/1`, `${box}/2`, `${box}/3`]) await retain(topic, 'old')
    await retain(`${box}/2`, 'new')
    expect([...(await shown(await client(served), `${box}/+`, `${box}/end`))].sort()).toEqual([
      [`${box}/1`, 'old'],
      [`${box}/2`, 'new'],
    ])
    expect(live).toContain(`${box}/3`)
    await retain(`${box}/1`, '')
    await retain(`${box}/3`, 'now')
    expect([...(await shown(await client(served), `${box}/+`, `${box}/end`))].sort()).toEqual([
      [`${box}/2`, 'new'],
      [`${box}/3`, 'now'],
    ])
  })

  it('is emptied of retained records when their time is over', async () => {
    const clock = new ManualClock()
    const served = await serve({ clock, retainMs: 1000 })
    const writer = await client(served)
    await writer.publishAsync(`${box}/old`, 'x', { qos: 1, retain: true })
    await writer.publishAsync(`${box}/renewed`, 'x', { qos: 1, retain: true })
    clock.advance(600)
    await writer.publishAsync(`${box}/renewed`, 'x', { qos: 1, retain: true })
    clock.advance(600)
    expect([...(await shown(await client(served), `${box}/+`, `${box}/end`)).keys()]).toEqual([
      `${box}/renewed`,
    ])
    clock.advance(1000)
    expect(await shown(await client(served), `${box}/+`, `${box}/end`)).toEqual(new Map())
    expect(clock.nextInMs).toBeUndefined()
  })

  describe('from one address', () => {
    /** Every address is a stranger's, so that those of 127.0.0.0/8 do for several. */
    const ownerOf = (address: string): string => address
    const stranger = async (served: MqttBroker, from: string): Promise<MqttClient> => {
      const socket = await tcp(served, from)
      const made = new MqttClient(() => socket, { protocolVersion: 4, reconnectPeriod: 0 })
      onTestFinished(() => void made.end(true))
      made.on('error', () => undefined)
      await new Promise<void>((resolve) => made.once('connect', () => resolve()))
      return made
    }

    it('is an eighth of the connections, and the next is told so', async () => {
      const served = await serve({ maxConnections: 16, ownerOf })
      const [first] = [await stranger(served, '127.0.0.2'), await stranger(served, '127.0.0.2')]
      const third = await tcp(served, '127.0.0.2')
      third.write(connect)
      const [answer] = (await once(third, 'data')) as [Buffer]
      expect([...answer]).toEqual([0x20, 2, 0, 3])
      await once(third, 'close')
      await stranger(served, '127.0.0.3')
      await first.endAsync()
      await stranger(served, '127.0.0.2')
    })

    it('is an eighth of the retained records', async () => {
      const clock = new ManualClock()
      const served = await serve({ maxRetained: 16, retainMs: 1000, ownerOf, clock })
      const [greedy, modest] = [await stranger(served, '127.0.0.2'), await stranger(served, '127.0.0.3')]
      const retain = async (by: MqttClient, name: string, payload = 'x'): Promise<void> => {
        await by.publishAsync(`${box}/${name}`, payload, { qos: 1, retain: true })
      }
      const kept = async (): Promise<string[]> => {
        const seen = await shown(await stranger(served, '127.0.0.4'), `${box}/+`, `${box}/end`)
        return [...seen.keys()].map((topic) => topic.slice(box.length + 1)).sort()
      }
      for (const name of ['1', '2', '3', '4']) await retain(greedy, name)
      await retain(modest, '5')
      expect(await kept()).toEqual(['1', '2', '5'])
      // To write over another's record takes no place, and to erase one gives it back to whom it belongs.
      await retain(greedy, '5', 'mine')
      await retain(modest, '1', '')
      await retain(greedy, '3')
      await retain(greedy, '4')
      expect(await kept()).toEqual(['2', '3', '5'])
      clock.advance(1000)
      await retain(greedy, '6')
      expect(await kept()).toEqual(['6'])
    })

    it.each([
      ['127.0.0.1', undefined],
      ['127.8.7.6', undefined],
      ['::1', undefined],
      ['::ffff:127.0.0.1', undefined],
      ['192.0.2.7', '192.0.2.7'],
      ['::ffff:192.0.2.7', '192.0.2.7'],
      ['', 'unknown'],
    ])('counts %s for %s', (address, owner) => {
      expect(ownerOfAddress(address)).toBe(owner)
    })

    it('counts an IPv6 network as one', () => {
      const [one, two] = ['2001:db8:1:2::1', '2001:db8:1:2:ffff::2'].map(ownerOfAddress)
      expect(one).toBe(two)
      expect(ownerOfAddress('2001:db8:1:3::1')).not.toBe(one)
    })
  })

  it.each([
    '#',
    '+/#',
    'gonet/#',
    'gonet/+',
    'gonet/1/+',
    'gonet/1/+/host',
    'gonet/1/topic/+',
    'gonet/1/topic/+/+',
    'gonet/1/+/host/+',
    '+/1/topic/host/+',
    '1/topic/host/+',
    '$SYS/broker',
    '$share/group/gonet/1/topic/host/+',
  ])('is no list of the topics of others: %s', async (filter) => {
    const curious = await client(await serve())
    await expect(curious.subscribeAsync(filter, { qos: 1 })).rejects.toMatchObject({
      message: expect.stringContaining('Unspecified error') as string,
    })
    expect(curious.connected).toBe(true)
  })

  it.each([
    'gonet/1/topic/host/+',
    'gonet/1/topic/reply/guest/+',
    'rooms/of/gonet/1/topic/join/+',
    'gonet/1/topic/host/epoch',
  ])('is what it has been told: %s', async (filter) => {
    await (await client(await serve())).subscribeAsync(filter, { qos: 1 })
  })

  it('is a bounded number of subscriptions at a time', async () => {
    const many = await client(await serve())
    for (let name = 0; name < 256; name++) await many.subscribeAsync(`${box}/${name}`, { qos: 1 })
    await many.subscribeAsync(`${box}/0`, { qos: 1 })
    await expect(many.subscribeAsync(`${box}/256`, { qos: 1 })).rejects.toThrow()
    await many.unsubscribeAsync(`${box}/1`)
    await many.subscribeAsync(`${box}/256`, { qos: 1 })
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
    await deaf.subscribeAsync(`${box}/+`, { qos: 0 })
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
    await reader.subscribeAsync(`${box}/+`, { qos: 0 })
    // More than the system's buffers take for the deaf one.
    for (let sent = 0; sent < 1000; sent++)
      await writer.publishAsync(`${box}/b`, Buffer.alloc(15_000), { qos: 1 })
    await all
    // Nobody waited until the deaf one was disconnected, which takes 5 s.
    expect(longestMs).toBeLessThan(4000)
  })
})
