/**
 * A host behind a router that forwards ports when asked (miniupnpd), a guest behind a symmetric NAT, and no STUN
 * server: nothing but the mapping leads to the host.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { Miniupnpd } from '../servers/miniupnpd.js'
import { type Running, Workbench } from './workbench.js'

const missing = missingForLab('nft', 'sysctl', 'mosquitto', 'miniupnpd', 'ss')

/** Not of documentation: miniupnpd refuses those. Nothing leaves the namespaces. */
const Broker = '11.0.0.2'
const External = '11.0.0.1'

let lab: Lab
let bench: Workbench
let router: Miniupnpd
let inside: Record<'internet' | 'router' | 'host' | 'nat' | 'guest', Namespace>

describe.skipIf(missing.length > 0)('a host behind a router that forwards ports', () => {
  beforeEach(async () => {
    lab = new Lab()
    bench = new Workbench()
    const labels = ['internet', 'router', 'host', 'nat', 'guest'] as const
    const spaces = await Promise.all(
      labels.map(async (label) => [label, await lab.namespace(label)] as const),
    )
    inside = Object.fromEntries(spaces) as typeof inside
    await lab.link('wan0', [inside.router, `${External}/24`], [inside.internet, `${Broker}/24`])
    await lab.link('lan0', [inside.router, '10.0.0.1/24'], [inside.host, '10.0.0.2/24'])
    await lab.link('wan1', [inside.nat, '11.0.1.1/24'], [inside.internet, '11.0.1.2/24'])
    await lab.link('lan1', [inside.nat, '10.0.0.1/24'], [inside.guest, '10.0.0.3/24'])
    for (const each of [inside.internet, inside.router, inside.nat])
      await each.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await inside.router.run('ip', 'route', 'add', 'default', 'via', Broker)
    await inside.nat.run('ip', 'route', 'add', 'default', 'via', '11.0.1.2')
    for (const each of [inside.host, inside.guest])
      await each.run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
    await inside.nat.run(
      'nft',
      'table ip nat { chain post { type nat hook postrouting priority 100; oifname "wan1" masquerade random,fully-random; }; }',
    )
    await startBroker()
  }, 60_000)
  afterEach(async () => {
    await bench.close()
    await lab.close()
    router.close()
  })

  it.each([
    ['PCP', { pcp: true, upnp: false }],
    ['UPnP', { pcp: false, upnp: true }],
  ])(
    'is reached by %s, and takes the mapping back on leaving',
    async (_, protocols) => {
      router = await Miniupnpd.start({ namespace: inside.router, ...protocols })
      const host = start(inside.host, 'host', 'create')
      const { room } = await host.next('room')
      await mapped(1)
      const guest = start(inside.guest, 'alice', 'join', room)
      await guest.next('joined')
      const path = guest.events.find((event) => event.event === 'path')
      expect(path).toMatchObject({ kind: 'mapped' })
      expect(path?.remote).toMatch(new RegExp(`^${External}:\\d+$`))
      guest.type('through the mapping')
      expect(await host.next('message')).toMatchObject({ from: 'alice', text: 'through the mapping' })
      guest.end()
      expect((await guest.finished).code).toBe(0)
      host.child.kill('SIGTERM')
      expect((await host.finished).code).toBe(0)
      await mapped(0)
    },
    60_000,
  )
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

/** Resolves when the router forwards so many ports. */
async function mapped(count: number): Promise<void> {
  const until = performance.now() + 20_000
  for (let found = -1; found !== count; found = (await router.mappings()).length) {
    if (performance.now() > until) throw new Error(`the router never had ${count} mappings, but ${found}`)
  }
}

function start(namespace: Namespace, name: string, ...args: readonly string[]): Running {
  const settings = [`adapters.mqtt.url=mqtt://${Broker}:1883`, 'transport.stun=[]']
  const common = ['--json', '--signal', 'mqtt', '--name', name, '--state', name]
  const set = settings.flatMap((setting) => ['--set', setting])
  return bench.startUnder(['ip', 'netns', 'exec', namespace.name], ...common, ...set, ...args)
}

async function startBroker(): Promise<void> {
  const config = join(bench.folder, 'mosquitto.conf')
  writeFileSync(config, `listener 1883 ${Broker}\nallow_anonymous true\npersistence false\nuser root\n`)
  const broker = inside.internet.spawn('mosquitto', ['-c', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  broker.stderr!.resume()
  const until = performance.now() + 20_000
  while (!(await inside.internet.run('ss', '-H', '-lnt')).includes(`${Broker}:1883`)) {
    if (performance.now() > until) throw new Error('the broker does not listen')
  }
}
