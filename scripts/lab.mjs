// A lab of real NATs to play with, in network namespaces (Linux, root, nftables):
//     npm run lab -- up --a symmetric --b cgnat     until Ctrl-C
//     npm run lab -- down                           removes what a killed one has left
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const Prefix = 'gonet-lab-'
const Usage = `npm run lab -- up [--a TYPE] [--b TYPE] [--a-family ipv4|dual|ipv6] [--b-family …] [--hairpin] [--early drop|occupy]
                  [--udp-timeout SECONDS] [--loss 0..1] [--rate KBIT/S]
npm run lab -- down`

// Where Debian keeps servers, which a plain user's PATH lacks.
process.env.PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`
const folder = mkdtempSync(join(tmpdir(), `${Prefix}${process.pid}-`))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

try {
  const lab = await load()
  const { command, sides, internet } = read(lab)
  const missing = lab.missingForLab(
    ...(command === 'up' ? [...lab.NatLabCommands, ...lab.LabServersCommands] : []),
  )
  if (missing.length > 0) stop(1, `missing: ${missing.join(', ')}. ${adviceFor(missing)}`)
  if (command === 'down') down()
  else await up(lab, sides, internet)
} catch (error) {
  stop(1, error.message)
}

/** The lab is TypeScript, as the tests have it. */
async function load() {
  const outfile = join(folder, 'lab.mjs')
  const modules = ['nat', 'servers', 'namespace'].map((name) => `export * from './${name}.ts'`)
  await build({
    stdin: { contents: modules.join('\n'), resolveDir: join(root, 'test', 'lab'), loader: 'ts' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'silent',
    outfile,
  })
  return import(pathToFileURL(outfile).href)
}

function read({ NatTypes }) {
  const text = { type: 'string' }
  const options = {
    a: text,
    b: text,
    'a-family': text,
    'b-family': text,
    early: text,
    'udp-timeout': text,
    loss: text,
    rate: text,
    hairpin: { type: 'boolean' },
    help: { type: 'boolean' },
  }
  let parsed
  try {
    parsed = parseArgs({ options, allowPositionals: true })
  } catch (error) {
    stop(2, error.message)
  }
  const { values, positionals } = parsed
  if (values.help) {
    process.stdout.write(`${Usage}\ntypes: ${NatTypes.join(', ')}\n`)
    process.exit(0)
  }
  const [command] = positionals
  if (positionals.length !== 1 || !['up', 'down'].includes(command))
    stop(2, 'say `up` or `down`; --help tells more')
  const oneOf = (name, allowed, fallback) => {
    const value = values[name] ?? fallback
    if (!allowed.includes(value)) stop(2, `--${name} is one of ${allowed.join(', ')}: not ${value}`)
    return value
  }
  const number = (name, least, most, fallback) => {
    if (values[name] === undefined) return fallback
    const value = Number(values[name])
    if (values[name] !== '' && value >= least && value <= most) return value
    return stop(2, `--${name} is a number from ${least} to ${most}: not ${values[name]}`)
  }
  const common = {
    hairpin: values.hairpin ?? false,
    early: oneOf('early', ['drop', 'occupy'], 'drop'),
    udpTimeoutSeconds: Math.round(number('udp-timeout', 1, 86_400, 30)),
  }
  const sideOf = (name, fallback) => {
    const family = oneOf(`${name}-family`, ['ipv4', 'dual', 'ipv6'], 'ipv4')
    return { ...common, type: oneOf(name, NatTypes, fallback), family }
  }
  const sides = { a: sideOf('a', 'port-restricted'), b: sideOf('b', 'symmetric') }
  for (const [name, { type, family }] of Object.entries(sides)) {
    if (type === 'tcp-443' && family === 'ipv6') stop(2, `--${name}: the broker on port 443 has only IPv4`)
  }
  const rate = number('rate', 8, 10_000_000, undefined)
  const internet = {
    loss: number('loss', 0, 1, 0),
    ...(rate === undefined ? {} : { kilobitsPerSecond: rate }),
  }
  return { command, sides, internet }
}

async function up({ NatLab, startLabServers }, sides, internet) {
  const interrupted = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, resolve)
  })
  const lab = await NatLab.open(sides, internet)
  try {
    const servers = await startLabServers(lab.internet, folder)
    say(describe(lab, servers, sides))
    await interrupted
  } finally {
    await lab.close()
  }
  say('removed')
  process.exit(0)
}

function describe(lab, servers, sides) {
  const spaces = [['internet', lab.internet], ...Object.entries(lab.clients)]
  for (const name of Object.keys(sides)) {
    for (const router of lab.routers(name)) spaces.push([router.name.split('-').slice(3).join('-'), router])
  }
  const shells = spaces.map(([name, { name: netns }]) => `  ${name.padEnd(12)} ip netns exec ${netns} bash`)
  const gonet = join(root, 'dist', 'bin', 'gonet.js')
  const command = (name, then) => {
    const settings = servers.settings(sides[name]).flatMap((setting) => ['--set', `'${setting}'`])
    const state = join(folder, name)
    return [
      `ip netns exec ${lab.clients[name].name} env NODE_EXTRA_CA_CERTS=${servers.ca}`,
      `${process.execPath} ${gonet} --signal mqtt --name ${name} --state ${state}`,
      ...settings.join(' ').split(/ (?=--set )/),
      then,
    ].join(' \\\n    ')
  }
  const types = Object.entries(sides).map(
    ([name, { type }]) => `${name} is ${type} (${lab.publicAddress(name)})`,
  )
  return [
    `${types.join(', ')}`,
    '\nA shell in each:',
    ...shells,
    `\nIn one terminal${existsSync(gonet) ? '' : ', after npm run build'}:`,
    `  ${command('a', 'create')}`,
    '\nIn another, with the room that the first one says:',
    `  ${command('b', 'join ROOM')}`,
    '\nCtrl-C removes everything.',
  ].join('\n')
}

/** Whatever carries the process id of a lab that is no more. */
function down() {
  const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  let removed = 0
  const names = ip('netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0])
  for (const name of names.filter((each) => isLeft(/^gonet-(\d+)-\d+-/.exec(each)))) {
    // They run in a namespace that was made for them, so they are the lab's.
    for (const pid of ip('netns', 'pids', name).split('\n').filter(Boolean)) end(Number(pid))
    ip('netns', 'delete', name)
    removed += 1
  }
  const folders = readdirSync(tmpdir()).filter((each) => isLeft(/^gonet-lab-(\d+)-/.exec(each)))
  for (const each of folders) rmSync(join(tmpdir(), each), { recursive: true, force: true })
  say(removed === 0 ? 'nothing was left' : `removed ${removed} namespaces`)
}

function isLeft(match) {
  if (match === null) return false
  try {
    process.kill(Number(match[1]), 0)
    return false
  } catch (error) {
    return error.code === 'ESRCH'
  }
}

function end(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

function adviceFor(missing) {
  if (missing.includes('Linux')) return 'A lab is made of network namespaces, which only Linux has.'
  if (missing.includes('root')) return 'Run it as root: sudo npm run lab -- …'
  return 'On Debian: apt-get install iproute2 nftables procps mosquitto coturn openssl'
}

function say(text) {
  process.stdout.write(`${text}\n`)
}

function stop(code, why) {
  process.stderr.write(`lab: ${why.split('\n')[0]}\n`)
  process.exit(code)
}
