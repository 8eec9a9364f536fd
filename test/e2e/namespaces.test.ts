/**
 * A host and a guest on machines of their own: network namespaces, the guest behind a real NAT, mosquitto and
 * coturn's STUN server between them. Nothing is on loopback here.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { type Running, Workbench } from './workbench.js'

const missing = missingForLab('nft', 'sysctl', 'mosquitto', 'turnserver')

/** Addresses of documentation (RFC 5737): no test may reach beyond its namespaces. */
const Broker = '192.0.2.1'
const Host = '192.0.2.9'
const Router = '203.0.113.2'

let lab: Lab
let bench: Workbench
let inside: Record<'internet' | 'host' | 'router' | 'guest', Namespace>

describe.skipIf(missing.length > 0)('a host and a guest behind a NAT', () => {
  beforeEach(async () => {
    lab = new Lab()
    bench = new Workbench()
    const [internet, host, router, guest] = await Promise.all(
      ['internet', 'host', 'router', 'guest'].map((label) => lab.namespace(label)),
    )
    inside = { internet: internet!, host: host!, router: router!, guest: guest! }
    await lab.link('wan0', [inside.internet, `${Broker}/29`], [inside.router, `${Router}/29`])
    await inside.internet.run('ip', 'address', 'add', '203.0.113.1/29', 'dev', 'wan0')
    await lab.link('wan1', [inside.internet, '192.0.2.8/29'], [inside.host, `${Host}/29`])
    await lab.link('lan0', [inside.router, '10.0.0.1/24'], [inside.guest, '10.0.0.2/24'])
    for (const each of [inside.internet, inside.router])
      await each.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await inside.router.run('ip', 'route', 'add', 'default', 'via', '203.0.113.1')
    await inside.host.run('ip', 'route', 'add', 'default', 'via', '192.0.2.8')
    await inside.guest.run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
    const rules =
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan0" masquerade; }; }'
    await inside.router.run('nft', rules)
    await startServers()
  }, 60_000)
  afterEach(async () => {
    await bench.close()
    await lab.close()
  })

  it('meet over the broker, find a path through the NAT, and chat', async () => {
    const host = start(inside.host, 'host', 'create')
    const { room } = await host.next('room')
    const guest = start(inside.guest, 'alice', 'join', room)
    await guest.next('joined')
    const { kind, remote } = await host.next('path')
    expect(remote).toMatch(new RegExp(`^${Router}:\\d+$`))
    expect(['srflx', 'prflx']).toContain(kind)
    expect(guest.events.find(({ event }) => event === 'path')).toMatchObject({ kind: 'host' })
    guest.type('from behind the NAT')
    expect(await host.next('message')).toMatchObject({ from: 'alice', text: 'from behind the NAT' })
    host.type('from outside')
    expect(await guest.next('message')).toMatchObject({ from: 'host', text: 'from outside' })
    guest.end()
    expect((await guest.finished).code).toBe(0)
  }, 60_000)

  it('say so where no UDP passes between them', async () => {
    const rules = `table ip filter { chain forward { type filter hook forward priority 0; ip daddr ${Host} udp dport 1-65535 drop; }; }`
    await inside.internet.run('nft', rules)
    const host = start(inside.host, 'host', 'create')
    const { room } = await host.next('room')
    const guest = start(inside.guest, 'alice', '--timeout', '5', 'join', room)
    guest.end()
    const { code, stderr } = await guest.finished
    expect(code).toBe(6)
    expect(stderr).toMatch(/^gonet: [^\n]*no path/m)
  }, 60_000)
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

function start(namespace: Namespace, name: string, ...args: readonly string[]): Running {
  const settings = [
    `adapters.mqtt.url=mqtt://${Broker}:1883`,
    `transport.stun=[${Broker}:3478, 203.0.113.1:3478]`,
  ].flatMap((setting) => ['--set', setting])
  const common = ['--json', '--signal', 'mqtt', '--name', name, '--state', name, ...settings]
  return bench.startUnder(['ip', 'netns', 'exec', namespace.name], ...common, ...args)
}

async function startServers(): Promise<void> {
  const config = join(bench.folder, 'mosquitto.conf')
  writeFileSync(config, `listener 1883 ${Broker}\nallow_anonymous true\npersistence false\nuser root\n`)
  const broker = inside.internet.spawn('mosquitto', ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const addresses = [Broker, '203.0.113.1'].flatMap((address) => ['-L', address])
  const files = ['--pidfile', join(bench.folder, 'turnserver.pid'), '--log-file', 'stdout', '--simple-log']
  const options = ['-n', '--stun-only', '--no-cli', '--no-tls', '--no-dtls', ...files, ...addresses]
  const stun = inside.internet.spawn('turnserver', options, { stdio: ['ignore', 'pipe', 'ignore'] })
  broker.stderr!.resume()
  stun.stdout!.resume()
  await listening(inside.internet, '-lnt', `${Broker}:1883`)
  await listening(inside.internet, '-lnu', `${Broker}:3478`)
}

/** Resolves when a socket is bound there, as `ss` lists it. */
async function listening(namespace: Namespace, kind: '-lnt' | '-lnu', address: string): Promise<void> {
  const until = performance.now() + 20_000
  while (!(await namespace.run('ss', '-H', kind)).includes(address)) {
    if (performance.now() > until) throw new Error(`nobody listens at ${address}`)
  }
}
