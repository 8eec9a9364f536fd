// Writes NAME.cache beside each NAME.cjs of a folder that a join needs: V8's code of every function that it runs, so
// that a start need not compile them. For that it joins a room of a host on loopback, and tries to join where there is
// no server for those backends whose servers are not here.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

/** Nobody listens there: it is a port of TCP's own (RFC 7805 retired it), which takes root to open. */
const Nowhere = '127.0.0.1:1'

const [bin = '', bundle = '', ...joining] = process.argv.slice(2)
if (bundle !== '') await joinAndKeep(bundle, joining)
else await prepare()

/** Servers and hosts as processes of the command; the guests are processes of this file. */
async function prepare() {
  const folder = mkdtempSync(join(tmpdir(), 'gonet-build-'))
  const own = Object.entries(process.env).filter(([name]) => !/^(GONET_|NODE_)/i.test(name))
  const env = { ...Object.fromEntries(own), XDG_CONFIG_HOME: folder }
  const children = []
  const start = (...args) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 60_000,
    })
    const ended = new Promise((resolve) => child.on('close', resolve))
    children.push({ child, ended })
    return { child, ended }
  }
  const gonet = (...args) => start(join(bin, 'gonet.js'), '--json', ...args).child
  /** Has a guest join, and keeps what became of a bundle. */
  const keep = async (name, exitCode, ...args) => {
    const state = ['--state', join(folder, `${name}-guest`)]
    const { child, ended } = start(fileURLToPath(import.meta.url), bin, name, '--json', ...state, ...args)
    child.stdin.end('a message\n')
    const code = await ended
    if (code !== exitCode) throw new Error(`the guest for ${name} ended with ${code}`)
  }
  const joinOver = async (bundle, backend, setting) => {
    const state = ['--state', join(folder, `${backend}-server`)]
    const server = gonet(...state, 'serve', backend, '--listen', '127.0.0.1:0')
    const { url, bootstrap } = await firstEvent(server, 'serving')
    const common = ['--signal', backend, '--set', `${setting}=${url ?? bootstrap}`]
    const { room } = await firstEvent(gonet(...common, '--state', join(folder, backend), 'create'), 'room')
    await keep(bundle, 0, ...common, 'join', room)
  }
  const joinNowhere = (bundle, backend, setting) => {
    const common = ['--quiet', '--timeout', '1', '--signal', backend, '--set', setting]
    return keep(bundle, 3, ...common, 'join', 'cf83e1357eefb8bdf154')
  }
  try {
    await Promise.all([
      joinOver('command', 'mqtt', 'adapters.mqtt.url'),
      joinOver('dht', 'dht', 'adapters.dht.bootstrap'),
      isInstalled('etcd')
        ? joinOver('etcd', 'etcd', 'adapters.etcd.endpoints')
        : joinNowhere('etcd', 'etcd', `adapters.etcd.endpoints=http://${Nowhere}`),
      joinNowhere('axios', 'opendht', `adapters.opendht.proxy=http://${Nowhere}`),
    ])
  } finally {
    for (const { child } of children) child.kill()
    await Promise.all(children.map(({ ended }) => ended))
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs the command in this process. */
async function joinAndKeep(name, args) {
  const scripts = new Map()
  const { Script } = vm
  // The command loads its bundles by itself.
  vm.Script = class extends Script {
    constructor(source, options) {
      super(source, options)
      scripts.set(options.filename, this)
    }
  }
  const load = createRequire(import.meta.url)('./load-cached.cjs')
  const exitCode = await load(bin, 'command', createRequire(join(bin, 'command.cjs'))).run(args, '')
  writeFileSync(join(bin, `${name}.cache`), scripts.get(`${bin}/${name}.cjs`).createCachedData())
  process.exit(exitCode)
}

function isInstalled(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}

async function firstEvent(child, name) {
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line)
    if (event.event === name) {
      child.stdout.resume()
      return event
    }
  }
  throw new Error(`no event '${name}' came`)
}
