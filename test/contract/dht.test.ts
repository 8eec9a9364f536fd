import { dhtTraits } from '../../src/adapters/dht/traits.js'
import { serveDht } from '../../src/node/serve-dht.js'
import { startDhtTestnet } from '../servers/dht-testnet.js'
import { dhtFixture } from './dht-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

testSignallingAdapter({
  name: 'dht with a testnet of hyperdht',
  traits: dhtTraits,
  canHang: true,
  start: async () => dhtFixture(await startDhtTestnet()),
})

testSignallingAdapter({
  name: 'dht where no connection can be made',
  // A mailbox outlives the one who wrote it.
  traits: { ...dhtTraits, retracts: false },
  smoke: true,
  start: async () => dhtFixture(await startDhtTestnet(), { connects: false }),
})

testSignallingAdapter({
  name: 'dht with one node alone, that of `gonet serve dht`',
  traits: dhtTraits,
  smoke: true,
  start: async () => {
    let server = await serveDht({ address: '127.0.0.1', port: 0 })
    const { port } = server.address
    const stop = (): Promise<void> => server.close()
    return dhtFixture({
      port,
      bootstrap: `127.0.0.1:${port}`,
      stop,
      start: async () => {
        server = await serveDht({ address: '127.0.0.1', port })
      },
      hang: () => undefined,
      close: stop,
    })
  },
})
