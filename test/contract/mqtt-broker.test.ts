/** What is MQTT's own about the adapter: versions, brokers that misbehave, lines that are cut. */
import { createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { SignalRecord } from '../../src/core/signalling-adapter.js'
import { serveMqtt } from '../../src/node/serve-mqtt.js'
import { freePort } from '../servers/free-port.js'
import { mosquittoMissing } from '../servers/mosquitto.js'
import { startTcpRelay } from '../servers/tcp-relay.js'
import { ManualClock } from './manual-clock.js'
import {
  atEnd,
  Connack4,
  Connack5,
  fakeBroker,
  mosquitto,
  never,
  open,
  ProtocolLevelAt,
  recordOf,
  topic,
} from './mqtt-bench.js'

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
    atEnd(async () => {
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
  atEnd(() => broker.close())
  const relay = await startTcpRelay(broker.address.port)
  atEnd(() => relay.close())
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
