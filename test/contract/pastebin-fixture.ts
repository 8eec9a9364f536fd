/** Paste site adapters for tests, each behind a line of its own that can be cut. */
import { type PastebinOptions, pastebin } from '../../src/adapters/pastebin/definition.js'
import { startTcpRelay, type TcpRelay } from '../servers/tcp-relay.js'
import type { TestServer } from '../servers/test-server.js'
import { hastyClock, httpContext } from './opendht-fixture.js'
import type { AdapterFixture } from './signalling-adapter.js'

/** @param options what differs from the defaults; `tls` for a server that speaks it */
export function pastebinFixture(
  server: TestServer,
  { tls = false, ...options }: Partial<Omit<PastebinOptions, 'url'>> & { readonly tls?: boolean },
): AdapterFixture {
  const relays: TcpRelay[] = []
  return {
    create: async (onState) => {
      const relay = await startTcpRelay(server.port)
      relays.push(relay)
      const url = `${tls ? 'https' : 'http'}://127.0.0.1:${relay.port}`
      // Time runs four times as fast, so that a list is asked for some three times in two seconds.
      const context = httpContext(onState, { clock: hastyClock(4) })
      const chosen = {
        dialect: 'pastebin',
        pollSeconds: 2.5,
        pastesPerDay: 100_000,
        ...options,
        url,
      } as const
      const adapter = await pastebin.create(chosen, context)
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
