// A large room: one host, one broker and 300 guests as the library makes them, on loopback with real sockets. What
// joining costs, what a guest costs its host while it is there, and what it puts on the broker.
//   --relayed   every second guest has no path but over coturn, an allocation each
//   --steps     without the 300 at once
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startCoturn } from './coturn.mjs'
import { handshakesPerSecond } from './handshakes.mjs'
import { printVersions } from './measure.mjs'
import { startBroker, startGuests, startHost } from './party.mjs'

const Guests = 300
const Workers = 3
/** Memory is looked at whenever so many more have joined. */
const Step = 50
/** Rosters and path checks that follow a join have come to rest. */
const SettleMs = 8000
const IdleMs = 60_000
const Limits = { joinMs: 10_000, memoryBytes: 150_000, idleCpuPercent: 2 }

printVersions(`a room with ${Guests} guests`)
const folder = mkdtempSync(join(tmpdir(), 'gonet-bench-'))
const children = []
let turn
const profile = process.argv.filter(
  (argument) => argument.startsWith('--cpu-prof') || argument.startsWith('--heap-prof'),
)
try {
  if (process.argv.includes('--relayed')) {
    turn = await startCoturn(join(folder, 'coturn'))
    children.push(turn)
    print('every second guest over coturn')
  }
  const perSecond = Array.from({ length: 5 }, handshakesPerSecond).sort((a, b) => a - b)[2]
  print(`WireGuard: ${perSecond.toFixed(0)} handshakes answered a second, median of 5`)
  if (!process.argv.includes('--steps')) await joinAtOnce()
  await joinInSteps()
} finally {
  await Promise.all(children.map((child) => child.stop()))
  rmSync(folder, { recursive: true, force: true })
}

async function joinAtOnce() {
  const party = await startParty('at-once')
  const before = await party.broker.ask('traffic')
  const hostCpu = await party.host.ask('cpu')
  const result = await party.join(0, Guests).catch((error) => error)
  if (result instanceof Error) {
    print(`${Guests} guests at once: ${result.message}`, {
      value: Infinity,
      limit: Limits.joinMs,
      text: 'none',
    })
    return party.end()
  }
  const { startedAt, joinedAt } = result
  const after = await party.broker.ask('traffic')
  const tookMs = joinedAt[Guests - 1] - startedAt
  const spentMs = (await party.host.ask('cpu')) - hostCpu
  print(`${Guests} guests at once: ${(tookMs / 1000).toFixed(2)} s until all had joined`, {
    value: tookMs,
    limit: Limits.joinMs,
    text: `${Limits.joinMs / 1000} s`,
  })
  const half = joinedAt[Guests / 2] - startedAt
  print(`  half of them after ${(half / 1000).toFixed(2)} s; ${rate(Guests, tookMs)} joins a second`)
  print(`  the host's process computed ${(spentMs / Guests).toFixed(1)} ms a join`)
  printTraffic('  at the broker, a join', before, after, Guests)
  await party.end()
}

async function joinInSteps() {
  const party = await startParty('in-steps')
  const samples = []
  for (let count = 0; count < Guests; count += Step) {
    const before = await party.broker.ask('traffic')
    await party.join(count, Step)
    const after = await party.broker.ask('traffic')
    await delay(SettleMs)
    const { heapUsed, external, rss } = await party.host.ask('usage')
    samples.push({ count: count + Step, held: heapUsed + external, rss })
    print(`${count + Step} guests: host's heap and buffers ${kB(heapUsed + external)}, resident ${kB(rss)}`)
    printTraffic('  at the broker, a join', before, after, Step)
  }
  const online = await party.host.ask('online')
  if (online !== Guests) throw new Error(`the host has ${online} guests`)
  print(`the host has ${online} guests, ${await party.host.ask('relayed')} of them over a relay`)
  const held = slope(samples.map(({ count, held: bytes }) => [count, bytes]))
  const resident = slope(samples.map(({ count, rss }) => [count, rss]))
  print(`memory of the host, a guest: ${kB(held)}`, {
    value: held,
    limit: Limits.memoryBytes,
    text: kB(Limits.memoryBytes),
  })
  print(`  resident ${kB(resident)}`)
  await idle(party)
  await party.end()
}

async function idle({ broker, host }) {
  await delay(SettleMs)
  const [before, cpuBefore, startedAt] = [
    await broker.ask('traffic'),
    await host.ask('cpu'),
    performance.now(),
  ]
  await delay(IdleMs)
  const [after, cpuAfter, endedAt] = [await broker.ask('traffic'), await host.ask('cpu'), performance.now()]
  const percent = (100 * (cpuAfter - cpuBefore)) / (endedAt - startedAt)
  print(`idle for ${IdleMs / 1000} s: the host uses ${percent.toFixed(2)} % of a core`, {
    value: percent,
    limit: Limits.idleCpuPercent,
    text: `${Limits.idleCpuPercent} %`,
  })
  printTraffic('  at the broker, a minute', before, after, IdleMs / 60_000)
}

/** A broker, a host and processes for guests, with states of their own. */
async function startParty(name) {
  const own = join(folder, name)
  const start = (make, options) => {
    const child = make(options)
    children.push(child)
    return child
  }
  const broker = start(startBroker)
  const host = start(startHost, { execArgv: profile })
  const workers = Array.from({ length: Workers }, () => start(startGuests))
  const url = await broker.ask('listen')
  const room = await host.ask('create', { url, folder: own })
  return {
    broker,
    host,
    join: (first, count) => {
      const names = Array.from({ length: count }, (_, i) => `guest-${first + i}`)
      return joined(
        workers.map((worker, index) => {
          const mine = names.filter((_, i) => i % Workers === index)
          return worker.ask('join', { room, url, folder: own, names: mine, turn: turn?.server })
        }),
      )
    },
    end: async () => {
      await Promise.all(workers.map((worker) => worker.ask('leave')))
      await host.ask('leave')
      // By itself, so that it writes its profile where it was asked for one.
      host.process.disconnect()
      await host.ended
      await Promise.all([...workers, broker].map((child) => child.stop()))
    },
  }
}

/** When the first guest began to join, and when each had joined. */
async function joined(batches) {
  const results = await Promise.all(batches)
  const failures = results.flatMap((result) => result.failures)
  if (failures.length > 0) throw new Error(`${failures.length} could not join, such as ${failures[0]}`)
  const startedAt = Math.min(...results.map((result) => result.startedAt))
  return { startedAt, joinedAt: results.flatMap((result) => result.joinedAt).sort((a, b) => a - b) }
}

/** Prints a figure; more than its limit makes this process fail. */
function print(line, { value, limit, text } = {}) {
  process.stdout.write(`${line}${limit === undefined ? '' : ` (at most ${text})`}\n`)
  if (value > limit) {
    process.stdout.write('  MISSED\n')
    process.exitCode = 1
  }
}

function printTraffic(what, before, after, count) {
  const [records, bytes, tcp] = ['records', 'bytes', 'tcpBytes'].map(
    (key) => (after[key] - before[key]) / count,
  )
  const connections = `${after.connections} connections`
  print(
    `${what}: ${records.toFixed(2)} records of ${bytes.toFixed(0)} bytes in all, ${tcp.toFixed(0)} bytes of TCP payload both ways, ${connections}`,
  )
}

/** By least squares. */
function slope(points) {
  const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return covariance / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}

function rate(count, ms) {
  return (count / (ms / 1000)).toFixed(1)
}

function kB(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`
}
