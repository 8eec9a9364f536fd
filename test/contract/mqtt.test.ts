import { mqttTraits } from '../../src/adapters/mqtt/traits.js'
import { startAedes } from '../servers/aedes.js'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { mqttFixture } from './mqtt-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

const mosquitto = { traits: mqttTraits, missing: mosquittoMissing, canHang: true }
const login = { username: 'alice', password: 'correct horse' }
const ca = ({ certificates }: Mosquitto): string | undefined => certificates?.ca

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt 5 with mosquitto',
  expires: true,
  start: async () => mqttFixture(await startMosquitto()),
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt 3.1.1 with mosquitto',
  start: async () => mqttFixture(await startMosquitto(), { onlyOldMqtt: true }),
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over TLS, with user, password and ACL',
  expires: true,
  start: async () => {
    const users = [{ ...login, access: ['topic readwrite rooms/of/gonet/#'] }]
    const server = await startMosquitto({ tls: true, users })
    return mqttFixture(server, { ...login, scheme: 'mqtts', prefix: 'rooms/of/gonet', ca: ca(server) })
  },
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over wss, with certificates on both sides',
  expires: true,
  start: async () => {
    const server = await startMosquitto({ tls: true, webSockets: true, lines: ['require_certificate true'] })
    return mqttFixture(server, { ...server.clientCertificate('alice'), scheme: 'wss' })
  },
})

testSignallingAdapter({
  traits: mqttTraits,
  canHang: true,
  name: 'mqtt 3.1.1 with aedes',
  start: async () => mqttFixture(await startAedes()),
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over ws',
  smoke: true,
  start: async () => mqttFixture(await startMosquitto({ webSockets: true }), { scheme: 'ws' }),
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over wss, with user and password',
  smoke: true,
  start: async () => {
    const users = [{ ...login, access: ['topic readwrite gonet/#'] }]
    const server = await startMosquitto({ tls: true, webSockets: true, users })
    return mqttFixture(server, { ...login, scheme: 'wss', ca: ca(server) })
  },
})

testSignallingAdapter({
  ...mosquitto,
  name: 'mqtt with mosquitto over TLS, with certificates on both sides',
  smoke: true,
  start: async () => {
    const server = await startMosquitto({ tls: true, lines: ['require_certificate true'] })
    return mqttFixture(server, { ...server.clientCertificate('alice'), scheme: 'mqtts' })
  },
})
