/** DHT adapters for tests, all in one DHT on this machine. */

import type { AdapterContext } from '../../src/adapters/adapter-definition.js'
import { DhtAdapter } from '../../src/adapters/dht/adapter.js'
import type { DhtNode } from '../../src/adapters/dht/node.js'
import type { Logger } from '../../src/core/ports.js'
import { systemClock, systemRandom } from '../../src/node/clock.js'
import type { DhtTestnet } from '../servers/dht-testnet.js'
import type { AdapterFixture } from './signalling-adapter.js'

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export function dhtContext(
  onState: AdapterContext['onState'],
  overrides: Partial<AdapterContext> = {},
): AdapterContext {
  return { onState, clock: systemClock, random: systemRandom, logger: silent, ...overrides }
}

/** @param options `connects`: false where peers meet by mailboxes alone */
export function dhtFixture(
  testnet: DhtTestnet,
  { connects = true }: { readonly connects?: boolean } = {},
): AdapterFixture {
  return {
    create: (onState) => {
      let node: DhtNode | undefined
      const onNode = (started: DhtNode): void => {
        node = started
      }
      const options = { bootstrap: [testnet.bootstrap], port: 0 }
      const adapter = new DhtAdapter(options, dhtContext(onState), { connects, onNode })
      const die = async (): Promise<void> => {
        await node?.close()
        await adapter.close()
      }
      return Promise.resolve({ adapter, die })
    },
    backend: {
      stop: () => testnet.stop(),
      start: () => testnet.start(),
      hang: () => {
        testnet.hang()
        return Promise.resolve()
      },
    },
    close: () => testnet.close(),
  }
}
