/** DNS adapters for tests. Every address is on 127.0.0.1. */
import { randomBytes } from 'node:crypto'
import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { type DnsOptions, dns } from '../../src/adapters/dns/definition.js'
import type { Logger } from '../../src/core/ports.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import { type DnsServer, serveDns } from '../../src/node/serve-dns.js'
import type { TestKey } from '../servers/bind.js'
import type { ChildServer } from '../servers/child-server.js'
import type { AdapterFixture } from './signalling-adapter.js'

export type StartResolver = (zone: string, zonePort: number) => Promise<ChildServer>

export const zone = 'gonet.test'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export function dnsContext(
  onState: AdapterContext['onState'],
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

export function testKey(name: string, algorithm: TestKey['algorithm'] = 'hmac-sha256'): TestKey {
  return { name, algorithm, secret: randomBytes(32).toString('base64') }
}

/** Adapters that update a zone, each with the next of these keys. */
export function updateFixture(server: ChildServer, keys: readonly TestKey[]): AdapterFixture {
  let count = 0
  return {
    create: async (onState) => {
      const tsig = keys[count++ % keys.length]
      const options: DnsOptions = { mode: 'update', zone, server: `127.0.0.1:${server.port}`, tsig }
      const adapter = await dns.create(options, dnsContext(onState))
      // What a server keeps does not depend on whoever put it there.
      return { adapter, die: () => adapter.close() }
    },
    backend: {
      stop: () => server.stop(),
      start: () => server.start(),
      hang: () => {
        server.freeze()
        return Promise.resolve()
      },
    },
    close: () => server.close(),
  }
}

/** Adapters that reach a server of ours through unbound, hosts and guests alike. */
export async function tunnelFixture(startResolver: StartResolver): Promise<AdapterFixture> {
  const listen = { address: '127.0.0.1', port: 0 }
  const start = (port = 0): Promise<DnsServer> =>
    serveDns({ zone, listen: { ...listen, port }, advertised: '127.0.0.1' })
  let server = await start()
  const { port } = server.address
  const resolver = await startResolver(zone, port)
  return {
    create: async (onState) => {
      const options: DnsOptions = { mode: 'serve', zone, resolver: [`127.0.0.1:${resolver.port}`] }
      const adapter = await dns.create(options, dnsContext(onState))
      // What a server keeps does not depend on whoever put it there.
      return { adapter, die: () => adapter.close() }
    },
    backend: {
      stop: async () => {
        await Promise.all([server.close(), resolver.stop()])
      },
      start: async () => {
        await server.close()
        server = await start(port)
        await resolver.start()
      },
      hang: () => {
        resolver.freeze()
        return Promise.resolve()
      },
    },
    close: async () => {
      await Promise.all([server.close(), resolver.close()])
    },
  }
}
