/** Against coturn, on loopback. */

import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '../../src/core/errors.js'
import type { SocketAddress } from '../../src/core/machine.js'
import { nodeCrypto } from '../../src/node/crypto.js'
import { nodeLongTermKey } from '../../src/node/long-term-key.js'
import { openStreamTransport } from '../../src/node/stream-transport.js'
import { decodeMessage, encodeMessage, findAttribute } from '../../src/transports/stun/message.js'
import type { TurnCredentials } from '../../src/transports/turn/authentication.js'
import { encodeChannelData, isChannelData } from '../../src/transports/turn/channel-data.js'
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
  /** Where its bytes go. */
  write: (bytes: Uint8Array) => void
  readonly #events: TurnEvent[] = []
  #timer: NodeJS.Timeout | undefined
  #wake: () => void = () => undefined

  constructor(transport: Transport, credentials: TurnCredentials, write: (bytes: Uint8Array) => void) {
    const random = { bytes: (length: number) => new Uint8Array(randomBytes(length)), fraction: () => 0.5 }
    this.write = write
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
      this.write(out)
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

  has(wanted: TurnEvent['type']): boolean {
    return this.#events.some(({ type }) => type === wanted)
  }

  /** The first event of one of these types. */
  async next<Type extends TurnEvent['type']>(...types: readonly Type[]): Promise<EventOf<Type>> {
    for (;;) {
      const at = this.#events.findIndex(({ type }) => (types as readonly string[]).includes(type))
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
  const runner = new Runner(transport, credentials, () => undefined)
  if (transport === 'udp') await useUdp(runner, coturn.port)
  else await useStream(runner, coturn)
  runner.do((now) => runner.client.start(now))
  return runner
}

async function useUdp(runner: Runner, port: number): Promise<void> {
  const socket = await udpSocket()
  runner.write = (bytes) => socket.send(bytes, port, '127.0.0.1')
  socket.on('message', (bytes) => runner.do((now) => runner.client.handleBytes(now, bytes)))
}

async function useStream(runner: Runner, coturn: Coturn): Promise<void> {
  const stream = await openStreamTransport({
    host: '127.0.0.1',
    port: coturn.port,
    ...(coturn.certificates !== undefined && { tls: { ca: caOf(coturn) } }),
  })
  ends.push(() => stream.close())
  runner.write = (bytes) => void stream.send(bytes, mayDrop(bytes))
  stream.onBytes((bytes) => runner.do((now) => runner.client.handleBytes(now, bytes)))
  stream.onClosed((reason) => runner.do((now) => runner.client.handleClosed(now, reason)))
}

function caOf(coturn: Coturn): string {
  return readFileSync(coturn.certificates!.ca, 'utf8')
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

  it('is killed and started again over TCP: a new stream, and the allocation is back', async () => {
    const coturn = await server({ users })
    const runner = await run(coturn, 'tcp')
    await runner.next('allocated')
    await runner.permit('127.0.0.1')
    await coturn.stop()
    expect(await runner.next('lost')).toMatchObject({ code: 'turn-stream' })
    await coturn.start()
    await runner.next('reconnect')
    await useStream(runner, coturn)
    runner.do((now) => runner.client.start(now))
    await runner.next('allocated')
    await runner.next('permitted')
  })

  it('relays between a client and a plain UDP peer, until the client says farewell', async () => {
    const runner = await run(await server({ users }))
    const { relayed } = await runner.next('allocated')
    const socket = await udpSocket()
    const peer = socket.address()
    await runner.permit('127.0.0.1')
    for (let index = 0; index < 8; index++) {
      const sent = Buffer.from(`to the peer ${index}`)
      const arrived = once(socket, 'message')
      expect(runner.do((now) => runner.client.send(now, peer, sent))).toBe(true)
      const [bytes, from] = (await arrived) as [Buffer, SocketAddress]
      expect(bytes).toEqual(sent)
      expect([from.address, from.port]).toEqual([relayed.address, relayed.port])
      socket.send(`from the peer ${index}`, relayed.port, relayed.address)
      const data = await runner.next('data')
      expect(Buffer.from(data.bytes).toString()).toBe(`from the peer ${index}`)
      expect(data.peer).toEqual({ address: peer.address, port: peer.port })
    }
    runner.do((now) => runner.client.close(now))
    await runner.next('closed')
    // Coturn passes on what comes in the second after that, and the client takes none of it.
    const late = createSocket('udp4')
    ends.push(() => late.close())
    late.connect(relayed.port, relayed.address)
    await once(late, 'connect')
    // A connected socket is told where nobody listens any more.
    const refused = once(late, 'error').then(([error]) => (error as NodeJS.ErrnoException).code)
    for (let code: string | undefined; code === undefined; ) {
      const before = runner.client.counters.unexpected
      late.send('too late')
      const passedOn = runner.until(() => runner.client.counters.unexpected > before)
      code = await Promise.race([refused, passedOn.then(() => undefined)])
      expect(code ?? 'ECONNREFUSED').toBe('ECONNREFUSED')
    }
    expect(runner.has('data')).toBe(false)
  })

  it('sends a client on to another server', async () => {
    const second = await server({ users })
    const first = await server({ users, args: [`--alternate-server=127.0.0.1:${second.port}`] })
    const runner = await run(first)
    const redirect = await runner.next('redirect')
    expect(redirect).toEqual({
      type: 'redirect',
      server: { address: '127.0.0.1', port: second.port },
      domain: undefined,
    })
    await useUdp(runner, redirect.server.port)
    runner.do((now) => runner.client.start(now))
    await runner.next('allocated')
  })

  it.each([
    ['a user has enough', ['--user-quota=1'], 'turn-quota', 486],
    ['it has no port left', ['--min-port=49152', '--max-port=49152'], 'turn-capacity', 508],
  ])('says so soon where %s', async (_, args, code, status) => {
    const coturn = await server({ users, args })
    const failures: unknown[] = []
    for (let index = 0; index < 3 && failures.length === 0; index++) {
      const runner = await run(coturn)
      const begun = performance.now()
      const event = await runner.next('allocated', 'failed')
      if (event.type === 'failed') failures.push(event)
      expect(performance.now() - begun).toBeLessThan(5000)
    }
    expect(failures).toMatchObject([{ code, status, final: false }])
  })
})

describe('a stream to coturn', () => {
  it('is not opened where the certificate is not trusted, or for another name', async () => {
    const coturn = await server({ users, tls: true })
    const { port } = coturn
    const open = (tls: { servername?: string; ca?: string }): Promise<unknown> =>
      openStreamTransport({ host: '127.0.0.1', port, tls })
    await expect(open({})).rejects.toMatchObject({ code: 'turn-certificate' })
    for (const servername of ['turn.example.org', '127.0.0.2']) {
      await expect(open({ servername, ca: caOf(coturn) })).rejects.toMatchObject({
        code: 'turn-certificate',
        message: expect.stringMatching(/another name$/) as string,
      })
    }
    await expect(openStreamTransport({ host: '127.0.0.1', port: 1 })).rejects.toThrow(/refused/)
  })

  it('is the user’s mistake where the authority’s certificate is none', async () => {
    const coturn = await server({ users, tls: true })
    const pem = caOf(coturn)
    const key = readFileSync(coturn.certificates!.key, 'utf8')
    const broken = pem.replace(/\n[^-]{20}/, '\nAAAAAAAAAAAAAAAAAAAA')
    for (const ca of ['', 'turn.pem', key, broken, `${pem}${key}`, `${pem}-----BEGIN CERTIFICATE-----\n`]) {
      const failure: unknown = await openStreamTransport({
        host: '127.0.0.1',
        port: coturn.port,
        tls: { ca },
      }).catch((error: unknown) => error)
      expect(failure).toBeInstanceOf(UsageError)
      expect(failure).toMatchObject({
        code: 'turn-ca',
        message: 'The certificate authority for the TURN server 127.0.0.1 is not a certificate in PEM form',
      })
    }
    const stream = await openStreamTransport({
      host: '127.0.0.1',
      port: coturn.port,
      tls: { ca: `# ours\n${pem}${pem}` },
    })
    stream.close()
  })

  it('that does not answer times out, or is aborted', async () => {
    const coturn = await server({ users, tls: true })
    coturn.freeze()
    const options = { host: '127.0.0.1', port: coturn.port, tls: { ca: caOf(coturn) } }
    await expect(openStreamTransport({ ...options, timeoutMs: 50 })).rejects.toMatchObject({
      code: 'turn-connection',
      message: expect.stringMatching(/timed out$/) as string,
    })
    const abort = new AbortController()
    const opening = openStreamTransport({ ...options, signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(opening).rejects.toThrow('enough')
    await expect(openStreamTransport({ ...options, signal: abort.signal })).rejects.toThrow('enough')
  })

  it('that reads nothing drops data, but no request, and ends when there are too many', async () => {
    const coturn = await server({ users })
    const stream = await openStreamTransport({ host: '127.0.0.1', port: coturn.port })
    ends.push(() => stream.close())
    coturn.freeze()
    const closed = new Promise<string>((resolve) => stream.onClosed(resolve))
    const data = encodeChannelData(0x4000, new Uint8Array(60_000), true)
    const request = encodeMessage({
      class: 'request',
      method: 4,
      transactionId: new Uint8Array(12),
      attributes: [{ type: 0x8022, value: new Uint8Array(60_000) }],
    })
    const sendAll = (bytes: Uint8Array): number => {
      for (let count = 0; count < 1000; count++) if (!stream.send(bytes, mayDrop(bytes))) return count
      return 1000
    }
    // What the system takes is passed on after the call: until it takes no more, some is sent each time.
    for (let sent = sendAll(data); sent > 0; sent = sendAll(data)) await setImmediate()
    expect(stream.send(data, mayDrop(data))).toBe(false)
    expect(stream.send(request, mayDrop(request))).toBe(true)
    expect(sendAll(request)).toBeLessThan(20)
    expect(await closed).toBe('the server reads nothing')
    expect(stream.send(request, mayDrop(request))).toBe(false)
  })
})
