import { pastebinTraits } from '../../src/adapters/pastebin/traits.js'
import { bepastyMissing, startBepasty } from '../servers/bepasty.js'
import { startPastebinFixture } from '../servers/pastebin-fixture.js'
import { pastebinFixture } from './pastebin-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

const suite = { traits: pastebinTraits, canHang: true, keepsDeadBeacons: true }
const password = 'correct horse'
const permissions = { [password]: 'list,create,read,delete' }

testSignallingAdapter({
  ...suite,
  name: 'pastebin with a bepasty server',
  missing: bepastyMissing,
  start: async () => pastebinFixture(await startBepasty({ permissions }), { dialect: 'bepasty', password }),
})

testSignallingAdapter({
  ...suite,
  name: 'pastebin with a bepasty server over TLS',
  missing: bepastyMissing,
  smoke: true,
  start: async () => {
    const server = await startBepasty({ permissions, tls: true })
    return pastebinFixture(server, { dialect: 'bepasty', password, tls: true, ca: server.certificates?.ca })
  },
})

testSignallingAdapter({
  ...suite,
  name: 'pastebin with a stand-in for pastebin.com',
  start: async () => {
    const server = await startPastebinFixture()
    return pastebinFixture(server, { apiKey: server.apiKey, userKey: server.userKey })
  },
})
