/** Each backend that users can choose, with a server of its own and the options that lead to it. */
import { randomBytes } from 'node:crypto'
import { bepastyMissing, startBepasty } from './bepasty.js'
import { bindMissing, startBind } from './bind.js'
import { startDhtTestnet } from './dht-testnet.js'
import { dhtnodeMissing, startDhtnode } from './dhtnode.js'
import { etcdMissing, startEtcd } from './etcd.js'
import { freePort } from './free-port.js'
import { mosquittoMissing, startMosquitto } from './mosquitto.js'
import { startPastebinFixture } from './pastebin-fixture.js'
import type { TestServer } from './test-server.js'
import { startUnbound, unboundMissing } from './unbound.js'

export interface Backend {
  /** What `--signal` calls it. */
  readonly signal: string
  /** Values for `--set`, the same for host and guest. */
  readonly settings: readonly string[]
  /** Kills its server; it stays down until it is started again. */
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** How to have each of them, and why it cannot be had here. */
export const Backends: Readonly<
  Record<string, { start: () => Promise<Backend>; missing: string | undefined }>
> = {
  mqtt: { start: startMqtt, missing: mosquittoMissing },
  dht: { start: startDht, missing: undefined },
  opendht: { start: startOpenDht, missing: dhtnodeMissing },
  'dns update': { start: startDnsUpdate, missing: bindMissing },
  'dns serve, behind unbound': { start: startDnsServe, missing: unboundMissing },
  etcd: { start: startEtcdBackend, missing: etcdMissing },
  'pastebin, bepasty': { start: startBepastyBackend, missing: bepastyMissing },
  'pastebin, a fixture of pastebin.com': { start: startPastebin, missing: undefined },
}

function backendOf(
  signal: string,
  server: Pick<TestServer, 'stop' | 'start' | 'close'>,
  settings: readonly string[],
): Backend {
  return {
    signal,
    settings,
    stop: () => server.stop(),
    start: () => server.start(),
    close: () => server.close(),
  }
}

async function startMqtt(): Promise<Backend> {
  const server = await startMosquitto()
  const settings = [`adapters.mqtt.url=mqtt://127.0.0.1:${server.port}`]
  return backendOf('mqtt', server, settings)
}

async function startDht(): Promise<Backend> {
  const testnet = await startDhtTestnet()
  const settings = [`adapters.dht.bootstrap=${testnet.bootstrap}`]
  return backendOf('dht', testnet, settings)
}

async function startOpenDht(): Promise<Backend> {
  const server = await startDhtnode()
  const settings = [`adapters.opendht.proxy=http://127.0.0.1:${server.ports[0]}`]
  return backendOf('opendht', server, settings)
}

async function startDnsUpdate(): Promise<Backend> {
  const zone = 'gonet.test'
  const secret = randomBytes(32).toString('base64')
  const server = await startBind({ zone, keys: [{ name: 'both', algorithm: 'hmac-sha256', secret }] })
  const settings = [
    'adapters.dns.mode=update',
    `adapters.dns.zone=${zone}`,
    `adapters.dns.server=127.0.0.1:${server.port}`,
    `adapters.dns.tsig={name: both, secret: "${secret}"}`,
  ]
  return backendOf('dns', server, settings)
}

/** The host answers for the zone, and both read through unbound. */
async function startDnsServe(): Promise<Backend> {
  const zone = 'gonet.test'
  const port = await freePort()
  const resolver = await startUnbound(zone, port)
  const settings = [
    'adapters.dns.mode=serve',
    `adapters.dns.zone=${zone}`,
    `adapters.dns.listen=127.0.0.1:${port}`,
    `adapters.dns.resolver=127.0.0.1:${resolver.port}`,
  ]
  return backendOf('dns', resolver, settings)
}

async function startEtcdBackend(): Promise<Backend> {
  const server = await startEtcd()
  const settings = [`adapters.etcd.endpoints=${server.url}`]
  return backendOf('etcd', server, settings)
}

async function startBepastyBackend(): Promise<Backend> {
  const server = await startBepasty({ permissions: { secret: 'list,create,read,delete' } })
  const settings = [
    'adapters.pastebin.dialect=bepasty',
    `adapters.pastebin.url=http://127.0.0.1:${server.port}`,
    'adapters.pastebin.password=secret',
    'adapters.pastebin.pollSeconds=1',
  ]
  return backendOf('pastebin', server, settings)
}

async function startPastebin(): Promise<Backend> {
  const server = await startPastebinFixture()
  const settings = [
    `adapters.pastebin.url=http://127.0.0.1:${server.port}`,
    `adapters.pastebin.apiKey=${server.apiKey}`,
    `adapters.pastebin.userKey=${server.userKey}`,
    'adapters.pastebin.pollSeconds=1',
  ]
  return backendOf('pastebin', server, settings)
}
