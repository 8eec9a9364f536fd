/** `gonet doctor` against servers that work, servers that do not, a router that forwards ports, and a host. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Lab, missingForLab, type Namespace } from '../lab/namespace.js'
import { type Coturn, coturnMissing, startCoturn } from '../servers/coturn.js'
import { freePort } from '../servers/free-port.js'
import { Miniupnpd } from '../servers/miniupnpd.js'
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../servers/mosquitto.js'
import { type Finished, Workbench } from './workbench.js'

const missing = [coturnMissing, mosquittoMissing].filter((each) => each !== undefined)
const missingInLab = missingForLab('nft', 'sysctl', 'mosquitto', 'miniupnpd', 'ss')
const Password = 'correct-horse-battery'
const Wrong = 'wrong-horse-battery'

interface Check {
  readonly what: string
  readonly state: 'ok' | 'warn' | 'fail' | 'skipped'
  readonly detail: string
  readonly code?: string
  readonly advice?: string
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>
}

/** What it says with `--json`, by what it looks at. */
function read({ stdout, stderr }: Finished) {
  try {
    const { ok, checks } = JSON.parse(stdout) as { readonly ok: boolean; readonly checks: readonly Check[] }
    return { ok, checks: Object.fromEntries(checks.map((check) => [check.what, check])) }
  } catch {
    throw new Error(`no JSON: ${stdout}\n${stderr}`)
  }
}

let bench: Workbench

describe.skipIf(missing.length > 0)('gonet doctor', () => {
  let broker: Mosquitto
  let turn: Coturn
  let secure: Coturn
  beforeAll(async () => {
    // With one allocation a user: what is not freed keeps the next one out.
    const users = { alice: Password }
    ;[broker, turn, secure] = await Promise.all([
      startMosquitto(),
      startCoturn({ users, args: ['--user-quota=1'] }),
      startCoturn({ users, tls: true }),
    ])
  }, 30_000)
  afterAll(() => Promise.all([broker.close(), turn.close(), secure.close()]))
  beforeEach(() => {
    bench = new Workbench()
  })
  afterEach(() => bench.close())

  const mqtt = (port = broker.port): string[] => [
    ...['--signal', 'mqtt', '--set', `adapters.mqtt.url=mqtt://127.0.0.1:${port}`],
    ...['--set', 'transport.stun=[]'],
  ]
  const server = (url: string, credential: string, more = ''): string =>
    `{url: "${url}", username: alice, credential: ${credential}${more}}`
  const doctor = (...args: readonly string[]): Promise<Finished> =>
    bench.run(['doctor', '--json', '--state', 'state', ...args])

  it('says that a broker is up, and shows a record', async () => {
    const finished = await doctor(...mqtt())
    const { ok, checks } = read(finished)
    expect(checks['backend mqtt']).toMatchObject({
      state: 'ok',
      detail: expect.stringMatching(/^up in \d.*; a record is read back in \d/) as string,
    })
    expect(checks['IPv4']).toMatchObject({ facts: { udp: true } })
    expect(checks['port mapping']).toMatchObject({ state: 'skipped' })
    expect(checks['state folder']).toMatchObject({ state: 'ok' })
    expect({ ok, code: finished.code, stderr: finished.stderr }).toEqual({ ok: true, code: 0, stderr: '' })
    expect(existsSync(join(bench.folder, 'state'))).toBe(false)
  })

  it('fails with 3 where no backend answers, and warns where another does', async () => {
    const dead = await freePort()
    const alone = await doctor(...mqtt(dead))
    expect(read(alone).checks['backend mqtt']).toMatchObject({
      state: 'fail',
      code: 'no-backend',
      detail: expect.stringMatching(/refused/i) as string,
      advice: expect.stringContaining('--signal') as string,
    })
    expect(alone.code).toBe(3)
    const etcd = ['--signal', 'etcd', '--set', `adapters.etcd.endpoints=http://127.0.0.1:${dead}`]
    const both = await doctor(...mqtt(), ...etcd)
    expect(read(both).checks).toMatchObject({
      'backend mqtt': { state: 'ok' },
      'backend etcd': { state: 'warn' },
    })
    expect(both.code).toBe(0)
  })

  it('has a TURN server give a relay over UDP and TCP, and frees it', async () => {
    for (const transport of ['udp', 'tcp', 'udp', 'tcp']) {
      const url = `turn:127.0.0.1:${turn.port}?transport=${transport}`
      const check = async (): Promise<Check | undefined> => {
        const finished = await doctor(...mqtt(), '--set', `transport.turn=[${server(url, Password)}]`)
        expect(finished.stdout + finished.stderr).not.toContain(Password)
        return read(finished).checks[`TURN server ${url}`]
      }
      // coturn takes up to a second to count what was freed; what was not counts for ten minutes.
      const until = performance.now() + 4000
      let found = await check()
      while (found?.detail.includes('quota') === true && performance.now() < until) found = await check()
      expect(found).toMatchObject({
        state: 'ok',
        facts: { transport, relayed: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string },
      })
    }
  }, 40_000)

  it('has one give a relay over TLS, where its certificate is vouched for', async () => {
    const url = `turns:localhost:${secure.port}`
    const ca = `, ca: "${secure.certificates?.ca ?? ''}"`
    const good = await doctor(...mqtt(), '--set', `transport.turn=[${server(url, Password, ca)}]`)
    expect(read(good).checks[`TURN server ${url}`]).toMatchObject({
      state: 'ok',
      facts: { transport: 'tls' },
    })
    const bad = await doctor(...mqtt(), '--set', `transport.turn=[${server(url, Password)}]`)
    expect(read(bad).checks[`TURN server ${url}`]).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining('certificate') as string,
      advice: expect.stringMatching(/\bca\b/) as string,
    })
  })

  it('says why one gives none: a wrong password, nobody there, nobody who answers', async () => {
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    try {
      const wrong = `turn:127.0.0.1:${turn.port}`
      const dead = `turn:127.0.0.1:${await freePort()}?transport=tcp`
      const mute = `turn:127.0.0.1:${silent.address().port}`
      const servers = [server(wrong, Wrong), server(dead, Password), server(mute, Password)]
      const set = ['--set', `transport.turn=[${servers.join(', ')}]`]
      const finished = await doctor(...mqtt(), ...set, '--verbose')
      expect(read(finished).checks).toMatchObject({
        [`TURN server ${wrong}`]: {
          state: 'warn',
          detail: expect.stringMatching(/^wrong credentials/) as string,
        },
        [`TURN server ${dead}`]: { state: 'warn', detail: expect.stringContaining('refused') as string },
        [`TURN server ${mute}`]: { state: 'warn', detail: 'no relay in 5 s over UDP' },
      })
      expect(finished.code).toBe(0)
      expect(finished.stdout + finished.stderr).not.toMatch(/horse/)
      const needed = await doctor(
        ...mqtt(),
        '--set',
        `transport.turn=[${servers[0] ?? ''}]`,
        '--set',
        'transport.policy=relay',
      )
      expect(read(needed).checks['relays']).toMatchObject({ state: 'fail', code: 'no-path' })
      expect(needed.code).toBe(6)
    } finally {
      silent.close()
    }
  }, 30_000)

  it('asks the STUN servers, and tells from that what paths there will be', async () => {
    const good = `127.0.0.1:${turn.port}`
    const set = (server: string): string[] => [...mqtt(), '--set', `transport.stun=["${server}"]`]
    const open = read(await doctor(...set(good)))
    expect(open.checks).toMatchObject({
      [`STUN server ${good}`]: { state: 'ok' },
      'NAT over IPv4': { state: 'ok', facts: { mapping: 'none' } },
      'path to open': { state: 'ok', detail: 'direct' },
      'path to symmetric, random ports': { state: 'ok', detail: 'direct by search' },
      'path to blocked': { state: 'warn', advice: expect.stringContaining('transport.turn') as string },
    })
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const bad = `127.0.0.1:${silent.address().port}`
    const blocked = await doctor(...set(bad))
    silent.close()
    expect(read(blocked).checks).toMatchObject({
      [`STUN server ${bad}`]: { state: 'warn', detail: 'does not answer' },
      'NAT over IPv4': { state: 'warn' },
      'path to open': { state: 'warn', facts: { outcome: 'relay over tcp' } },
    })
    expect(blocked.code).toBe(0)
  }, 40_000)

  it('prints a line for each check in a pipe, and can be interrupted', async () => {
    const plain = await bench.run(['doctor', '--state', 'state', ...mqtt()])
    expect(plain.stdout).toMatch(/^ok backend mqtt: up in /m)
    expect(plain.stdout.trimEnd().split('\n')).toSatisfy((lines: string[]) =>
      lines.every((line) => /^(ok|warn|fail|skipped) \S.*: ./.test(line)),
    )
    const silent = createSocket('udp4').bind(0, '127.0.0.1')
    await once(silent, 'listening')
    const asked = once(silent, 'message')
    const url = `turn:127.0.0.1:${silent.address().port}`
    const running = bench.start(
      'doctor',
      '--json',
      ...mqtt(),
      '--set',
      `transport.turn=[${server(url, Password)}]`,
    )
    await asked
    running.signal('SIGINT')
    const { code, stdout } = await running.finished
    silent.close()
    expect(JSON.parse(stdout)).toMatchObject({ code: 'interrupted' })
    expect(code).toBe(130)
  })

  it('visits a room: its host sees a guest come and go, and nothing else', async () => {
    const host = bench.start('create', '--json', '--name', 'host', '--state', 'host', ...mqtt())
    const { room } = await host.next('room')
    const finished = await doctor(...mqtt(), '--name', 'visitor', room)
    expect(read(finished).checks).toMatchObject({
      'room: signalling': { state: 'ok', facts: { adapter: 'mqtt' } },
      'room: join': { state: 'ok', facts: { host: 'host' } },
      'room: path': { state: 'ok', facts: { kind: 'host', rttMs: expect.any(Number) as number } },
    })
    expect(finished.code).toBe(0)
    await host.next('member', ({ state, name }) => state === 'left' && name === 'visitor')
    expect(host.events.filter(({ event }) => event === 'message')).toEqual([])
    // Whoever only looks trusts nobody for later.
    expect(existsSync(join(bench.folder, 'state', 'joined', room, 'data'))).toBe(false)
  })

  it('does not send what waits to be sent', async () => {
    const create = ['create', '--json', '--name', 'host', '--state', 'host', ...mqtt()]
    const join = ['join', '--json', '--name', 'guest', '--state', 'state', ...mqtt()]
    const first = bench.start(...create)
    const { room } = await first.next('room')
    const guest = bench.start(...join, room)
    await guest.next('joined')
    await first.kill()
    guest.type('for later')
    guest.end()
    expect((await guest.finished).code).toBe(8)
    const host = bench.start(...create)
    await host.next('room')
    const finished = await doctor(...mqtt(), room)
    expect(read(finished).checks['room: join']).toMatchObject({ state: 'ok' })
    await host.next('member', ({ state }) => state === 'left')
    expect(host.events.filter(({ event }) => event === 'message')).toEqual([])
    bench.start(...join, room)
    expect(await host.next('message')).toMatchObject({ text: 'for later' })
  }, 60_000)

  it('says why a room cannot be visited', async () => {
    const finished = await doctor(...mqtt(), '--timeout', '2', 'cf83-e135-7eef-b8bd-f154')
    expect(read(finished).checks['room']).toMatchObject({ state: 'fail', code: 'room-not-found' })
    expect(finished.code).toBe(4)
  })
})

describe.skipIf(missingInLab.length > 0)('gonet doctor behind a router that forwards ports', () => {
  // Not of documentation: miniupnpd refuses those. Nothing leaves the namespaces.
  const [Broker, External] = ['11.0.0.2', '11.0.0.1']
  let lab: Lab
  let router: Miniupnpd
  let inside: Record<'internet' | 'router' | 'client', Namespace>
  beforeEach(async () => {
    bench = new Workbench()
    lab = new Lab()
    const labels = ['internet', 'router', 'client'] as const
    const spaces = await Promise.all(
      labels.map(async (label) => [label, await lab.namespace(label)] as const),
    )
    inside = Object.fromEntries(spaces) as typeof inside
    await lab.link('wan0', [inside.router, `${External}/24`], [inside.internet, `${Broker}/24`])
    await lab.link('lan0', [inside.router, '10.0.0.1/24'], [inside.client, '10.0.0.2/24'])
    await inside.router.run('sysctl', '-qw', 'net.ipv4.ip_forward=1')
    await inside.router.run('ip', 'route', 'add', 'default', 'via', Broker)
    await inside.client.run('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
    const config = join(bench.folder, 'mosquitto.conf')
    writeFileSync(config, `listener 1883 ${Broker}\nallow_anonymous true\npersistence false\nuser root\n`)
    inside.internet.spawn('mosquitto', ['-c', config], { stdio: 'ignore' })
    const until = performance.now() + 20_000
    while (!(await inside.internet.run('ss', '-H', '-lnt')).includes(`${Broker}:1883`)) {
      if (performance.now() > until) throw new Error('the broker does not listen')
    }
  }, 60_000)
  afterEach(async () => {
    await bench.close()
    await lab.close()
    router.close()
  })

  it.each([
    ['PCP', { pcp: true, upnp: false }],
    ['UPnP-IGD', { pcp: false, upnp: true }],
  ])(
    'finds that it does by %s, and gives the port back',
    async (protocol, protocols) => {
      router = await Miniupnpd.start({ namespace: inside.router, ...protocols })
      const { code, checks } = await diagnosed()
      expect(checks['IPv4']).toMatchObject({
        state: 'ok',
        facts: { addresses: '10.0.0.2', gateway: '10.0.0.1' },
      })
      expect(checks['backend mqtt']).toMatchObject({ state: 'ok' })
      expect(checks['port mapping']).toMatchObject({
        state: 'ok',
        facts: { protocol, external: expect.stringMatching(/^11\.0\.0\.1:\d+$/) as string },
      })
      expect(code).toBe(0)
      expect(await router.mappings()).toEqual([])
    },
    40_000,
  )

  it('warns where it does not', async () => {
    router = await Miniupnpd.start({ namespace: inside.router, pcp: true, upnp: false })
    await router.kill()
    const { code, checks } = await diagnosed()
    expect(checks['port mapping']).toMatchObject({
      state: 'warn',
      detail: expect.stringContaining('10.0.0.1 (lan0) forwards no port') as string,
    })
    expect(code).toBe(0)
  }, 40_000)

  async function diagnosed() {
    const settings = [`adapters.mqtt.url=mqtt://${Broker}:1883`, 'transport.stun=[]']
    const set = settings.flatMap((each) => ['--set', each])
    const under = ['ip', 'netns', 'exec', inside.client.name]
    const finished = await bench.startUnder(under, 'doctor', '--json', '--signal', 'mqtt', ...set).finished
    return { ...read(finished), code: finished.code }
  }
})

if (process.env['CI'] === 'true' && missing.length + missingInLab.length > 0) {
  it('has what it needs', () => expect.fail(`missing: ${[...missing, ...missingInLab].join(', ')}`))
}
