/** What neighbours on the link can do, and what is said where there is no link. */
import { createSocket, type Socket } from 'node:dgram'
import { encode, type Packet, type TxtAnswer } from 'dns-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { MdnsAdapter } from '../../src/adapters/mdns/adapter.js'
import { type MdnsOptions, mdns } from '../../src/adapters/mdns/definition.js'
import { encodeRecord } from '../../src/adapters/mdns/fragments.js'
import { boxName } from '../../src/adapters/mdns/names.js'
import type { AdapterState, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { Cable, Loopback, mdnsContext } from './mdns-fixture.js'

const never = new AbortController().signal
const adapters: SignallingAdapter[] = []
const sockets: Socket[] = []
let topics = 0

afterEach(async () => {
  await Promise.all(adapters.splice(0).map((adapter) => adapter.close()))
  for (const socket of sockets.splice(0)) socket.close()
})

function newTopic(): string {
  topics += 1
  return `t${process.pid.toString(36)}x${topics}`.padEnd(20, 'x').slice(0, 20)
}

async function open(
  topic: string,
  cable = new Cable(),
  options: MdnsOptions = { interface: Loopback },
): Promise<SignallingAdapter & { states: AdapterState[] }> {
  const states: AdapterState[] = []
  const adapter = new MdnsAdapter(
    options,
    mdnsContext((state) => void states.push(state)),
    cable,
  )
  adapters.push(adapter)
  await adapter.open({ topics: [topic] }, never)
  return Object.assign(adapter, { states })
}

async function watched(adapter: SignallingAdapter, topic: string): Promise<SignalRecord[]> {
  const records: SignalRecord[] = []
  await adapter.watch(topic, 'join', (record) => void records.push(record), never)
  return records
}

/** Somebody else's program on the same link. @returns how it sends */
async function neighbour(port = 5353): Promise<(packet: Uint8Array) => Promise<void>> {
  const socket = createSocket({ type: 'udp4', reuseAddr: true })
  sockets.push(socket)
  await new Promise<void>((resolve) => socket.bind(port, '0.0.0.0', resolve))
  socket.setMulticastInterface(Loopback)
  return (packet) =>
    new Promise((resolve) => {
      socket.send(packet, 5353, '224.0.0.251', () => {
        resolve()
      })
    })
}

function saying(topic: string, sender: string, bytes: Uint8Array): Packet[] {
  return encodeRecord(sender, bytes).map((data) => {
    const answer: TxtAnswer = { name: boxName(topic, 'join'), type: 'TXT', ttl: 60, data }
    return { type: 'response', answers: [answer] }
  })
}

const recordOf = (topic: string, sender: string, bytes = Uint8Array.of(1)): SignalRecord => ({
  topic,
  box: 'join',
  sender,
  bytes,
  expiresInMs: 60_000,
})

describe('a neighbour', () => {
  it('may speak mDNS in its own way', async () => {
    const topic = newTopic()
    const records = await watched(await open(topic), topic)
    const send = await neighbour()
    for (const packet of saying(topic, 'other', Uint8Array.of(7))) await send(encode(packet))
    await expect.poll(() => records).toMatchObject([{ sender: 'other', bytes: Uint8Array.of(7) }])
  })

  it('that sends from another port, or in loud case, is taken as RFC 6762 has it', async () => {
    const topic = newTopic()
    const records = await watched(await open(topic), topic)
    const [wrong, right] = [await neighbour(0), await neighbour()]
    for (const packet of saying(topic, 'early', Uint8Array.of(1))) await wrong(encode(packet))
    const [packet] = saying(topic, 'loud', Uint8Array.of(1))
    const [answer] = packet!.answers!
    await right(
      encode({
        ...packet,
        answers: [{ ...answer!, name: answer!.name.replace('join', 'JOIN') }],
      }),
    )
    await expect.poll(() => records.map(({ sender }) => sender)).toEqual(['loud'])
  })

  it('that sends rubbish is not heard', async () => {
    const topic = newTopic()
    const host = await open(topic)
    const records = await watched(host, topic)
    const send = await neighbour()
    const [packet] = saying(topic, 'x', Uint8Array.of(1))
    const whole = encode(packet!)
    for (let length = 0; length < whole.length; length += 7) await send(whole.subarray(0, length))
    // From its end: once it has come whole, by another id or time to live, it is not reported again.
    for (let at = whole.length - 1; at >= 0; at--) {
      await send(whole.map((byte, index) => (index === at ? byte ^ 0xff : byte)))
    }
    await send(Buffer.concat([Buffer.alloc(9000), Buffer.from(topic)]))
    await send(Buffer.concat([Buffer.alloc(12, 0xff), Buffer.from(topic)]))
    const guest = await open(topic)
    await guest.publish(recordOf(topic, 'honest'), never)
    await expect.poll(() => records.some(({ sender }) => sender === 'honest'), { timeout: 10_000 }).toBe(true)
    expect(host.states).toEqual([{ state: 'up' }])
    for (const { bytes } of records) expect(bytes).toEqual(Uint8Array.of(1))
  })

  it('that floods the box keeps nobody out', async () => {
    const topic = newTopic()
    const host = await open(topic)
    const records = await watched(host, topic)
    const send = await neighbour()
    let flooding = true
    const flood = (async () => {
      for (let index = 0; flooding; index++) {
        for (const packet of saying(topic, `bad${index}`, new Uint8Array(900))) await send(encode(packet))
        // Sending alone would not let anybody else of this process run.
        if (index % 4 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await expect.poll(() => records.length, { timeout: 10_000 }).toBeGreaterThan(1000)
    const guest = await open(topic)
    await guest.publish(recordOf(topic, 'honest', new Uint8Array(4608).fill(3)), never)
    await expect
      .poll(() => records.find(({ sender }) => sender === 'honest')?.bytes.length, { timeout: 15_000 })
      .toBe(4608)
    flooding = false
    await flood
  }, 30_000)
})

describe('without a network', () => {
  it('says so, and goes on when there is one', async () => {
    const cable = new Cable()
    cable.isUnplugged = true
    const topic = newTopic()
    const host = await open(topic, cable, {})
    await expect
      .poll(() => host.states)
      .toEqual([{ state: 'down', reason: 'mdns: this machine is in no local network' }])
    const records: SignalRecord[] = []
    const watching = host.watch(topic, 'join', (record) => void records.push(record), never)
    const guest = await open(topic)
    await guest.publish(recordOf(topic, 'early'), never)
    cable.isUnplugged = false
    await watching
    await expect.poll(() => records.map(({ sender }) => sender), { timeout: 10_000 }).toEqual(['early'])
    expect(host.states.at(-1)).toEqual({ state: 'up' })
  })

  it('names an interface that is not there', async () => {
    const states: AdapterState[] = []
    const adapter = await mdns.create(
      { interface: '192.0.2.77' },
      mdnsContext((state) => void states.push(state)),
    )
    adapters.push(adapter)
    await adapter.open({ role: 'host', topics: [newTopic()] }, never)
    await expect
      .poll(() => states)
      .toEqual([
        {
          state: 'down',
          reason:
            'mdns: no interface of this machine has the address 192.0.2.77 (adapters.mdns.interface), or it is down',
        },
      ])
  })
})
