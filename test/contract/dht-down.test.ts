/** What is said where the DHT cannot be used, and what options are refused. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import * as z from 'zod/mini'
import { DhtAdapter } from '../../src/adapters/dht/adapter.js'
import { dht } from '../../src/adapters/dht/definition.js'
import { UsageError } from '../../src/core/errors.js'
import type { AdapterState } from '../../src/core/signalling-adapter.js'
import { serveDht } from '../../src/node/serve-dht.js'
import { dhtContext } from './dht-fixture.js'

const never = new AbortController().signal
const as = { role: 'host', topics: ['abcdefghijklmnopqrst'] } as const
let cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp()
  cleanUps = []
})

/** A UDP port that takes everything and answers nothing. */
async function silentPort(): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  cleanUps.push(() => socket.close())
  return { socket, port: socket.address().port }
}

function make(options: { bootstrap: string[]; port?: number }): {
  adapter: DhtAdapter
  states: AdapterState[]
} {
  const states: AdapterState[] = []
  const onState = (state: AdapterState): void => void states.push(state)
  const adapter = new DhtAdapter({ port: 0, ...options }, dhtContext(onState))
  cleanUps.push(() => adapter.close())
  return { adapter, states }
}

describe('dht', () => {
  it('says which nodes do not answer, and ends at once all the same', async () => {
    const [first, second] = [await silentPort(), await silentPort()]
    const bootstrap = [`127.0.0.1:${first.port}`, `localhost:${second.port}`]
    const { adapter, states } = make({ bootstrap })
    await adapter.open(as, never)
    await vi.waitFor(() => expect(states).toHaveLength(1), { timeout: 5000 })
    const words = 'no answer (a wrong address, or a firewall lets no UDP through)'
    expect(states[0]).toEqual({
      state: 'down',
      reason: `no node of the DHT answers: ${bootstrap.map((node) => `${node}: ${words}`).join('; ')}`,
    })
    const startedAt = performance.now()
    await adapter.close()
    expect(performance.now() - startedAt).toBeLessThan(1500)
  })

  it('does not lose its way where only one of several answers', async () => {
    const silent = await silentPort()
    const server = await serveDht({ address: '127.0.0.1', port: 0 })
    cleanUps.push(() => server.close())
    const { adapter, states } = make({
      bootstrap: [`127.0.0.1:${silent.port}`, `localhost:${server.address.port}`],
    })
    await adapter.open(as, never)
    await adapter.publish(
      { topic: as.topics[0], box: 'host', sender: 'a', bytes: new Uint8Array(3), expiresInMs: 60_000 },
      never,
    )
    expect(states).toEqual([{ state: 'up' }])
  })

  it('takes the port that it is given, or says that it cannot', async () => {
    const { socket, port } = await silentPort()
    const { adapter } = make({ bootstrap: ['127.0.0.1:1'], port })
    const refused = adapter.open(as, never)
    await expect(refused).rejects.toBeInstanceOf(UsageError)
    await expect(refused).rejects.toMatchObject({ code: 'dht-port' })
    await new Promise<void>((resolve) => {
      socket.close(resolve)
    })
    cleanUps = cleanUps.slice(1)
    await make({ bootstrap: ['127.0.0.1:1'], port }).adapter.open(as, never)
    await vi.waitFor(() => isTaken(port))
  })

  it.each([
    [{}, true],
    [{ bootstrap: ['a.example:1'], port: 49_737 }, true],
    [{ bootstrap: [] }, false],
    [{ bootstrap: ['a.example'] }, false],
    [{ bootstrap: ['[::1]:49737'] }, false],
    [{ port: 65_536 }, false],
    [{ port: -1 }, false],
    [{ nodes: [] }, false],
  ])('options %j: %s', (options, isFine) => {
    expect(z.safeParse(dht.options as z.ZodMiniType, options).success).toBe(isFine)
  })

  it('knows what is on this machine', () => {
    expect(dht.loopbackOnly({ bootstrap: ['127.0.0.1:1', 'localhost:2'], port: 0 })).toBe(true)
    expect(dht.loopbackOnly({ bootstrap: ['127.0.0.1:1', 'a.example:2'], port: 0 })).toBe(false)
    expect(dht.loopbackOnly({ bootstrap: ['wrong'], port: 0 })).toBe(false)
  })
})

describe('gonet serve dht', () => {
  it('says where it cannot listen', async () => {
    const { port } = await silentPort()
    await expect(serveDht({ address: '127.0.0.1', port })).rejects.toMatchObject({ code: 'listen-failed' })
    await expect(serveDht({ address: '::1', port: 0 })).rejects.toMatchObject({ code: 'listen-failed' })
  })

  it('ends once, and lets its port go', async () => {
    const server = await serveDht({ address: '127.0.0.1', port: 0 })
    await Promise.all([server.close(), server.close()])
    const again = await serveDht(server.address)
    expect(again.address).toEqual(server.address)
    await again.close()
  })
})

async function isTaken(port: number): Promise<void> {
  const socket = createSocket('udp4')
  try {
    socket.bind(port, '127.0.0.1')
    await expect(once(socket, 'listening')).rejects.toThrow(/EADDRINUSE/)
  } finally {
    socket.close()
  }
}
