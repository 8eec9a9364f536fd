import { dnsTraits } from '../../src/adapters/dns/traits.js'
import { bindMissing, startBind, startBindResolver } from '../servers/bind.js'
import { knotMissing, startKnot } from '../servers/knot.js'
import { startUnbound, unboundMissing } from '../servers/unbound.js'
import { testKey, tunnelFixture, updateFixture, zone } from './dns-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

testSignallingAdapter({
  name: 'dns by updates of bind9, two keys',
  traits: dnsTraits,
  expires: true,
  canHang: true,
  keepsDeadBeacons: true,
  missing: bindMissing,
  start: async () => {
    const keys = [testKey('alice'), testKey('bob', 'hmac-sha512')]
    return updateFixture(await startBind({ zone, keys }), keys)
  },
})

testSignallingAdapter({
  name: 'dns by updates of knot',
  traits: dnsTraits,
  expires: true,
  canHang: true,
  keepsDeadBeacons: true,
  smoke: true,
  missing: knotMissing,
  start: async () => {
    const keys = [testKey('alice'), testKey('bob')]
    return updateFixture(await startKnot({ zone, keys }), keys)
  },
})

testSignallingAdapter({
  name: 'dns through unbound, with names letter by letter and in a random case',
  traits: dnsTraits,
  expires: true,
  canHang: true,
  keepsDeadBeacons: true,
  missing: unboundMissing,
  start: () => tunnelFixture(startUnbound),
})

testSignallingAdapter({
  name: 'dns through bind9',
  traits: dnsTraits,
  expires: true,
  canHang: true,
  keepsDeadBeacons: true,
  smoke: true,
  missing: bindMissing,
  start: () => tunnelFixture(startBindResolver),
})
