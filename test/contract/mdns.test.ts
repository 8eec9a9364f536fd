import { mdnsTraits } from '../../src/adapters/mdns/traits.js'
import { mdnsFixture } from './mdns-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

testSignallingAdapter({
  name: 'mdns on loopback',
  traits: mdnsTraits,
  canHang: true,
  start: () => Promise.resolve(mdnsFixture()),
})
