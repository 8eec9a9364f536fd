/** OpenDHT adapters for tests, each behind a line of its own that can be cut. */
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { opendht } from '../../src/adapters/opendht/definition.js'
import type { Clock, Logger } from '../../src/core/ports.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import type { Dhtnode } from '../servers/dhtnode.js'
import { startTcpRelay, type TcpRelay } from '../servers/tcp-relay.js'
import type { AdapterFixture } from './signalling-adapter.js'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** A clock that runs so many times as fast as others. */
export function hastyClock(times: number): Clock {
  return {
    now: () => systemClock.now() * times,
    after: (delayMs, callback) => systemClock.after(delayMs / times, callback),
  }
}

export function httpContext(
  onState: AdapterContext['onState'],
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

export function opendhtFixture(server: Dhtnode): AdapterFixture {
  const relays: TcpRelay[] = []
  return {
    create: async (onState) => {
      // In turn, so that most records go from one node to another.
      const relay = await startTcpRelay(server.ports[relays.length % server.ports.length] ?? 0)
      relays.push(relay)
      const proxy = `${server.certificates === undefined ? 'http' : 'https'}://127.0.0.1:${relay.port}`
      const ca = server.certificates?.ca
      // Whether the proxy still answers is asked every 15 s, and silence is borne for 10 s.
      const context = httpContext(onState, { clock: hastyClock(4) })
      const adapter = await opendht.create({ proxy, ca }, context)
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
