/** etcd adapters for tests, each behind a line of its own that can be cut. */
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type EtcdOptions, etcd } from '../../src/adapters/etcd/definition.js'
import type { Logger } from '../../src/core/ports.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { startTcpRelay, type TcpRelay } from '../servers/tcp-relay.js'
import type { TestServer } from '../servers/test-server.js'
import type { AdapterFixture } from './signalling-adapter.js'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export function etcdContext(
  onState: AdapterContext['onState'],
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

export interface EtcdFixtureOptions extends Partial<Omit<EtcdOptions, 'endpoints'>> {
  readonly scheme?: 'http' | 'https'
}

/** @param options what differs from the defaults */
export function etcdFixture(
  server: TestServer,
  { scheme = 'http', ...options }: EtcdFixtureOptions = {},
): AdapterFixture {
  const relays: TcpRelay[] = []
  return {
    create: async (onState) => {
      const relay = await startTcpRelay(server.port)
      relays.push(relay)
      const endpoints = [`${scheme}://127.0.0.1:${relay.port}`]
      const chosen = { prefix: 'gonet', readable: false, ...options, endpoints }
      const adapter = await etcd.create(chosen, etcdContext(onState))
      const die = async (): Promise<void> => {
        await relay.close()
        await adapter.close()
      }
      return { adapter, die }
    },
    backend: {
      stop: () => server.stop(),
      start: () => server.start(),
      hang: () => {
        for (const relay of relays) relay.stall()
        return Promise.resolve()
      },
    },
    close: async () => {
      await Promise.all(relays.map((relay) => relay.close()))
      await server.close()
    },
  }
}
