import { execFile } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { afterEach, describe, expect, it, onTestFinished } from 'vitest'
import { startStun } from '../../src/cli/commands/serve-stun.js'
import { UsageError } from '../../src/core/errors.js'
import { type StunServer, type StunServerLimits, serveStun } from '../../src/node/serve-stun.js'
import {
  priorityAttribute,
  readErrorCode,
  readUnknownAttributes,
  softwareAttribute,
} from '../../src/transports/stun/attributes.js'
import { readBindingSuccess } from '../../src/transports/stun/binding.js'
import { StunClient } from '../../src/transports/stun/client.js'
import { AttributeType, Binding } from '../../src/transports/stun/constants.js'
import {
  type Attribute,
  type DecodedMessage,
  decodeMessage,
  encodeMessage,
  findAttribute,
  type Message,
} from '../../src/transports/stun/message.js'
import { ManualClock } from '../contract/manual-clock.js'
import { SeededRandom } from '../sim/seeded-random.js'

const local = { address: '127.0.0.1', port: 0 }
const transactionId = Uint8Array.from({ length: 12 }, (_, index) => index)
const request = (attributes: readonly Attribute[] = [], over: Partial<Message> = {}): Uint8Array =>
  encodeMessage({ class: 'request', method: Binding, transactionId, attributes, ...over })
const strange = (type: number): Attribute => ({ type, value: new Uint8Array(0) })

let server: StunServer | undefined
afterEach(async () => {
  await server?.close()
  server = undefined
})

const serve = async (limits?: StunServerLimits, listen = local): Promise<StunServer> => {
  server = await serveStun(listen, limits)
  return server
}

interface Asker {
  readonly socket: Socket
  readonly answers: Buffer[]
  readonly send: (bytes: Uint8Array) => Promise<void>
}

/** @param from an address of 127.0.0.0/8, or ::1 */
async function asker({ address: to }: StunServer, from = '127.0.0.1'): Promise<Asker> {
  const socket = createSocket(from.includes(':') ? 'udp6' : 'udp4')
  onTestFinished(() => void socket.close())
  const answers: Buffer[] = []
  socket.on('message', (bytes) => answers.push(bytes))
  await new Promise<void>((resolve) => socket.bind(0, from, resolve))
  const host = to.address === '::' && !from.includes(':') ? '127.0.0.1' : to.address
  const send = (bytes: Uint8Array): Promise<void> =>
    new Promise((resolve) => {
      socket.send(bytes, to.port, host, () => {
        resolve()
      })
    })
  return { socket, answers, send }
}

async function answerTo(bytes: Uint8Array, running: StunServer): Promise<DecodedMessage> {
  const { answers, send } = await asker(running)
  await send(bytes)
  await expect.poll(() => answers).toHaveLength(1)
  return decodeMessage(answers[0]!)
}

describe('the STUN server', () => {
  it('says who it is and where it saw the asker', async () => {
    const running = await serve()
    const { answers, socket, send } = await asker(running)
    await send(request())
    await expect.poll(() => answers).toHaveLength(1)
    const answer = decodeMessage(answers[0]!)
    expect(answer).toMatchObject({ class: 'success', method: Binding, fingerprint: true })
    expect(new Uint8Array(answer.transactionId)).toEqual(transactionId)
    expect(readBindingSuccess(answer)).toEqual({ address: '127.0.0.1', port: socket.address().port })
    expect(String(findAttribute(answer, AttributeType.Software))).toBe('gonet')
    expect(running.counters.entries()).toEqual([['answered', 1]])
  })

  it('answers our own client', async () => {
    const running = await serve()
    const { answers, socket, send } = await asker(running)
    const client = new StunClient({ random: new SeededRandom('stun'), servers: [running.address] })
    client.start(0)
    await send(client.pollTransmit()!.bytes)
    await expect.poll(() => answers).toHaveLength(1)
    client.handleDatagram(1, running.address, answers[0]!)
    const mapped = { address: '127.0.0.1', port: socket.address().port }
    expect(client.pollEvent()).toEqual({ type: 'reflexive', server: running.address, mapped })
  })

  it('listens on IPv6, where IPv4 comes as what it is', async () => {
    const running = await serve({}, { address: '::', port: 0 })
    for (const from of ['127.0.0.1', '::1']) {
      const { answers, send } = await asker(running, from)
      await send(request())
      await expect.poll(() => answers).toHaveLength(1)
      expect(readBindingSuccess(decodeMessage(answers[0]!))?.address).toBe(from)
    }
  })

  it('refuses what must be understood and is not, and ignores what need not', async () => {
    const running = await serve()
    const refused = await answerTo(request([strange(0x7001), strange(0x9001), strange(0x0003)]), running)
    expect(refused.class).toBe('error')
    expect(readErrorCode(findAttribute(refused, AttributeType.ErrorCode)!)?.code).toBe(420)
    const named = readUnknownAttributes(findAttribute(refused, AttributeType.UnknownAttributes)!)
    expect(named).toEqual([0x7001, 0x0003])
    const fine = [strange(0x9001), softwareAttribute('a'), priorityAttribute(1)]
    expect((await answerTo(request(fine), running)).class).toBe('success')
  })

  it('never sends much more than it got', async () => {
    const running = await serve()
    for (const attributes of [
      [],
      [strange(0x7001)],
      Array.from({ length: 30 }, (_, index) => strange(0x7000 + index)),
    ]) {
      const { answers, send } = await asker(running)
      const bytes = request(attributes)
      await send(bytes)
      await expect.poll(() => answers).toHaveLength(1)
      expect(answers[0]!.length + 28).toBeLessThanOrEqual(2 * (bytes.length + 28))
    }
  })

  it('gives no answer to what is no question, and counts it', async () => {
    const running = await serve()
    const { answers, send } = await asker(running)
    await send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await send(request().subarray(0, 19))
    await send(new Uint8Array(0))
    for (const kind of ['success', 'error', 'indication'] as const) await send(request([], { class: kind }))
    await send(request([], { method: 3 }))
    await send(request())
    await expect.poll(() => answers).toHaveLength(1)
    expect(Object.fromEntries(running.counters.entries())).toEqual({
      malformed: 3,
      unexpected: 4,
      answered: 1,
    })
  })

  it('never fails for any bytes', async () => {
    const running = await serve({ answersPerSource: 100_000 })
    const { answers, send } = await asker(running)
    const wholes = fc
      .array(fc.record({ type: fc.nat(0xffff), value: fc.uint8Array({ maxLength: 30 }) }), { maxLength: 40 })
      .map((attributes) => request(attributes))
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 200 }), wholes), async (bytes) => {
        await send(bytes)
      }),
      { numRuns: 300 },
    )
    const before = answers.length
    await send(request())
    await expect.poll(() => answers.length).toBeGreaterThan(before)
  })

  it('answers a source so often, and others all the same', async () => {
    const clock = new ManualClock()
    const running = await serve({ clock, answersPerSource: 5 })
    const [greedy, modest] = [await asker(running), await asker(running, '127.0.0.2')]
    for (let index = 0; index < 20; index++) await greedy.send(request())
    await modest.send(request())
    await expect.poll(() => modest.answers).toHaveLength(1)
    expect(greedy.answers).toHaveLength(5)
    expect(running.counters.get('limited')).toBe(15)
    clock.advance(1000)
    await greedy.send(request())
    await expect.poll(() => greedy.answers).toHaveLength(6)
  })

  it('answers so many in all, and remembers so many sources', async () => {
    const running = await serve({
      clock: new ManualClock(),
      answersPerSecond: 10,
      answersPerSource: 1,
      maxSources: 2,
    })
    const askers = await Promise.all([2, 3, 4, 2].map((last) => asker(running, `127.0.0.${last}`)))
    for (const each of askers) {
      await each.send(request())
      await expect.poll(() => each.answers).toHaveLength(1)
    }
    for (let index = 5; index < 20; index++) await (await asker(running, `127.0.0.${index}`)).send(request())
    await expect.poll(() => running.counters.get('limited')).toBe(9)
  })

  it('refuses a port that is taken, and is closed twice', async () => {
    const running = await serve()
    await expect(serveStun(running.address)).rejects.toThrow(UsageError)
    await expect(serveStun(running.address)).rejects.toMatchObject({ code: 'listen-failed' })
    await Promise.all([running.close(), running.close()])
  })

  it('answers coturn’s client', async () => {
    const running = await serve()
    const args = ['-p', String(running.address.port), '127.0.0.1']
    const run = promisify(execFile)('turnutils_stunclient', args, { timeout: 10_000 })
    const output = await run.catch((error: unknown) => error as NodeJS.ErrnoException & { stdout: string })
    if ('code' in output && output.code === 'ENOENT' && process.env['CI'] !== 'true') return
    expect(output.stdout).toMatch(/127\.0\.0\.1:\d+/)
  }, 15_000)

  it('is what `gonet serve stun` runs', async () => {
    const running = await startStun(local)
    onTestFinished(() => running.close())
    expect(running.what).toMatch(/^a STUN server at 127\.0\.0\.1:\d+$/)
    expect(running.peerOptions).toEqual([`--set transport.stun=${running.details['address']!}`])
  })
})
