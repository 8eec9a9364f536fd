import { etcdTraits } from '../../src/adapters/etcd/traits.js'
import { etcdMissing, startEtcd } from '../servers/etcd.js'
import { etcdFixture } from './etcd-fixture.js'
import { testSignallingAdapter } from './signalling-adapter.js'

const common = { traits: etcdTraits, canHang: true, missing: etcdMissing }
const login = { username: 'alice', password: 'correct horse' }

testSignallingAdapter({
  ...common,
  name: 'etcd',
  start: async () => etcdFixture(await startEtcd()),
})

testSignallingAdapter({
  ...common,
  name: 'etcd over TLS, with user and password',
  smoke: true,
  start: async () => {
    const server = await startEtcd({ tls: true, users: [{ ...login, access: ['readwrite gonet/'] }] })
    const { ca } = server.certificates ?? {}
    return etcdFixture(server, { ...login, scheme: 'https', ca })
  },
})

testSignallingAdapter({
  ...common,
  name: 'etcd over TLS, with certificates on both sides',
  smoke: true,
  start: async () => {
    const server = await startEtcd({ tls: true, args: ['--client-cert-auth'] })
    return etcdFixture(server, { ...server.clientCertificate('alice'), scheme: 'https' })
  },
})
