/** A host that is its zone's server itself, and guests that know nothing but their resolver. */
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { DnsClient } from '../../src/adapters/dns/client.js'
import { type DnsOptions, dns } from '../../src/adapters/dns/definition.js'
import { uploadNames } from '../../src/adapters/dns/question-name.js'
import { writeUpload } from '../../src/adapters/dns/upload-message.js'
import type { AdapterState, Box, SignallingAdapter, SignalRecord } from '../../src/core/signalling-adapter.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import type { ChildServer } from '../servers/child-server.js'
import { freePort } from '../servers/free-port.js'
import { startUnbound, unboundMissing } from '../servers/unbound.js'
import { dnsContext, zone } from './dns-fixture.js'

const never = new AbortController().signal
const topic = 'abcdefghijklmnopqrst'

let port: number
let resolver: ChildServer
let adapters: SignallingAdapter[] = []

class Seen {
  readonly records: SignalRecord[] = []
  readonly #waiting = new Map<string, (record: SignalRecord) => void>()

  readonly add = (record: SignalRecord): void => {
    this.records.push(record)
    this.#waiting.get(record.sender)?.(record)
  }

  async of(sender: string): Promise<SignalRecord> {
    const found = this.records.find((record) => record.sender === sender)
    return found ?? new Promise((resolve) => this.#waiting.set(sender, resolve))
  }
}

interface Opened {
  readonly adapter: SignallingAdapter
  readonly down: Promise<string>
  readonly up: Promise<void>
}

async function open(role: 'host' | 'guest', options: Partial<DnsOptions>): Promise<Opened> {
  let resolveDown: (reason: string) => void = () => undefined
  let resolveUp = (): void => undefined
  const down = new Promise<string>((resolve) => {
    resolveDown = resolve
  })
  const up = new Promise<void>((resolve) => {
    resolveUp = resolve
  })
  const onState = (state: AdapterState): void => {
    if (state.state === 'down') resolveDown(state.reason)
    else resolveUp()
  }
  const adapter = await dns.create({ mode: 'serve', zone, ...options }, dnsContext(onState))
  adapters.push(adapter)
  await adapter.open({ role, topics: [topic] }, never)
  return { adapter, down, up }
}

const host = (): Promise<Opened> => open('host', { listen: `127.0.0.1:${port}` })
const guest = (): Promise<Opened> => open('guest', { resolver: [`127.0.0.1:${resolver.port}`] })

async function watch({ adapter }: Opened, box: Box): Promise<Seen> {
  const seen = new Seen()
  await adapter.watch(topic, box, seen.add, never)
  return seen
}

function record(fields: Partial<SignalRecord> = {}): SignalRecord {
  const bytes = new Uint8Array(randomBytes(1200))
  return { topic, box: 'host', sender: 'epoch', bytes, expiresInMs: 900_000, ...fields }
}

describe.skipIf(unboundMissing !== undefined && process.env['CI'] !== 'true')(
  'a host that serves its zone',
  () => {
    beforeEach(async () => {
      port = await freePort()
      resolver = await startUnbound(zone, port)
    })
    afterEach(async () => {
      await Promise.all(adapters.map((adapter) => adapter.close()))
      adapters = []
      await resolver.close()
    })

    it('is met through a resolver', async () => {
      const alice = await host()
      const joins = await watch(alice, 'join')
      const beacon = record()
      await alice.adapter.publish(beacon, never)
      const bob = await guest()
      const [beacons, replies] = [await watch(bob, 'host'), await watch(bob, 'reply/guest1')]
      expect((await beacons.of('epoch')).bytes).toEqual(beacon.bytes)
      const join = record({ box: 'join', sender: 'guest1', expiresInMs: 60_000 })
      await bob.adapter.publish(join, never)
      expect((await joins.of('guest1')).bytes).toEqual(join.bytes)
      const reply = record({ box: 'reply/guest1' })
      await alice.adapter.publish(reply, never)
      expect((await replies.of('epoch')).bytes).toEqual(reply.bytes)
      await bob.adapter.retract(join, never)
      const late = new Seen()
      await alice.adapter.watch(topic, 'join', late.add, never)
      expect(late.records).toEqual([])
    })

    it('leaves its beacon in the resolver, which shows it while the host is away', async () => {
      const alice = await host()
      const beacon = record()
      await alice.adapter.publish(beacon, never)
      const bob = await guest()
      await (await watch(bob, 'host')).of('epoch')
      const at = { address: '127.0.0.1', port: resolver.port, label: 'unbound' }
      const client = new DnsClient({ clock: systemClock, random: systemRandom, unixMs: () => Date.now() })
      // Bob's question for it may still be under way.
      await client.query(at, `${topic}.b.${zone}`, 'TXT', never)
      await alice.adapter.close()
      const carol = await guest()
      const shown = await (await watch(carol, 'host')).of('epoch')
      expect(shown.bytes).toEqual(beacon.bytes)
      expect(await carol.down).toMatch(
        /^127\.0\.0\.1:\d+: (it cannot reach the server of gonet\.test \(SERVFAIL\)|the server does not answer)$/,
      )
    }, 40_000)

    it('takes nothing but joins into its own rooms', async () => {
      const alice = await host()
      await alice.adapter.publish(record(), never)
      const bob = await guest()
      const refused = {
        code: 'dns-refused',
        message: expect.stringContaining('takes no such record') as string,
      }
      await expect(bob.adapter.publish(record({ sender: 'other' }), never)).rejects.toMatchObject(refused)
      await expect(bob.adapter.publish(record({ box: 'reply/guest1' }), never)).rejects.toMatchObject(refused)
      await expect(
        bob.adapter.publish(record({ box: 'join', topic: 'zzzzzzzzzzzzzzzzzzzz' }), never),
      ).rejects.toMatchObject(refused)
    })

    it('is joined through a flood of joins and of parts that never become whole', async () => {
      const alice = await host()
      const joins = await watch(alice, 'join')
      await alice.adapter.publish(record(), never)
      const flood = createSocket('udp4')
      onTestFinished(() => void flood.close())
      flood.on('error', () => undefined)
      const { writeQuery } = await import('../../src/adapters/dns/message.js')
      const bytes = new Uint8Array(randomBytes(300))
      const token = new Uint8Array(16)
      for (let at = 0; at < 1500; at++) {
        const upload = {
          action: 'put',
          box: 'join',
          sender: `hostile${at}`,
          token,
          expiresInMs: 60_000,
          bytes,
        } as const
        const names = uploadNames(zone, topic, systemRandom.bytes(10), writeUpload(upload))
        // Half of them lack a part.
        for (const name of at % 2 === 0 ? names : names.slice(1)) {
          flood.send(writeQuery(at, name, 'TXT'), port, '127.0.0.1')
        }
      }
      const bob = await guest()
      await bob.adapter.publish(record({ box: 'join', sender: 'honest', expiresInMs: 60_000 }), never)
      await joins.of('honest')
    })

    it('says why it cannot listen, and goes on when it can', async () => {
      const taken = createSocket('udp4')
      await new Promise<void>((resolve) => taken.bind(port, '127.0.0.1', resolve))
      const alice = await host()
      expect(await alice.down).toBe(
        `127.0.0.1:${port}: cannot listen there: another program listens there, such as a resolver of this machine (adapters.dns.listen)`,
      )
      const published = alice.adapter.publish(record(), never)
      await new Promise<void>((resolve) => taken.close(() => resolve()))
      await published
      await alice.up
    })

    it('shows a guest of an earlier run what comes in the next', async () => {
      const alice = await host()
      await alice.adapter.publish(record({ sender: 'epoch1' }), never)
      const bob = await guest()
      const beacons = await watch(bob, 'host')
      await beacons.of('epoch1')
      await alice.adapter.close()
      const again = await host()
      await again.adapter.publish(record({ sender: 'epoch2' }), never)
      await beacons.of('epoch2')
    }, 40_000)
  },
)

it('a resolver that knows of no such zone is named', async () => {
  const silent = createSocket('udp4')
  const at = await freePort()
  await new Promise<void>((resolve) => silent.bind(at, '127.0.0.1', resolve))
  silent.on('message', (bytes, from) => {
    const answer = Buffer.from(bytes)
    answer.writeUInt16BE(0x8183, 2)
    silent.send(answer, from.port, from.address)
  })
  const { adapter, down } = await open('guest', { resolver: [`127.0.0.1:${at}`] })
  expect(await down).toBe(
    `127.0.0.1:${at}: gonet.test has no such name (NXDOMAIN): it is not delegated, or not to gonet`,
  )
  await adapter.close()
  silent.close()
})
