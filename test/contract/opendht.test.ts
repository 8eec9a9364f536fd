import { opendhtTraits } from '../../src/adapters/opendht/traits.js'
import { dhtnodeMissing, startDhtnode } from '../servers/dhtnode.js'
import { opendhtFixture } from './opendht-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

const dhtnode = { traits: opendhtTraits, missing: dhtnodeMissing, canHang: true, keepsDeadBeacons: true }

testSignallingAdapter({
  ...dhtnode,
  name: 'opendht with two nodes',
  start: async () => opendhtFixture(await startDhtnode()),
})

testSignallingAdapter({
  ...dhtnode,
  name: 'opendht with a node that is alone, over TLS',
  smoke: true,
  start: async () => opendhtFixture(await startDhtnode({ nodes: 1, tls: true })),
})
