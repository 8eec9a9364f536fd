// From typing `gonet join` to the first message at the host, for each backend: whole processes, a real server of each
// kind on loopback, the host up beforehand, in interleaved rounds, beside a minimal chat on hyperswarm. Then what a
// join puts on each backend, as its adapter is asked to, and what an idle host does.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { hyperswarmFile, hyperswarmVersion, startTestnet } from './hyperswarm.mjs'
import { bareStart, gonet, median, Peer, printVersions, root } from './measure.mjs'

const Rounds = Number(process.argv[2] ?? 15)
/** How many times as long as the fastest, and as hyperswarm, a join may take. */
const Limits = { mqtt: 1.2, etcd: 1.2, dht: 1.2 }
/** Polled every few seconds: it would hold up every round of the others. */
const Slow = /^pastebin/
const SlowRounds = 3
const IdleMs = 60_000

printVersions(
  'gonet --json join ROOM for each backend, from its start to the host printing its first message',
)
process.stdout.write(`the same with hyperswarm ${hyperswarmVersion()}, a minimal chat on a DHT on loopback\n`)
const folder = mkdtempSync(join(tmpdir(), 'gonet-bench-'))
const own = Object.entries(process.env).filter(([name]) => !/^(GONET|XDG)_/i.test(name))
const options = { cwd: folder, env: { ...Object.fromEntries(own), HOME: folder, XDG_CONFIG_HOME: folder } }
const peers = []
const servers = []
let testnet
try {
  const Backends = await loadBackends()
  const lanes = []
  for (const [name, { start, missing }] of Object.entries(Backends)) {
    if (missing !== undefined) process.stdout.write(`${name}: left out, ${missing}\n`)
    else lanes.push(await startLane(name, await start()))
  }
  testnet = await startTestnet()
  const theirs = startPeer(hyperswarmFile, 'host', testnet.port, testnet.topic)
  await theirs.next(({ event }) => event === 'room')
  const startTheirs = () => startPeer(hyperswarmFile, 'guest', testnet.port, testnet.topic)

  const [bare, hyperswarm] = [[], []]
  for (let round = -1; round < Rounds; round++) {
    bare.push(bareStart())
    hyperswarm.push(await timeOfJoin(theirs, startTheirs, `round ${round}`))
    for (const lane of lanes) {
      if (Slow.test(lane.name) && round >= SlowRounds) continue
      lane.times.push(await timeOfJoin(lane.host, lane.join, `${lane.name} ${round}`))
    }
  }
  // The first round warms the file cache up, and makes the guests' identities.
  for (const times of [bare, hyperswarm, ...lanes.map((lane) => lane.times)]) times.shift()
  const fastest = Math.min(...lanes.map(({ times }) => median(times)))
  const row = (name, times) => {
    const [low, high] = [Math.min(...times), Math.max(...times)]
    const against = [median(bare), fastest, median(hyperswarm)].map((base) =>
      (median(times) / base).toFixed(2),
    )
    const cells = [
      name,
      times.length,
      median(times).toFixed(0),
      `${low.toFixed(0)} to ${high.toFixed(0)}`,
      ...against,
    ]
    process.stdout.write(`| ${cells.join(' | ')} |\n`)
  }
  process.stdout.write(
    '| backend | rounds | median ms | spread | bare nodes | fastest backends | hyperswarms |\n',
  )
  process.stdout.write('|---|---|---|---|---|---|---|\n')
  row('bare node', bare)
  row('hyperswarm', hyperswarm)
  for (const { name, times } of lanes) row(name, times)
  for (const { name, times } of lanes) {
    const limit = Limits[name]
    const base = name === 'dht' ? median(hyperswarm) : fastest
    if (limit === undefined || median(times) <= limit * base) continue
    process.stdout.write(
      `MISSED: ${name} takes ${(median(times) / base).toFixed(2)} times as long, at most ${limit}\n`,
    )
    process.exitCode = 1
  }
  const serve = lanes.find(({ name }) => name.startsWith('dns serve'))
  if (serve !== undefined) {
    const over = median(serve.times) - fastest
    process.stdout.write(`dns serve: ${over.toFixed(0)} ms over the fastest (at most 500)\n`)
    if (over > 500) process.exitCode = 1
  }
} finally {
  await Promise.all(peers.map((peer) => peer.stop()))
  await testnet?.close()
}
try {
  await countRecords()
} finally {
  await Promise.all(servers.map((server) => server.close()))
  rmSync(folder, { recursive: true, force: true })
}

/** The tests' own servers, which are TypeScript. */
async function loadBackends() {
  const source = join(root, 'test', 'servers', 'backends.ts')
  const outfile = join(folder, 'backends.mjs')
  // Where the sources lie, since they find programs beside themselves.
  const define = { 'import.meta.url': JSON.stringify(pathToFileURL(source).href) }
  await build({
    entryPoints: [source],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    define,
  })
  const { Backends } = await import(pathToFileURL(outfile).href)
  return Backends
}

async function startLane(name, server) {
  servers.push(server)
  const settings = server.settings.flatMap((setting) => ['--set', setting])
  const start = (role, ...args) =>
    startPeer(
      gonet,
      '--json',
      '--signal',
      server.signal,
      ...settings,
      '--state',
      join(folder, name, role),
      '--name',
      role,
      ...args,
    )
  const host = start('host', 'create')
  const { room } = await host.next(({ event }) => event === 'room')
  return { name, server, host, times: [], join: () => start('guest', 'join', room) }
}

function startPeer(program, ...args) {
  const peer = new Peer(program, args, options)
  peers.push(peer)
  return peer
}

/** From starting a guest to the host printing its line, in ms. */
async function timeOfJoin(host, startGuest, text) {
  const arrived = host.next((event) => event.event === 'message' && event.text === text, 60_000)
  const started = performance.now()
  const guest = startGuest()
  guest.child.stdin.end(`${text}\n`)
  await arrived
  const time = performance.now() - started
  if ((await guest.ended) !== 0) throw new Error('the guest did not end well')
  return time
}

/** A host and a guest in this process, by the library, whose adapters are counted. */
async function countRecords() {
  const { createRoom, joinRoom } = await import(pathToFileURL(join(root, 'dist', 'lib', 'index.js')).href)
  const { registry } = await import(pathToFileURL(join(root, 'dist', 'lib', 'adapters', 'index.js')).href)
  process.stdout.write(
    '| backend | records a join | bytes a join | records an idle minute | bytes an idle minute |\n|---|---|---|---|---|\n',
  )
  const counted = await Promise.all(servers.map((server, index) => countOn(server, index)))
  for (const cells of counted) process.stdout.write(`| ${cells.join(' | ')} |\n`)

  async function countOn(server, index) {
    const count = { records: 0, bytes: 0 }
    const definition = counting(
      registry.get(server.signal),
      `counted${String.fromCharCode(97 + index)}`,
      count,
    )
    const settings = await settingsOf(server)
    const common = { signal: [definition], adapters: { [definition.name]: settings }, timeoutMs: 60_000 }
    const host = await createRoom({ ...common, name: 'host', state: join(folder, `count-${index}-host`) })
    const before = { ...count }
    const guest = await joinRoom(host.id, {
      ...common,
      name: 'guest',
      state: join(folder, `count-${index}-guest`),
    })
    await new Promise((resolve) => setTimeout(resolve, 3000))
    const joined = { ...count }
    await new Promise((resolve) => setTimeout(resolve, IdleMs))
    await guest.leave()
    await host.leave()
    return [
      `${server.signal} (${Object.values(settings)[0]})`,
      joined.records - before.records,
      joined.bytes - before.bytes,
      count.records - joined.records,
      count.bytes - joined.bytes,
    ]
  }
}

/** The same adapter under another name, with its publications counted. */
function counting(definition, name, count) {
  return {
    ...definition,
    name,
    allocator: undefined,
    create: async (...args) => {
      const adapter = await definition.create(...args)
      const publish = adapter.publish.bind(adapter)
      adapter.publish = (record, signal) => {
        count.records += 1
        count.bytes += record.bytes.length
        return publish(record, signal)
      }
      return adapter
    },
  }
}

async function settingsOf({ settings }) {
  const { parse } = await import('yaml')
  return Object.fromEntries(
    settings.map((setting) => {
      const [, key, value] = /^adapters\.[^.]+\.([^=]+)=(.*)$/s.exec(setting)
      return [key, parse(value)]
    }),
  )
}
