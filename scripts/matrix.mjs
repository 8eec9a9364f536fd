// Every pair of NATs of the lab, with the built command, mosquitto and coturn (Linux, root, nftables):
//     npm run matrix -- [--runs 5] [--only TYPE | --pair TYPE,TYPE]
// Prints a table for docs/nat.md, and fails where a pair does not chat, or does not get direct where the oracle of
// test/sim/nat-oracle.ts says that it can. Run npm run build first.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
// As deep as test/e2e, whose workbench looks for dist from where it lies.
const folder = join(root, '.test', `matrix-${process.pid}`)
const text = { type: 'string' }
const { values } = parseArgs({ options: { runs: { ...text, default: '5' }, only: text, pair: text } })
const Runs = Number(values.runs)
const Types = [
  'open',
  'firewall',
  'full-cone',
  'restricted',
  'port-restricted',
  'symmetric',
  'cgnat',
  'udp-blocked',
  'tcp-443',
]
/** How long a path may stay relayed that could be direct. */
const DirectMs = { direct: 5000, 'direct by search': 20_000 }

process.env.PATH = `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin`
const { NatPair, natPath, predictOutcome } = await load()
let failed = 0
/** A row for each host: what its guests got. */
const square = new Map(Types.map((type) => [type, []]))
print('| host behind | guest behind | oracle | got | joined, s | first message, s | direct, s |')
print('|---|---|---|---|---|---|---|')
for (const a of Types) {
  for (const b of Types) {
    if (values.only !== undefined && a !== values.only && b !== values.only) continue
    if (values.pair !== undefined && values.pair !== `${a},${b}`) continue
    await measure(a, b)
  }
}
print('')
print(`| host behind ↓, guest behind → | ${Types.join(' | ')} |`)
print(`|---|${Types.map(() => '---|').join('')}`)
for (const [type, cells] of square) print(`| ${type} | ${cells.join(' | ')} |`)
print('')
print(`${failed} of the runs failed`)
rmSync(folder, { recursive: true, force: true })
process.exitCode = failed > 0 ? 1 : 0

async function measure(a, b) {
  const wanted = predictOutcome(natPath(a), natPath(b))
  const results = []
  for (let run = 0; run < Runs; run++) {
    const result = await once(a, b, wanted).catch((error) => ({
      got: `failed: ${error.message.split('\n')[0]}`,
    }))
    results.push(result)
    const isRight = result.got === (wanted.startsWith('direct') ? 'direct' : 'relay')
    if (!isRight) failed += 1
  }
  const counts = group(results)
  square.get(a).push(`${counts} ${median(results, 'message')}${direct(results)}`)
  const cell = (key) => {
    const times = results.map((each) => each[key]).filter((each) => each !== undefined)
    if (times.length === 0) return '–'
    times.sort((x, y) => x - y)
    return `${seconds(times[Math.floor(times.length / 2)])} (${seconds(times.at(-1))})`
  }
  print(
    `| ${a} | ${b} | ${wanted} | ${counts} | ${cell('joined')} | ${cell('message')} | ${cell('direct')} |`,
  )
}

/** Times are from the guest's backend being up, in ms. */
async function once(a, b, wanted) {
  const pair = await NatPair.open(a, b)
  try {
    const { room } = await pair.startHost()
    const guest = pair.startGuest(room)
    guest.type('hello')
    await guest.next('signalling', ({ state }) => state === 'up')
    const startedAt = performance.now()
    await guest.next('joined')
    const joined = performance.now() - startedAt
    await pair.host.next('message')
    const message = performance.now() - startedAt
    let direct
    if (wanted in DirectMs) {
      await pair.untilDirect(DirectMs[wanted]).then(
        () => {
          direct = performance.now() - startedAt
        },
        () => undefined,
      )
    } else await new Promise((resolve) => setTimeout(resolve, 1000))
    return { got: pair.isRelayed ? 'relay' : 'direct', joined, message, direct }
  } finally {
    await pair.close()
  }
}

/** In seconds; nothing where the first message was direct already. */
function direct(results) {
  const later = results.filter((each) => each.direct - each.message > 5)
  return later.length * 2 > results.length ? `, direct ${median(later, 'direct')}` : ''
}

function median(results, key) {
  const times = results.map((each) => each[key]).filter((each) => each !== undefined)
  return times.length === 0 ? '–' : seconds(times.sort((x, y) => x - y)[Math.floor(times.length / 2)])
}

function group(results) {
  const counts = new Map()
  for (const { got } of results) counts.set(got, (counts.get(got) ?? 0) + 1)
  return [...counts].map(([got, count]) => (count === results.length ? got : `${got} ${count}×`)).join(', ')
}

async function load() {
  mkdirSync(folder, { recursive: true })
  const outfile = join(folder, 'matrix.mjs')
  const modules = ['lab/nat-pair', 'sim/nat-oracle', 'sim/simulated-nat']
  await build({
    stdin: {
      contents: modules.map((name) => `export * from './${name}.ts'`).join('\n'),
      resolveDir: join(root, 'test'),
      loader: 'ts',
    },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
    outfile,
  })
  return import(pathToFileURL(outfile).href)
}

function seconds(ms) {
  return (ms / 1000).toFixed(2)
}

function print(line) {
  process.stdout.write(`${line}\n`)
}
