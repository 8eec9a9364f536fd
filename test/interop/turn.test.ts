/** Against coturn, on loopback. */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { nodeLongTermKey } from '../../src/node/long-term-key.js'
import { openStreamTransport } from '../../src/node/stream-transport.js'
import { decodeMessage, findAttribute } from '../../src/transports/stun/message.js'
import type { TurnCredentials } from '../../src/transports/turn/authentication.js'
import { isChannelData } from '../../src/transports/turn/channel-data.js'
import { TurnClient } from '../../src/transports/turn/client.js'
import { TurnAttributeType } from '../../src/transports/turn/constants.js'
import type { TurnEvent } from '../../src/transports/turn/events.js'
import { restCredentials } from '../../src/transports/turn/rest-credentials.js'
import { mayDrop } from '../../src/transports/turn/stream-framing.js'
import { type Coturn, coturnMissing, startCoturn } from '../servers/coturn.js'

type Transport = 'udp' | 'tcp' | 'tls'
type EventOf<Type> = Extract<TurnEvent, { type: Type }>

const user: TurnCredentials = { username: 'alice', password: 'secret' }
const users = { alice: 'secret' }
const ends: (() => unknown)[] = []

beforeEach((context) => {
  if (coturnMissing === undefined) return
  if (process.env['CI'] === 'true') throw new Error(coturnMissing)
  context.skip(coturnMissing)
})

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A client on a real socket and a real clock. */
class Runner {
  readonly client: TurnClient
  /** What it has signed with. */
  readonly nonces: Set<string> = new Set()
  readonly #write: (bytes: Uint8Array) => void
  readonly #events: TurnEvent[] = []
  #timer: NodeJS.Timeout | undefined
  #wake: () => void = () => undefined

  constructor(transport: Transport, credentials: TurnCredentials, write: (bytes: Uint8Array) => void) {
    const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0.5 }
    this.#write = write
    this.client = new TurnClient({
      crypto: nodeCrypto,
      random,
      longTermKey: nodeLongTermKey,
      transport: transport === 'udp' ? 'udp' : 'stream',
      credentials: () => credentials,
      keepaliveMs: 1000,
    })
    ends.push(() => clearTimeout(this.#timer))
  }

  do<Result>(input: (now: number) => Result): Result {
    const result = input(performance.now())
    for (let out = this.client.pollTransmit(); out; out = this.client.pollTransmit()) {
      this.#write(out)
      if (isChannelData(out[0] ?? 0)) continue
      const nonce = findAttribute(decodeMessage(out), TurnAttributeType.Nonce)
      if (nonce !== undefined) this.nonces.add(Buffer.from(nonce).toString('hex'))
    }
    for (let event = this.client.pollEvent(); event; event = this.client.pollEvent()) this.#events.push(event)
    clearTimeout(this.#timer)
    const at = this.client.pollTimeout()
    if (at !== undefined) {
      const wake = (): void => this.do((now) => this.client.handleTimeout(now))
      this.#timer = setTimeout(wake, Math.max(0, at - performance.now()))
    }
    this.#wake()
    return result
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  async next<Type extends TurnEvent['type']>(type: Type): Promise<EventOf<Type>> {
    for (;;) {
      const at = this.#events.findIndex((event) => event.type === type)
      if (at >= 0) return this.#events.splice(at, 1)[0] as EventOf<Type>
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async permit(address: string): Promise<void> {
    this.do((now) => this.client.permit(now, [address]))
    await this.next('permitted')
  }
}

async function server(options: Parameters<typeof startCoturn>[0]): Promise<Coturn> {
  const coturn = await startCoturn(options)
  ends.push(() => coturn.close())
  return coturn
}

async function run(coturn: Coturn, transport: Transport = 'udp', credentials = user): Promise<Runner> {
  if (transport !== 'udp') {
    const ca = coturn.certificates && readFileSync(coturn.certificates.ca, 'utf8')
    const stream = await openStreamTransport({
      host: '127.0.0.1',
      port: coturn.port,
      ...(ca !== undefined && { tls: { ca } }),
    })
    ends.push(() => stream.close())
    const runner = new Runner(transport, credentials, (bytes) => stream.send(bytes, mayDrop(bytes)))
    stream.onBytes((bytes) => runner.do((now) => runner.client.handleBytes(now, bytes)))
    stream.onClosed((reason) => runner.do((now) => runner.client.handleClosed(now, reason)))
    runner.do((now) => runner.client.start(now))
    return runner
  }
  const socket = await udpSocket()
  const runner = new Runner('udp', credentials, (bytes) => socket.send(bytes, coturn.port, '127.0.0.1'))
  socket.on('message', (bytes) => runner.do((now) => runner.client.handleBytes(now, bytes)))
  runner.do((now) => runner.client.start(now))
  return runner
}

async function udpSocket(): Promise<ReturnType<typeof createSocket>> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  ends.push(() => socket.close())
  return socket
}

async function exchange(from: Runner, to: Runner, peer: SocketAddress, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    // Lengths that need padding, and that do not.
    const bytes = new Uint8Array(index + 1).fill(index)
    expect(from.do((now) => from.client.send(now, peer, bytes))).toBe(true)
    expect(Uint8Array.from((await to.next('data')).bytes)).toEqual(bytes)
  }
}

describe.each(['udp', 'tcp', 'tls'] as const)('coturn over %s', (transport) => {
  it('relays between two clients, both ways, with nonces that go stale', async () => {
    const coturn = await server({ users, tls: transport === 'tls', args: ['--stale-nonce=1'] })
    const [first, second] = [await run(coturn, transport), await run(coturn, transport)]
    const relayed = [
      (await first.next('allocated')).relayed,
      (await second.next('allocated')).relayed,
    ] as const
    await first.permit('127.0.0.1')
    await second.permit('127.0.0.1')
    await exchange(first, second, relayed[1], 12)
    await exchange(second, first, relayed[0], 12)
    await first.until(() => first.nonces.size >= 3)
    await exchange(first, second, relayed[1], 4)
    first.do((now) => first.client.close(now))
    await first.next('closed')
    expect(first.client.counters).toMatchObject({ malformed: 0, unauthentic: 0 })
  })
})

describe('coturn', () => {
  it.each([
    ['a wrong password', { users }, { ...user, password: 'wrong' }],
    ['expired credentials', { secret: 's' }, restCredentials(nodeCrypto, 's', 'bob', 1_600_000_000)],
  ])('refuses %s for good', async (_, options, credentials) => {
    const runner = await run(await server(options), 'udp', credentials)
    expect(await runner.next('failed')).toMatchObject({ code: 'turn-unauthorized', status: 401, final: true })
  })

  it('takes credentials made from a secret', async () => {
    const credentials = restCredentials(nodeCrypto, 's', 'bob', Date.now() / 1000 + 600)
    await (await run(await server({ secret: 's' }), 'udp', credentials)).next('allocated')
  })

  it('is killed and started again: the allocation comes back by itself, and the permission', async () => {
    const coturn = await server({ users })
    const runner = await run(coturn)
    await runner.next('allocated')
    await runner.permit('127.0.0.1')
    await coturn.stop()
    await coturn.start()
    await runner.next('lost')
    await runner.next('allocated')
    await runner.next('permitted')
  })

  it('has a certificate that is not trusted', async () => {
    const { port } = await server({ users, tls: true })
    await expect(openStreamTransport({ host: '127.0.0.1', port, tls: {} })).rejects.toMatchObject({
      code: 'turn-certificate',
    })
    await expect(openStreamTransport({ host: '127.0.0.1', port: 1 })).rejects.toThrow(/refused/)
  })
})
