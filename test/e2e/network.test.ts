/** Programs of the system's in a room: by network interfaces, the built command and real programs. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ipCommand } from '../../src/node/network/ip-command.js'
import { TunInterface } from '../../src/node/network/tun-interface.js'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { startBroker } from './broker.js'
import { complaints, type Running, Workbench } from './workbench.js'

const missing = missingForLab('setpriv', 'unshare', 'nsenter')

/** Addresses of documentation (RFC 5737): no test may reach beyond its namespaces. */
const [HostLink, GuestLink] = ['192.0.2.1', '192.0.2.2']

/** Answers at every address of the machine. */
const Server = `require('node:http').createServer((request, response) => response.end('x'.repeat(2_000_000)))
  .listen(8080, '::', () => console.log('listening'))`
const Client = `fetch(process.argv[1]).then((response) => response.text()).then((text) => console.log(text.length))`
/** Says goodbye in the guest's name, as gonet itself would. */
const Forger = `const socket = require('node:dgram').createSocket('udp6')
socket.bind(4242, () => socket.send(Buffer.of(4), 4242, process.argv[1], () => socket.close()))`

let lab: Lab
let bench: Workbench
let hosts: Namespace
let guests: Namespace

describe.skipIf(missing.length > 0)('in mode tun', () => {
  let url: string

  beforeAll(async () => {
    lab = new Lab()
    bench = new Workbench()
    const [host, guest] = await Promise.all([lab.namespace('host'), lab.namespace('guest')])
    ;[hosts, guests] = [host, guest]
    await lab.link('wan0', [hosts, `${HostLink}/24`], [guests, `${GuestLink}/24`])
    const broker = under(hosts, 'serve', 'mqtt', '--listen', `${HostLink}:0`, '--json')
    ;({ url } = JSON.parse(await broker.line(/"serving"/)) as { url: string })
  }, 30_000)
  afterAll(async () => {
    await bench.close()
    await lab.close()
  })

  it('programs of host and guest reach each other, and do not speak for gonet', async () => {
    const host = start(hosts, 'host', 'create')
    const { room, address } = await host.next('room')
    const first = start(guests, 'alice', 'join', room)
    const joined = await first.next('joined')
    expect(await addressesIn(guests)).toContain(joined.address)
    first.signal('SIGKILL')
    await first.finished
    expect(await addressesIn(guests)).toBe('')
    const guest = start(guests, 'alice', 'join', room)
    expect((await guest.next('joined')).address).toBe(joined.address)
    const [six] = (await addressesIn(hosts)).match(/fd[0-9a-f:]+/) ?? []
    await serve(hosts)
    for (const name of [address, `[${six}]`]) {
      const length = await guests.run(process.execPath, '-e', Client, `http://${name}:8080/`)
      expect(length).toBe('2000000\n')
    }
    await guests.run(process.execPath, '-e', Forger, String(six))
    guest.type('still here')
    expect(await host.next('message')).toMatchObject({ text: 'still here' })
    expect(host.events.filter((event) => event.event === 'member' && event.state === 'left')).toEqual([])
    guest.end()
    expect((await guest.finished).code).toBe(0)
    expect(await addressesIn(guests)).toBe('')
    await hosts.run('ip', 'link', 'delete', 'gonet0')
    const { code, stderr } = await host.finished
    expect([code, complaints(stderr)]).toEqual([
      2,
      ['gonet: Somebody has removed the network interface gonet0.'],
    ])
  }, 40_000)

  it('says what it lacks, in one line', async () => {
    await hosts.run('ip', 'tuntap', 'add', 'dev', 'gonet0', 'mode', 'tun')
    const taken = await start(hosts, 'host', 'create').finished
    expect([taken.code, complaints(taken.stderr)]).toEqual([
      2,
      [expect.stringMatching(/^gonet: There is a network interface gonet0 already\. .*network\.interface/)],
    ])
    const powerless = [
      'ip',
      'netns',
      'exec',
      guests.name,
      'setpriv',
      '--bounding-set=-all',
      '--inh-caps=-all',
    ]
    const forbidden = await bench.startUnder(powerless, ...common('host'), 'create').finished
    expect([forbidden.code, complaints(forbidden.stderr)]).toEqual([
      2,
      [expect.stringMatching(/^gonet: The network interface gonet0 needs CAP_NET_ADMIN\. .*sudo/)],
    ])
  }, 20_000)

  it('leaves out a network that is used here, or is not for private use', async () => {
    const device = { close: () => undefined } as never
    const options = { device, ip: ipCommand(['ip', 'netns', 'exec', guests.name]), mtu: 1280 }
    await guests.run('ip', 'tuntap', 'add', 'dev', 'gonet5', 'mode', 'tun')
    const network = new TunInterface({ ...options, name: 'gonet5' })
    const six = { address: 'fd00:1::2', prefixLength: 64 }
    const configure = async (address: string, prefixLength: number): Promise<readonly string[]> =>
      (await network.configure([{ address, prefixLength }, six])).map(({ code }) => code)
    expect(await configure('192.0.2.9', 16)).toEqual(['subnet-public'])
    await guests.run('ip', 'route', 'add', '10.9.8.0/24', 'via', HostLink)
    expect(await configure('10.9.0.2', 16)).toEqual(['subnet-collision'])
    expect(network.leadsTo('10.9.0.1')).toBe(false)
    expect(await configure('10.8.0.2', 16)).toEqual([])
    expect(network.leadsTo('10.8.255.1')).toBe(true)
    expect(network.leadsTo('fd00:1::7')).toBe(true)
    expect(network.leadsTo(HostLink)).toBe(false)
  })

  function start(namespace: Namespace, name: string, ...args: readonly string[]): Running {
    return under(namespace, ...common(name), ...args)
  }

  function common(name: string): string[] {
    const settings = [
      `adapters.mqtt.url=${url}`,
      'transport.stun=[]',
      'transport.portMapping=false',
      'network.mode=tun',
    ]
    const options = ['--json', '--signal', 'mqtt', '--name', name, '--state', name]
    return [...options, ...settings.flatMap((each) => ['--set', each])]
  }
})

describe.skipIf(missing.length > 0)('in mode namespace', () => {
  beforeAll(() => {
    bench = new Workbench()
  })
  afterAll(() => bench.close())

  it('programs run in the network of the room, and nowhere else', async () => {
    const { url } = await startBroker(bench)
    const start = (name: string, ...args: readonly string[]): Running => {
      const settings = ['--set', `adapters.mqtt.url=${url}`, '--set', 'network.mode=namespace']
      return bench.start('--json', '--signal', 'mqtt', '--name', name, '--state', name, ...settings, ...args)
    }
    const host = start('host', 'create')
    const { room, address } = await host.next('room')
    const guest = start('alice', 'join', room)
    await guest.next('joined')
    const server = bench.start('--state', 'host', 'exec', '--', process.execPath, '-e', Server)
    await server.line(/listening/)
    const fetching = [process.execPath, '-e', Client, `http://${address}:8080/`]
    expect(await bench.run(['--state', 'alice', 'exec', '--', ...fetching])).toMatchObject({
      code: 0,
      stdout: '2000000\n',
    })
    server.signal('SIGTERM')
    expect((await server.finished).code).toBe(143)
    const script = 'ip -brief address show up; echo to stderr >&2; exit 7'
    const { code, stdout, stderr } = await bench.run(['--state', 'alice', 'shell'], script)
    expect([code, stderr]).toEqual([7, 'to stderr\n'])
    expect(stdout.split('\n').map((line) => line.split(' ')[0])).toEqual(['lo', 'gonet0', ''])
    const inside = bench.start('--state', 'alice', 'exec', '--', 'sh', '-c', 'echo $$; exec sleep 60')
    const pid = await inside.line(/^\d+$/)
    const interfaces = (): string => readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    expect(interfaces()).toContain('gonet0')
    guest.signal('SIGKILL')
    await guest.finished
    expect(interfaces()).not.toContain('gonet0')
    inside.signal('SIGTERM')
    expect((await inside.finished).code).toBe(143)
    const gone = await bench.run(['--state', 'alice', 'exec', '--', 'true'])
    expect([gone.code, complaints(gone.stderr)]).toEqual([
      2,
      [expect.stringMatching(/^gonet: No room runs from /)],
    ])
  }, 40_000)
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

function under(namespace: Namespace, ...args: readonly string[]): Running {
  return bench.startUnder(['ip', 'netns', 'exec', namespace.name], ...args)
}

/** As `ip` lists them; empty where there is no interface. */
function addressesIn(namespace: Namespace): Promise<string> {
  return namespace.run('ip', '-brief', 'address', 'show', 'dev', 'gonet0').catch(() => '')
}

async function serve(namespace: Namespace): Promise<void> {
  const server = namespace.spawn(process.execPath, ['-e', Server], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => server.stdout!.once('data', resolve))
}
