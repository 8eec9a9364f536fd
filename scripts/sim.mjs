// Runs the room that everything happens to under many seeds, and a room of 200 guests, on all cores:
//     npm run sim [seeds]      1000 by default; 100 means 0 to 99, 100-149 those
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Seeds that one process runs: so many that its start costs little, so few that all cores end together. */
const SeedsAtOnce = 25
const Guests = 200
const root = fileURLToPath(new URL('..', import.meta.url))
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))

const [first, last] = readSeeds(process.argv[2] ?? process.env.GONET_SEEDS ?? '1000')
const folder = mkdtempSync(join(tmpdir(), 'gonet-sim-'))
const startedAt = performance.now()
const failures = []
let done = 0

// The large room first: it takes the longest.
const jobs = [
  { name: `room of ${Guests} guests`, file: 'many-guests', env: { GONET_GUESTS: String(Guests) } },
]
for (let from = first; from <= last; from += SeedsAtOnce) {
  const seeds = `${from}-${Math.min(last, from + SeedsAtOnce - 1)}`
  jobs.push({ name: `seeds ${seeds}`, file: 'chaos', env: { GONET_SEEDS: seeds } })
}
try {
  await Promise.all(Array.from({ length: availableParallelism() }, work))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
for (const { title, replay, message } of failures) say(`\nFAILED: ${title}\nreplay: ${replay}\n${message}`)
say(`\n${done} seeds in ${elapsed()}, ${failures.length === 0 ? 'all good' : `${failures.length} failed`}`)
process.exitCode = failures.length > 0 ? 1 : 0

function readSeeds(text) {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? []
  const seeds = from === undefined ? [0, Number(text) - 1] : [Number(from), Number(to)]
  if (seeds.every(Number.isInteger) && seeds[0] <= seeds[1]) return seeds
  throw new Error(`Seeds are a number such as 100, or a range such as 100-149: not ${text}`)
}

async function work() {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
    const jobStartedAt = performance.now()
    const failed = await run(job)
    failures.push(...failed)
    if (job.file === 'chaos') done += spanOf(job.env.GONET_SEEDS)
    const took = ((performance.now() - jobStartedAt) / 1000).toFixed(0)
    const progress = `${done} of ${last - first + 1} seeds after ${elapsed()}`
    say(`${failed.length === 0 ? '✓' : '✗'} ${job.name}, ${took} s (${progress}, ${failures.length} failed)`)
    for (const { title, replay } of failed) say(`  ${title}\n  replay: ${replay}`)
  }
}

/** Runs a job in a process of its own, and returns what has failed. */
async function run({ name, file, env }) {
  const test = `test/sim/${file}.test.ts`
  const report = join(folder, `${name.replaceAll(' ', '-')}.json`)
  const args = [vitest, 'run', test, '--reporter=json', `--outputFile.json=${report}`]
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, GONET_SEED: undefined, ...env },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data))
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  const failed = readFailures(report).map(({ fullName, failureMessages }) => {
    const seed = /with seed (\S+)/.exec(fullName)?.[1]
    const variables = seed === undefined ? `GONET_GUESTS=${Guests}` : `GONET_SEED=${seed}`
    const replay = `${variables} npx vitest run ${test}`
    return { title: fullName, replay, message: failureMessages.join('\n') }
  })
  if (failed.length > 0 || code === 0) return failed
  return [{ title: `${name} did not run`, replay: `npx vitest run ${test}`, message: output }]
}

function readFailures(report) {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
    return testResults.flatMap(({ assertionResults }) =>
      assertionResults.filter(({ status }) => status === 'failed'),
    )
  } catch {
    return []
  }
}

function spanOf(seeds) {
  const [from, to] = seeds.split('-').map(Number)
  return to - from + 1
}

function elapsed() {
  const seconds = Math.round((performance.now() - startedAt) / 1000)
  return seconds < 120 ? `${seconds} s` : `${(seconds / 60).toFixed(1)} min`
}

function say(text) {
  process.stdout.write(`${text}\n`)
}
