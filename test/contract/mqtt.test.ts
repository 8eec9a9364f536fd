import { mqttTraits } from '../../src/adapters/mqtt/traits.js'
import { startAedes } from '../servers/aedes.js'
import { mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { mqttFixture } from './mqtt-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

const mosquitto = { traits: mqttTraits, missing: mosquittoMissing, expires: true, canHang: true }

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto',
  start: async () => mqttFixture(await startMosquitto()),
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto, user, password and ACL',
  start: async () => {
    const login = { username: 'alice', password: 'correct horse' }
    const server = await startMosquitto({
      users: [{ ...login, access: ['topic readwrite rooms/of/gonet/#'] }],
    })
    return mqttFixture(server, { ...login, prefix: 'rooms/of/gonet' })
  },
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over TLS',
  start: async () => {
    const server = await startMosquitto({ tls: true })
    return mqttFixture(server, { ca: server.certificates?.ca }, 'mqtts')
  },
})

testSignallingAdapter({
  traits: mqttTraits,
  canHang: true,
  name: 'mqtt 3.1.1 with aedes',
  start: async () => mqttFixture(await startAedes()),
})
