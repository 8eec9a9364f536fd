// Holds a room for a while with guests that come and go, and watches for what only grows: npm run soak [minutes], 10
// by default. Run npm run build first.
//
// 20 guests stay some seconds, say something, and leave; now and then a process with five of them is killed. Every
// 10 s it is seen what the host, the broker and one process of guests hold after a collection. It fails if in the
// last quarter the least heap exceeds the least of the second quarter by more than 20 kB a minute and 250 kB of
// noise; or if at rest, with all guests gone, there is a descriptor or a resource more than there was at the first
// rest after the first quarter. The chat is filled to what it keeps beforehand. The host may hold 12 kB more for each
// join in between, for 768 of them at most: it remembers the joins of an epoch, and paces each port that it has
// heard of, up to 8192 of them. So a long run shows smaller leaks than a short one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startBroker, startGuests, startHost } from '../bench/party.mjs'

const Minutes = Number(process.argv[2] ?? 10)
const Workers = 4
const GuestsPerWorker = 5
const [StayMinMs, StayMaxMs] = [2000, 6000]
const SampleMs = 10_000
const KillMs = 15_000
const Rests = 8
/** Twice of what the chat keeps (src/chat/replica.ts). */
const Messages = 10_000
const HeapGrowthPerMinute = 20_000
const HeapNoise = 250_000
const HeapPerJoin = 12_000
const JoinsOfEpoch = 768

const folder = mkdtempSync(join(tmpdir(), 'gonet-soak-'))
const children = new Set()
const start = (make) => {
  const child = make()
  children.add(child)
  return child
}
const broker = start(startBroker)
const host = start(startHost)
/** The first is never killed. */
const workers = Array.from({ length: Workers }, () => start(startGuests))
const watched = { broker, host, guests: workers[0] }
const [samples, rests] = [[], []]
const counts = { joins: 0, failures: 0, kills: 0 }
let state = 'visits'
let startedAt
try {
  const url = await broker.ask('listen')
  const room = await host.ask('create', { url, folder })
  for (let sent = 0; sent < Messages; sent += 100) await host.ask('fill', { from: sent, count: 100 })
  startedAt = performance.now()
  await Promise.all([visits({ room, url, folder }), kills(), looks()])
  judge()
} finally {
  await Promise.all(Array.from(children, (child) => child.stop()))
  rmSync(folder, { recursive: true, force: true })
}

function passed() {
  return (performance.now() - startedAt) / (Minutes * 60_000)
}

/** From one rest to the next, until the time is over. */
async function visits(place) {
  for (let rest = 1; rest <= Rests; rest++) {
    state = 'visits'
    await Promise.all(
      Array.from({ length: Workers * GuestsPerWorker }, async (_, index) => {
        while (passed() < rest / Rests) await visit(index, place)
      }),
    )
    state = 'rest'
    for (let tries = 0; (await host.ask('online')) > 0; tries++) {
      if (tries === 60) throw new Error('guests that have left are still online')
      await delay(500)
    }
    // What was sent back and forth to say goodbye has come to rest.
    await delay(2000)
    rests.push(await look('at rest'))
  }
  state = 'over'
}

async function visit(index, place) {
  const [slot, name] = [index % Workers, `guest-${index}`]
  const worker = workers[slot]
  try {
    const { failures } = await worker.ask('join', { ...place, names: [name] })
    counts.joins += 1
    if (failures.length > 0) {
      counts.failures += 1
      process.stdout.write(`${failures[0]}\n`)
      return
    }
    await worker.ask('say', { name, text: `${counts.joins}` })
    await delay(StayMinMs + Math.random() * (StayMaxMs - StayMinMs))
    await worker.ask('leave', { names: [name] })
  } catch (error) {
    const wasKilled = workers[slot] !== worker
    if (!wasKilled) throw error
  }
}

async function kills() {
  for (let slot = 1; state !== 'over'; slot = 1 + (slot % (Workers - 1))) {
    await delay(KillMs)
    // Guests that were killed are online for a while: the next rest would wait for them.
    if (state !== 'visits') continue
    const victim = workers[slot]
    workers[slot] = start(startGuests)
    await victim.stop()
    children.delete(victim)
    counts.kills += 1
  }
}

async function looks() {
  while (state !== 'over') {
    await delay(SampleMs)
    if (state === 'visits') samples.push(await look('visits'))
  }
}

async function look(when) {
  const entries = Object.entries(watched).map(async ([name, child]) => [name, await child.ask('usage')])
  const sample = { at: passed(), joins: counts.joins, ...Object.fromEntries(await Promise.all(entries)) }
  const columns = Object.keys(watched).map((name) => {
    const { heapUsed, external, rss, descriptors } = sample[name]
    return `${name} ${kB(heapUsed)} + ${kB(external)} of ${kB(rss)}, ${descriptors} fd`
  })
  const seconds = (sample.at * Minutes * 60).toFixed(0).padStart(5)
  process.stdout.write(
    `${seconds} s, ${when}, ${counts.joins} joins, ${counts.kills} kills: ${columns.join('; ')}\n`,
  )
  return sample
}

function judge() {
  const all = [...samples, ...rests]
  const between = (from, to) => all.filter(({ at }) => at >= from && at < to)
  const [early, late] = [between(0.25, 0.5), between(0.75, Number.POSITIVE_INFINITY)]
  const restsAfterWarmUp = rests.filter(({ at }) => at >= 0.25)
  const [firstRest, lastRest] = [restsAfterWarmUp[0], restsAfterWarmUp.at(-1)]
  const joins = Math.min(JoinsOfEpoch, late.at(-1).joins - early[0].joins)
  const allowedOf = (name) =>
    HeapGrowthPerMinute * Minutes * 0.5 + HeapNoise + (name === 'host' ? HeapPerJoin * joins : 0)
  for (const name of Object.keys(watched)) {
    const least = (some) => Math.min(...some.map((sample) => sample[name].heapUsed + sample[name].external))
    const grown = least(late) - least(early)
    const allowed = allowedOf(name)
    tell(
      `${name}: least heap and buffers ${kB(least(early))}, later ${kB(least(late))} (at most ${kB(allowed)} more)`,
      grown <= allowed,
    )
    const [before, after] = [firstRest[name], lastRest[name]]
    tell(
      `${name}: descriptors at rest ${before.descriptors}, later ${after.descriptors}`,
      after.descriptors <= before.descriptors,
    )
    const more = Object.entries(after.resources).filter(
      ([type, count]) => count > (before.resources[type] ?? 0),
    )
    tell(
      `${name}: resources at rest ${JSON.stringify(before.resources)}, later ${JSON.stringify(after.resources)}`,
      more.length === 0,
    )
  }
  tell(
    `${counts.joins} joins, of which ${counts.failures} failed; ${counts.kills} kills`,
    counts.failures === 0,
  )
}

function tell(line, isGood) {
  process.stdout.write(`${isGood ? 'ok    ' : 'FAILED'} ${line}\n`)
  if (!isGood) process.exitCode = 1
}

function kB(bytes) {
  return `${(bytes / 1000).toFixed(0)} kB`
}
