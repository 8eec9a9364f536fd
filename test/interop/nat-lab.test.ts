/** That the lab's NATs are what they are called, by what the kernel does with plain UDP and TCP. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import type { SocketAddress } from '../../src/core/machine.js'
import { missingForLab } from '../lab/namespace.js'
import { type Access, NatLab, NatLabCommands, type NatType, NatTypes, Servers } from '../lab/nat.js'
import { LabServersCommands, startLabServers } from '../lab/servers.js'
import { type ProbeSocket, UdpProbe } from '../lab/udp-probe.js'

const run = promisify(execFile)
const missing = missingForLab(...NatLabCommands, ...LabServersCommands)
const [First, Second, Third] = Servers.ipv4

let lab: NatLab<'a'>
let inside: UdpProbe
let outside: UdpProbe
/** Two on one address, one on another. */
let servers: { first: ProbeSocket; otherPort: ProbeSocket; otherAddress: ProbeSocket }
let client: ProbeSocket
let sent = 0

describe.skipIf(missing.length > 0)('a lab of NATs', () => {
  afterEach(async () => {
    await lab.close()
  })

  /** mapping: one port for all destinations? filter: from whom an unsolicited packet comes through. */
  const behaviours: Readonly<
    Record<string, { mapping: 'none' | 'one' | 'many' | 'next'; passes: string[] }>
  > = {
    open: { mapping: 'none', passes: ['otherPort', 'otherAddress'] },
    firewall: { mapping: 'none', passes: [] },
    'full-cone': { mapping: 'one', passes: ['otherPort', 'otherAddress'] },
    restricted: { mapping: 'one', passes: ['otherPort'] },
    'port-restricted': { mapping: 'one', passes: [] },
    symmetric: { mapping: 'many', passes: [] },
    'symmetric-sequential': { mapping: 'next', passes: [] },
    cgnat: { mapping: 'one', passes: [] },
  }

  it.each(Object.entries(behaviours))('%s maps and filters as it should', async (type, expected) => {
    await open(type as NatType)
    const mapping = await mappingTowards(servers.first, First)
    expect(mapping.address).toBe(lab.publicAddress('a'))
    const passed = []
    for (const name of ['otherPort', 'otherAddress'] as const) {
      if (await passes(servers[name], mapping)) passed.push(name)
    }
    expect(passed).toEqual(expected.passes)
    const others = [
      await mappingTowards(servers.otherPort, First),
      await mappingTowards(servers.otherAddress, Second),
    ]
    if (expected.mapping === 'many')
      expect(new Set([mapping, ...others].map(({ port }) => port)).size).toBe(3)
    else if (expected.mapping === 'next')
      expect(others.map(({ port }) => port)).toEqual([mapping.port + 1, mapping.port + 2])
    else expect(others).toEqual([mapping, mapping])
    expect(lab.publicAddress('a') === (await addressInside())).toBe(expected.mapping === 'none')
    // Those that it has sent to are let in now, wherever they were mapped to.
    expect(await passes(servers.otherAddress, others[1]!)).toBe(true)
  })

  it('translates twice behind a carrier', async () => {
    await open('cgnat')
    const [home, carrier] = lab.routers('a')
    const address = (await home!.run('ip', '-4', '-o', 'address', 'show', 'dev', 'cgn0')).trim()
    expect(address).toMatch(/ inet 100\.64\./)
    expect(await carrier!.run('ip', '-4', '-o', 'address', 'show', 'dev', 'wan0')).toContain(
      lab.publicAddress('a'),
    )
  })

  it.each(['full-cone', 'port-restricted'] as const)('%s: hairpin or not', async (type) => {
    for (const hairpin of [true, false]) {
      await open({ type, hairpin })
      const mapping = await mappingTowards(servers.first, First)
      const neighbour = await inside.open()
      const seen = await mappingOf(neighbour, servers.first, First)
      neighbour.send('round the corner', mapping)
      expect(await passesAgain()).toBe(true)
      expect(client.has('round the corner')).toBe(hairpin)
      if (hairpin) expect(await client.receives('round the corner')).toEqual(seen)
      await lab.close()
    }
  })

  it('forgets mappings that are not used', async () => {
    await open({ type: 'port-restricted', udpTimeoutSeconds: 1 })
    const mapping = await mappingTowards(servers.first, First)
    expect(await passes(servers.first, mapping)).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 2100))
    await sendFromFirst('too late', mapping)
    expect(await passesAgain()).toBe(true)
    expect(client.has('too late')).toBe(false)
  })

  it.each(['firewall', 'full-cone', 'port-restricted', 'symmetric', 'cgnat'] as const)(
    '%s: flushed in the middle, nothing comes in until the client sends again',
    async (type) => {
      await open(type)
      const mapping = await mappingTowards(servers.first, First)
      expect(await passes(servers.first, mapping)).toBe(true)
      await lab.flush('a')
      await sendFromFirst('after the flush', mapping)
      expect(await passesAgain()).toBe(true)
      expect(client.has('after the flush')).toBe(false)
    },
  )

  it.each(['open', 'firewall', 'port-restricted', 'cgnat'] as const)(
    '%s: the public address changes',
    async (type) => {
      await open(type)
      const before = await mappingTowards(servers.first, First)
      const address = await lab.setPublicAddress('a')
      expect(address).not.toBe(before.address)
      expect(lab.publicAddress('a')).toBe(address)
      servers.first.send('to the old address', before)
      const after = await mappingTowards(servers.first, First)
      expect(after.address).toBe(address)
      expect(await passes(servers.first, after)).toBe(true)
      expect(client.has('to the old address')).toBe(false)
    },
  )

  it('takes a client to another network', async () => {
    await open('port-restricted')
    const before = await mappingTowards(servers.first, First)
    await lab.roam('a', 'symmetric')
    const after = await mappingTowards(servers.first, First)
    expect(after.address).not.toBe(before.address)
    expect(after.port).not.toBe((await mappingTowards(servers.otherPort, First)).port)
  })

  it.each(['drop', 'occupy'] as const)('early packets: %s', async (early) => {
    await open({ type: 'port-restricted', early })
    const mapping = await mappingTowards(servers.first, First)
    // Too early, and then the answer to it.
    expect(await passes(servers.otherAddress, mapping)).toBe(false)
    const answer = await mappingTowards(servers.otherAddress, Second)
    if (early === 'drop') expect(answer).toEqual(mapping)
    else expect(answer.port).not.toBe(mapping.port)
  })

  it('udp-blocked: TCP passes, UDP does not', async () => {
    await open('udp-blocked')
    expect(await tcp(First, 8080)).toBe(true)
    await udpIsBlocked()
  })

  it('tcp-443: TCP to port 443 passes, nothing else does', async () => {
    await open('tcp-443')
    expect(await tcp(First, 443)).toBe(true)
    expect(await tcp(First, 8080)).toBe(false)
    await udpIsBlocked()
  })

  it('tcp-443: has a broker and a TURN server on port 443', async () => {
    await open('tcp-443')
    const folder = mkdtempSync(join(tmpdir(), 'gonet-lab-servers-'))
    try {
      const { ca } = await startLabServers(lab.internet, folder)
      for (const address of [Second, Third]) {
        const line = `openssl s_client -brief -verify_return_error -CAfile ${ca} -connect ${address}:443 </dev/null 2>&1`
        expect(await lab.clients.a.shell(line)).toContain('Verification: OK')
      }
    } finally {
      await lab.close()
      rmSync(folder, { recursive: true, force: true })
    }
  }, 40_000)

  it.each(['firewall', 'open'] as const)('%s: a client with nothing but IPv6', async (type) => {
    await open({ type, family: 'ipv6' })
    expect(await lab.clients.a.run('ip', '-4', 'route')).toBe('')
    const [address, other] = Servers.ipv6
    const server = await outside.open(address)
    const stranger = await outside.open(other)
    const socket = await inside.open('::')
    const seen = await mappingOf(socket, server, address)
    expect(seen.port).toBe(socket.port)
    stranger.send('unsolicited', seen)
    server.send('answer', seen)
    await socket.receives('answer')
    expect(socket.has('unsolicited')).toBe(type === 'open')
  })

  it('has both families behind a NAT', async () => {
    await open({ type: 'symmetric', family: 'dual' })
    const server = await outside.open(Servers.ipv6[0])
    const socket = await inside.open('::')
    expect((await mappingOf(socket, server, Servers.ipv6[0])).port).toBe(socket.port)
    expect((await mappingTowards(servers.first, First)).port).not.toBe(client.port)
  })

  it('loses what it is told to lose, and no more than the rate passes', async () => {
    await openWith('open', { loss: 0.5, kilobitsPerSecond: 10_000 })
    for (let count = 0; count < 400; count += 1) client.send('some', at(servers.first, First))
    for (let count = 0; count < 30; count += 1) client.send('last', at(servers.first, First))
    await servers.first.receives('last')
    const some = servers.first.received.filter(({ text }) => text === 'some').length
    expect(some).toBeGreaterThan(120)
    expect(some).toBeLessThan(280)
    expect(await lab.internet.run('tc', 'qdisc', 'show', 'dev', 'wan0')).toContain('rate 10Mbit')
  })
})

describe.skipIf(missing.length > 0)('npm run lab', () => {
  afterEach(async () => {
    for (const { child } of scripts) child.kill('SIGTERM')
    await Promise.all(scripts.splice(0).map(({ ended }) => ended))
  })

  it('stands up, says what to do, and leaves nothing behind', async () => {
    const up = start('up', '--a', 'tcp-443', '--b', 'cgnat', '--loss', '0.01')
    await up.says('Ctrl-C')
    const [, folder] = /NODE_EXTRA_CA_CERTS=(\S+)\/ca\.pem/.exec(up.stdout)!
    expect(existsSync(folder!)).toBe(true)
    expect((await left(up)).length).toBe(6)
    up.child.kill('SIGINT')
    expect(await up.ended).toBe(0)
    expect(await left(up)).toEqual([])
    expect(existsSync(folder!)).toBe(false)
  }, 60_000)

  it('removes what a killed one has left, and nothing else', async () => {
    const [killed, running] = [start('up', '--a', 'open'), start('up')]
    await Promise.all([killed.says('Ctrl-C'), running.says('Ctrl-C')])
    killed.child.kill('SIGKILL')
    await killed.ended
    expect((await left(killed)).length).toBeGreaterThan(0)
    const down = start('down')
    expect(await down.ended).toBe(0)
    expect(await left(killed)).toEqual([])
    expect((await left(running)).length).toBeGreaterThan(0)
    running.child.kill('SIGTERM')
    expect(await running.ended).toBe(0)
    expect(await left(running)).toEqual([])
  }, 60_000)

  it.each([
    [[]],
    [['sideways']],
    [['up', '--a', 'conical']],
    [['up', '--loss', '2']],
    [['up', '--c', 'open']],
  ])('%j: one line, and exit code 2', async (args) => {
    const wrong = start(...args)
    expect(await wrong.ended).toBe(2)
    expect(wrong.stderr).toMatch(/^lab: [^\n]+\n$/)
    if (args.includes('conical')) expect(wrong.stderr).toContain(NatTypes.join(', '))
  })
})

const scripts: Script[] = []

interface Script {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  stdout: string
  stderr: string
  says(text: string): Promise<void>
}

function start(...args: readonly string[]): Script {
  const child = spawn(process.execPath, ['scripts/lab.mjs', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve))
  const says = async (text: string): Promise<void> => {
    while (!script.stdout.includes(text)) {
      if (child.exitCode !== null) throw new Error(`it ended: ${script.stderr}`)
      await Promise.race([once(child.stdout, 'data'), ended])
    }
  }
  const script: Script = { child, ended, stdout: '', stderr: '', says }
  scripts.push(script)
  child.stdout.on('data', (data) => (script.stdout += String(data)))
  child.stderr.on('data', (data) => (script.stderr += String(data)))
  return script
}

/** Its namespaces that are there. */
async function left({ child }: Script): Promise<string[]> {
  const { stdout } = await run('ip', ['netns', 'list'])
  return stdout.split('\n').filter((line) => line.startsWith(`gonet-${child.pid}-`))
}

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

function open(access: NatType | Access): Promise<void> {
  return openWith(access, {})
}

async function openWith(access: NatType | Access, options: Parameters<typeof NatLab.open>[1]): Promise<void> {
  lab = await NatLab.open({ a: access }, options)
  inside = new UdpProbe(lab.clients.a)
  outside = new UdpProbe(lab.internet)
  const [first, otherPort, otherAddress] = await Promise.all(
    [First, First, Second].map((address) => outside.open(address)),
  )
  servers = { first: first!, otherPort: otherPort!, otherAddress: otherAddress! }
  client = await inside.open()
}

function at({ port }: ProbeSocket, address: string): SocketAddress {
  return { address, port }
}

/** Where the client's packets to this server come from. */
function mappingTowards(server: ProbeSocket, address: string): Promise<SocketAddress> {
  return mappingOf(client, server, address)
}

async function mappingOf(socket: ProbeSocket, server: ProbeSocket, address: string): Promise<SocketAddress> {
  const text = `datagram ${sent++}`
  socket.send(text, at(server, address))
  return server.receives(text)
}

/** Whether a packet from there comes in. One that does for certain is sent after it, and they keep their order. */
async function passes(server: ProbeSocket, mapping: SocketAddress): Promise<boolean> {
  const text = `datagram ${sent++}`
  server.send(text, mapping)
  await passesAgain()
  return client.has(text)
}

/** Resolves when it has been sent: the client could open the way for it meanwhile. */
async function sendFromFirst(text: string, mapping: SocketAddress): Promise<void> {
  servers.first.send(text, mapping)
  servers.first.send(text, at(servers.otherAddress, Second))
  await servers.otherAddress.receives(text)
}

/** A datagram to the first server and its answer. */
async function passesAgain(): Promise<boolean> {
  const text = `datagram ${sent++}`
  const mapping = await mappingTowards(servers.first, First)
  servers.first.send(text, mapping)
  await client.receives(text)
  return true
}

async function udpIsBlocked(): Promise<void> {
  client.send('blocked', at(servers.first, First))
  // What is sent on the internet itself arrives, later than that would have.
  servers.otherPort.send('arrives', at(servers.first, First))
  await servers.first.receives('arrives')
  await tcp(First, 443)
  expect(servers.first.has('blocked')).toBe(false)
}

async function addressInside(): Promise<string | undefined> {
  const shown = await lab.clients.a.run('ip', '-4', '-o', 'address', 'show', 'scope', 'global')
  return / inet ([\d.]+)\//.exec(shown)?.[1]
}

/** Whether a connection to a server at this address comes about. */
async function tcp(address: string, port: number): Promise<boolean> {
  const listen = `require('node:net').createServer(s=>s.end()).listen(${port},'${address}',()=>console.log('up'))`
  const server = lab.internet.spawn(process.execPath, ['-e', listen], { stdio: ['ignore', 'pipe', 'ignore'] })
  await new Promise((resolve) => server.stdout!.once('data', resolve))
  const connect = `require('node:net').connect({port:${port},host:'${address}'}).on('connect',()=>process.exit(0)).on('error',()=>process.exit(1));setTimeout(()=>process.exit(1),700)`
  const connected = await lab.clients.a.run(process.execPath, '-e', connect).then(
    () => true,
    () => false,
  )
  server.kill('SIGKILL')
  await new Promise((resolve) => server.once('exit', resolve))
  return connected
}
