/**
 * What docs/adapters.md says about servers of one's own, done: its commands and files, with other addresses and
 * folders in them, and a host and a guest who meet there with the configuration that stands beside.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { bepastyMissing, startBepasty } from '../servers/bepasty.js'
import { bindMissing } from '../servers/bind.js'
import { makeCertificates } from '../servers/certificates.js'
import { startChildServer } from '../servers/child-server.js'
import { dhtnodeMissing, startDhtnode } from '../servers/dhtnode.js'
import { etcdMissing } from '../servers/etcd.js'
import { freePort } from '../servers/free-port.js'
import { knotMissing } from '../servers/knot.js'
import { mosquittoMissing } from '../servers/mosquitto.js'
import { chapter, commandLines, fencedBlocks, indentedBlocks } from './docs-examples.js'
import { complaints, type Running, Workbench } from './workbench.js'

const text = readFileSync(join(import.meta.dirname, '../../docs/adapters.md'), 'utf8')

let bench: Workbench
beforeEach(() => {
  bench = new Workbench()
})
afterEach(() => bench.close())

/** A section below a chapter. */
function section(name: string, title: string): string {
  const [, found] = chapter(text, name).split(`\n### ${title}\n`)
  if (found === undefined) throw new Error(`${name} has no section ${title}`)
  return `\n${found.split('\n### ')[0]!}`
}

function replaced(source: string, pairs: Readonly<Record<string, string>>): string {
  return Object.entries(pairs).reduce((result, [from, to]) => {
    expect(result).toContain(from)
    return result.replaceAll(from, to)
  }, source)
}

/** Two meet, say a line, and leave without a complaint. */
async function meet(start: (name: string, ...args: readonly string[]) => Running): Promise<void> {
  const host = start('host', 'create')
  const { room } = await host.next('room')
  const guest = start('guest', 'join', room)
  guest.type('from the guest')
  expect(await host.next('message')).toMatchObject({ from: 'guest', text: 'from the guest' })
  await guest.next('delivered')
  guest.end()
  await guest.finished
  host.signal('SIGINT')
  for (const { code, stderr } of [await guest.finished, await host.finished]) {
    expect([code, complaints(stderr)]).toEqual([0, []])
  }
}

const own = (name: string): string[] => ['--json', '--state', name, '--name', name, '--timeout', '60']

/** Two with this configuration file, beside which the others lie. */
async function meetWith(configuration: string, files: Readonly<Record<string, string>> = {}): Promise<void> {
  for (const [name, content] of Object.entries({ ...files, 'gonet.yaml': configuration })) {
    writeFileSync(join(bench.folder, name), content, { mode: 0o600 })
  }
  await meet((name, ...args) => bench.start('--config', 'gonet.yaml', ...own(name), ...args))
}

describe('gonet serve, and the options that its peers need', () => {
  it.each([
    ['mqtt', undefined],
    ['dht', undefined],
    ['dns', undefined],
    ['etcd', etcdMissing],
  ])(
    '%s',
    async (name, missing) => {
      if (missing !== undefined && process.env['CI'] !== 'true') return
      const title =
        name === 'dns'
          ? 'Your own: the host as server, or `gonet serve dns`'
          : `Your own: \`gonet serve ${name}\``
      const at = `127.0.0.1:${await freePort()}`
      const lines = commandLines(section(name, title)).map((line) =>
        line
          .replace(/(?:broker\.example|etcd\.example|192\.168\.1\.5|127\.0\.0\.1|0\.0\.0\.0):\d+/, at)
          .split(/\s+/)
          .slice(1),
      )
      const serving = lines.find(([word]) => word === 'serve')!
      const creating = lines.findLast((args) => args.includes('create'))!
      const server = bench.start(...serving)
      const told = `${await server.line(/^ready: /)}\n${await server.line(/^peers use it with: /)}`
      const settings = creating.filter((arg) => arg !== 'create' && arg !== '--signal' && arg !== name)
      for (const setting of settings) expect(told).toContain(setting)
      // Nothing else than this backend: the others would leave this machine.
      await meet((who, ...args) => bench.start('--signal', name, ...settings, ...own(who), ...args))
      server.signal('SIGINT')
      expect((await server.finished).code).toBe(0)
    },
    90_000,
  )
})

describe.skipIf(mosquittoMissing !== undefined && process.env['CI'] !== 'true')('mosquitto', () => {
  /** Runs it with a documented file, of which the listeners are on this machine only. */
  async function startMosquitto(file: string, certificates: string): Promise<{ ports: readonly number[] }> {
    const ports: number[] = []
    while (ports.length < file.match(/^listener /gm)!.length) ports.push(await freePort())
    const left = [...ports]
    const written = replaced(file, { '/etc/mosquitto/certs/': `${certificates}/` })
      .replaceAll('/etc/mosquitto/', `${bench.folder}/`)
      .replace(/^listener \d+$/gm, () => `listener ${left.shift()} 127.0.0.1`)
    const config = join(bench.folder, 'mosquitto.conf')
    const more = process.getuid?.() === 0 ? 'user root\n' : ''
    writeFileSync(config, `log_dest stderr\n${more}${written}`)
    const prepare = (): readonly string[] => ['-c', config]
    const server = await startChildServer({ program: '/usr/sbin/mosquitto', prepare, ready: / running$/ })
    onTestFinished(() => server.close())
    return { ports }
  }

  it('with TLS and an ACL', async () => {
    const part = section('mqtt', 'Your own: mosquitto, with TLS and an ACL')
    const [file, access] = indentedBlocks(part).map(({ code }) => code.trim())
    const certificates = makeCertificates(bench.folder)
    writeFileSync(join(bench.folder, 'gonet.acl'), access!, { mode: 0o600 })
    const passwords = join(bench.folder, 'gonet.passwords')
    // It asks for the password where it gets none.
    execFileSync('mosquitto_passwd', ['-c', '-b', passwords, 'alice', 'a password'], { stdio: 'ignore' })
    const given = { 'certs/broker.pem': certificates.cert, 'certs/broker.key': certificates.key }
    const inFile = Object.fromEntries(
      Object.entries(given).map(([from, to]) => [`/etc/mosquitto/${from}`, to]),
    )
    const { ports } = await startMosquitto(
      `${replaced(file!, inFile)}\n# /etc/mosquitto/certs/`,
      bench.folder,
    )
    const [configuration] = fencedBlocks(part, 'yaml')
    const here = { 'broker.example:8883': `127.0.0.1:${ports[0]}`, 'broker-ca.pem': certificates.ca }
    await meetWith(replaced(configuration!.code, here), { 'mqtt-password': 'a password\n' })
  }, 60_000)

  it('with certificates and WebSockets', async () => {
    const part = section('mqtt', 'Your own: mosquitto, with certificates and WebSockets')
    const [commands, file] = indentedBlocks(part).map(({ code }) => code.trim())
    for (const command of commands!.split('\n')) {
      const local = command.replace('DNS:broker.example', 'IP:127.0.0.1')
      execFileSync('sh', ['-c', local], { cwd: bench.folder, stdio: 'ignore' })
    }
    const { ports } = await startMosquitto(file!, bench.folder)
    const [configuration] = fencedBlocks(part, 'yaml')
    const [byTls, byWebSocket] = ports.map((port) => `127.0.0.1:${port}`)
    const here = { 'broker.example:8883': byTls!, 'wss://broker.example/': `wss://${byWebSocket}/` }
    await meetWith(replaced(configuration!.code, here))
    // Each by itself, too.
    const webOnly = configuration!.code.replace(/url: .*/, `url: wss://${byWebSocket}/mqtt`)
    await meetWith(webOnly)
  }, 90_000)
})

describe('the configuration of', () => {
  it.skipIf(dhtnodeMissing !== undefined && process.env['CI'] !== 'true')(
    'opendht',
    async () => {
      const nodes = await startDhtnode({ nodes: 1 })
      onTestFinished(() => nodes.close())
      const [configuration] = fencedBlocks(chapter(text, 'opendht'), 'yaml')
      await meetWith(replaced(configuration!.code, { 'node.example:8080': `127.0.0.1:${nodes.port}` }))
    },
    60_000,
  )

  it.skipIf(bepastyMissing !== undefined && process.env['CI'] !== 'true')(
    'bepasty',
    async () => {
      const part = chapter(text, 'pastebin')
      const [, permissions] = /^ {4}PERMISSIONS = \{'…the password…': '([a-z,]+)'\}$/m.exec(part)!
      const server = await startBepasty({ permissions: { secret: permissions! } })
      onTestFinished(() => server.close())
      const [configuration] = fencedBlocks(part, 'yaml')
      const here = { 'https://paste.example': `http://127.0.0.1:${server.port}` }
      const quick = `${replaced(configuration!.code, here)}    pollSeconds: 1\n`
      await meetWith(quick, { 'bepasty-password': 'secret\n' })
    },
    60_000,
  )
})

/** The file for a server of the zone, as it stands there. */
const zoneFile = (): string =>
  indentedBlocks(section('dns', 'Your own: BIND'))
    .map(({ code }) => code.trim())
    .find((code) => code.startsWith('$TTL'))!

describe('the zone of', () => {
  const configuration = (port: number): string =>
    replaced(fencedBlocks(chapter(text, 'dns'), 'yaml').at(-1)!.code, {
      '192.0.2.53:53': `127.0.0.1:${port}`,
    })

  it.skipIf(bindMissing !== undefined && process.env['CI'] !== 'true')(
    'BIND',
    async () => {
      const file = indentedBlocks(section('dns', 'Your own: BIND'))
        .map(({ code }) => code.trim())
        .find((code) => code.startsWith('include'))!
      const [keygen] = /^ {4}tsig-keygen alice > .*$/m.exec(section('dns', 'Your own: BIND'))!
      for (const name of ['alice', 'bob']) {
        const here = replaced(keygen, { '/etc/bind/': `${bench.folder}/`, alice: name })
        execFileSync('sh', ['-c', here])
      }
      writeFileSync(join(bench.folder, 'gonet.example.org'), `${zoneFile()}\n`)
      const prepare = (folder: string, port: number): readonly string[] => {
        const options = `directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
        pid-file none; session-keyfile "${folder}/session.key"; dnssec-validation no; notify no;`
        const own = replaced(file, { '/etc/bind/': `${bench.folder}/`, '/var/lib/bind/': `${bench.folder}/` })
        const config = join(folder, 'named.conf')
        writeFileSync(config, `controls { };\noptions { ${options} };\n${own}\n`)
        return ['-g', '-n', '1', '-c', config]
      }
      const server = await startChildServer({ program: '/usr/sbin/named', prepare, ready: / running$/ })
      onTestFinished(() => server.close())
      const key = readFileSync(join(bench.folder, 'alice.key'), 'utf8')
      await meetWith(configuration(server.port), { 'alice-tsig': key })
    },
    60_000,
  )

  it.skipIf(knotMissing !== undefined && process.env['CI'] !== 'true')(
    'Knot',
    async () => {
      const [file] = indentedBlocks(section('dns', 'Your own: Knot')).map(({ code }) => code.trim())
      const [, command] = /`(keymgr [^`]+ alice)`/.exec(section('dns', 'Your own: Knot'))!
      const key = execFileSync('sh', ['-c', command!]).toString()
      const [, secret] = /secret: (\S+)/.exec(key)!
      const prepare = (folder: string, port: number): readonly string[] => {
        // As Debian's has it, with other places.
        const debian = `server:\n    rundir: "${folder}"\n    listen: 127.0.0.1@${port}\nlog:\n  - target: stderr
    any: info\ndatabase:\n    storage: "${folder}"\n    journal-db-max-size: 50M\n    kasp-db-max-size: 10M
    timer-db-max-size: 1M\ntemplate:\n  - id: default\n    storage: "${folder}"\n`
        const config = join(folder, 'knot.conf')
        writeFileSync(config, debian + replaced(file!, { '…': secret! }), { mode: 0o600 })
        writeFileSync(join(folder, 'gonet.example.org.zone'), `${zoneFile()}\n`)
        return ['-c', config]
      }
      const server = await startChildServer({ program: '/usr/sbin/knotd', prepare, ready: /server started/ })
      onTestFinished(() => server.close())
      await meetWith(configuration(server.port), { 'alice-tsig': key })
    },
    60_000,
  )
})

describe.skipIf(etcdMissing !== undefined && process.env['CI'] !== 'true')('etcd', () => {
  it('with TLS and a user', async () => {
    const part = section('etcd', 'Your own: etcd, with TLS and a user')
    const [starting, making] = indentedBlocks(part)[0]!.code.trim().split('\n\n')
    const { ca, cert, key } = makeCertificates(bench.folder)
    const [at, peerAt] = [`127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`]
    const [program, ...args] = replaced(starting!, {
      '/var/lib/gonet-etcd': join(bench.folder, 'data'),
      '0.0.0.0:2379': at,
      'etcd.example:2379': at,
      'etcd.pem': cert,
      'etcd.key': key,
    }).split(/\s+/)
    const peers = ['--listen-peer-urls', peerAt, '--initial-advertise-peer-urls', peerAt]
    const member = ['--initial-cluster', `default=${peerAt}`]
    const server = await startChildServer({
      program: program!,
      prepare: () => [...args, ...peers, ...member],
      ready: /serving client requests|ready to serve/,
    })
    onTestFinished(() => server.close())
    const script = replaced(making!, {
      'etcd.example:2379': at,
      'etcd-ca.pem': ca,
      // They ask for a password.
      'user add alice': 'user add alice:secret',
      'user add root': 'user add root:secret-too',
    })
    execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [yaml] = fencedBlocks(part, 'yaml')
    const endpoints = /endpoints: .*/.exec(yaml!.code)![0]
    const here = { [endpoints]: `endpoints: https://${at}`, 'etcd-ca.pem': ca }
    await meetWith(replaced(yaml!.code, here), { 'etcd-password': 'secret\n' })
  }, 60_000)
})
