/** `gonet nat` behind the lab's NATs, with coturn for a server that has two addresses, and servers that are none. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { missingForLab } from '../lab/namespace.js'
import { type Access, NatLab, NatLabCommands, type NatType, Servers } from '../lab/nat.js'

const missing = missingForLab(...NatLabCommands, 'turnserver', 'ss')
const [First, Second, Third] = Servers.ipv4
const [FirstIpv6, SecondIpv6] = Servers.ipv6
const LyingPort = 3999
const PlainPort = 4000

/** The command without its parser: options in, exit code out. */
const Entry = `
import { nat } from './src/cli/commands/nat.ts'
import { reportError } from './src/cli/report-error.ts'
const [lifetime, options] = JSON.parse(process.argv[2])
const { stdout, stderr } = process
nat(lifetime, options).then(
  (code) => process.exit(code),
  (error) => process.exit(reportError(error, { json: options.json === true, verbose: false, stdout, stderr })),
)`

/** Says to everybody that they are at the address it is given; without one it is honest. */
const Server = `
const [port, address, said] = process.argv.slice(1)
const socket = require('node:dgram').createSocket('udp4')
socket.on('message', (bytes, from) => {
  const mapped = (said || from.address).split('.').map(Number)
  const value = [0, 1, (from.port >> 8) ^ 0x21, (from.port & 255) ^ 0x12]
  const cookie = [0x21, 0x12, 0xa4, 0x42]
  const body = [0, 0x20, 0, 8, ...value, ...mapped.map((byte, index) => byte ^ cookie[index])]
  socket.send(Buffer.from([1, 1, 0, body.length, ...bytes.subarray(4, 20), ...body]), from.port, from.address)
})
socket.bind(Number(port), address, () => console.log('listening'))`

interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Family {
  readonly name: string
  readonly local: string
  readonly reflexive: readonly string[]
  readonly hairpin: boolean | null
  readonly lifetime: { readonly aboveSeconds: number; readonly belowSeconds: number } | null
  readonly paths: Readonly<Record<string, string>>
}

interface Found {
  readonly ipv4: Family
  readonly ipv6: Family | null
}

let folder: string
let bundle: string
let lab: NatLab<'a'>

describe.skipIf(missing.length > 0)('gonet nat', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'gonet-nat-'))
    bundle = join(folder, 'nat.mjs')
    await build({
      stdin: { contents: Entry, resolveDir: join(import.meta.dirname, '..', '..') },
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
      },
    })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  afterEach(async () => {
    await lab.close()
  })

  const none = 'none'
  const independent = 'endpoint-independent'
  const byAddress = 'address-dependent'
  const byBoth = 'address-and-port-dependent'
  const truth: readonly (readonly [NatType, name: string, mapping: string, filtering: string])[] = [
    ['open', 'open', none, independent],
    ['firewall', 'firewall', none, byBoth],
    ['full-cone', 'full cone', independent, independent],
    ['restricted', 'restricted cone', independent, byAddress],
    ['port-restricted', 'port-restricted cone', independent, byBoth],
    ['symmetric', 'symmetric', byBoth, byBoth],
    ['cgnat', 'port-restricted cone', independent, byBoth],
  ]

  it.each(truth)('%s is %s: mapping %s, filtering %s', async (type, name, mapping, filtering) => {
    await open(type)
    await startCoturn()
    const { code, stdout, stderr } = await run({ json: true, set: [`transport.stun=${First}:3478`] })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { ipv4, ipv6 } = found(stdout)
    expect(ipv6).toBeNull()
    expect(ipv4).toMatchObject({ name, mapping, filtering, portPreserved: type !== 'symmetric' })
    expect(ipv4.hairpin).toBe(mapping === none ? null : false)
    const seen = ipv4.reflexive.map((each) => each.replace(/:\d+$/, ''))
    expect(new Set(seen)).toEqual(new Set([lab.publicAddress('a')]))
    expect(seen).toHaveLength(type === 'symmetric' ? 4 : 1)
    expect(ipv4.paths['symmetric, random ports']).toBe(
      { open: 'direct', 'full-cone': 'direct', restricted: 'direct', symmetric: 'relay' }[type as string] ??
        'direct by search',
    )
  })

  it.each(['full-cone', 'port-restricted'] as const)('%s that turns packets round: hairpin', async (type) => {
    await open({ type, hairpin: true })
    await startCoturn()
    const { stdout } = await run({ json: true, set: [`transport.stun=${First}:3478`] })
    expect(found(stdout).ipv4.hairpin).toBe(true)
  })

  it('sees both families, each as it is', async () => {
    await open({ type: 'symmetric', family: 'dual' })
    await startCoturn()
    const { stdout } = await run({
      json: true,
      set: [`transport.stun=["${First}:3478", "[2001:DB8:0::0001]:3478"]`],
    })
    const { ipv4, ipv6 } = found(stdout)
    expect(ipv4.name).toBe('symmetric')
    expect(ipv6).toMatchObject({ name: 'firewall', mapping: none, filtering: byBoth, portPreserved: true })
    expect(ipv6?.reflexive).toEqual([ipv6?.local])
  })

  it.each([
    ['port-restricted', independent, 'cone'],
    ['symmetric', 'destination-dependent', 'symmetric'],
  ] as const)(
    '%s by two plain servers: the mapping, and nothing of the filter',
    async (type, mapping, name) => {
      await open(type)
      await startServer(PlainPort, First)
      await startServer(PlainPort, Second)
      const set = [`transport.stun=["${First}:${PlainPort}", "${Second}:${PlainPort}"]`]
      const json = await run({ json: true, set })
      expect(found(json.stdout).ipv4).toMatchObject({ mapping, name, filtering: 'unknown' })
      const { code, stdout } = await run({ set })
      expect(code).toBe(0)
      expect(stdout).toContain(`\nIPv4 mapping: ${mapping}\n`)
      expect(stdout).toContain(
        '\nIPv4 filtering: unknown: no server answers from another address (RFC 5780)\n',
      )
      expect(stdout).toContain(`\nserver ${Second}:${PlainPort}: answers\n`)
      expect(stdout).not.toContain('\u001b')
    },
  )

  it('believes no server that says what cannot be, and asks another', async () => {
    await open('port-restricted')
    await startCoturn()
    await startServer(LyingPort, Third, '127.0.0.1')
    const { code, stdout } = await run({
      set: [`transport.stun=["${Third}:${LyingPort}", "${First}:3478"]`],
    })
    expect(code).toBe(0)
    expect(stdout).toContain('IPv4 NAT: port-restricted cone\n')
    expect(stdout).toMatch(
      /\nserver [^\n]+: says that it sees this machine at 127\.0\.0\.1:\d+, which cannot be\n/,
    )
  })

  it.each(['127.0.0.1', '0.0.0.0', '192.168.1.7', '224.0.0.1'])(
    'with a server that lies (%s) and no other: one line, exit 3',
    async (said) => {
      await open('open')
      await startServer(LyingPort, Third, said)
      const { code, stdout, stderr } = await run({ set: [`transport.stun=${Third}:${LyingPort}`] })
      expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
      expect(stderr).toMatch(
        /^gonet: No STUN server [^\n]+ sees this machine at [^\n]+ cannot be\. [^\n]+\n$/,
      )
      expect(stderr).toContain(said)
    },
  )

  it('says in one line that nobody answers, where no UDP leaves', async () => {
    await open('udp-blocked')
    const set = [`transport.stun=["${First}:3478", "nobody.invalid:3478"]`]
    const { code, stdout, stderr } = await run({ json: true, set })
    expect(code).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({ event: 'error', code: 'no-stun-server' })
    expect(stderr).toMatch(/^gonet: [^\n]+ does not answer; nobody\.invalid:3478 has no address\. [^\n]+\n$/)
  })

  it('says in one line that no server is configured', async () => {
    await open('open')
    const { code, stdout, stderr } = await run({ set: ['transport.stun=[]'] })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^gonet: No STUN server is configured\. [^\n]+\n$/)
  })

  it('measures how long a binding lives, and tells what it knows so far', async () => {
    await open({ type: 'port-restricted', udpTimeoutSeconds: 12 })
    await startCoturn()
    const { code, stdout, stderr } = await run({ json: true, set: [`transport.stun=${First}:3478`] }, true)
    expect(code).toBe(0)
    const { aboveSeconds, belowSeconds } = found(stdout).ipv4.lifetime!
    expect(aboveSeconds).toBeGreaterThanOrEqual(10)
    expect(aboveSeconds).toBeLessThanOrEqual(12.5)
    expect(belowSeconds).toBeGreaterThan(aboveSeconds)
    expect(belowSeconds).toBeLessThanOrEqual(15)
    expect(stderr).toContain('gonet: IPv4: bindings live 10 to 20 s so far\n')
  }, 90_000)
})

if (missing.length > 0 && process.env['CI'] === 'true') {
  it('has what it needs', () => expect.fail(`missing: ${missing.join(', ')}`))
}

function found(stdout: string): Found {
  return JSON.parse(stdout) as Found
}

async function open(access: NatType | Access): Promise<void> {
  lab = await NatLab.open({ a: access })
}

/** With two addresses of each family it has other addresses to answer from. */
async function startCoturn(): Promise<void> {
  const addresses = [First, Second, FirstIpv6, SecondIpv6].flatMap((address) => ['-L', address])
  const files = ['--pidfile', join(folder, 'pid'), '--log-file', join(folder, 'log'), '--simple-log']
  const options = ['-n', '--no-cli', '-m', '1', '--stun-only', '--no-tls', '--no-dtls']
  lab.internet.spawn('turnserver', [...options, ...addresses, ...files, '--userdb', join(folder, 'db')], {
    stdio: 'ignore',
  })
  const until = performance.now() + 20_000
  const wanted = [First, Second, `[${FirstIpv6}]`, `[${SecondIpv6}]`].flatMap((address) => [
    `${address}:3478 `,
    `${address}:3479 `,
  ])
  while (true) {
    const listed = await lab.internet.run('ss', '-H', '-lnu')
    if (wanted.every((each) => listed.includes(each))) return
    if (performance.now() > until) throw new Error(`coturn does not listen: ${listed}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function startServer(port: number, address: string, said = ''): Promise<void> {
  const child = lab.internet.spawn(process.execPath, ['-e', Server, String(port), address, said], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout!, 'data')
}

async function run(options: Record<string, unknown>, lifetime = false): Promise<Finished> {
  const home = { HOME: folder, XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder }
  const child = lab.clients.a.spawn(process.execPath, [bundle, JSON.stringify([lifetime, options])], {
    env: { PATH: process.env['PATH'], ...home },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}
