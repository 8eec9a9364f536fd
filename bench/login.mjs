// What a password costs: joins of rooms with and without one, in interleaved rounds, on loopback with real sockets.
// Each guest is a process's first, as it is for a user: the thread that proves the password is started with it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { median, printVersions } from './measure.mjs'
import { startBroker, startGuests, startHost } from './party.mjs'

const Rounds = 15
const Limits = { loginMs: 600, loopBlockedMs: 20 }
const admission = { password: 'correct horse battery staple' }

printVersions('joins with and without a password')
const folder = mkdtempSync(join(tmpdir(), 'gonet-bench-'))
const children = []
try {
  const broker = started(startBroker())
  const url = await broker.ask('listen')
  const rooms = { open: await openRoom('open', url), password: await openRoom('password', url, admission) }
  const samples = { open: [], password: [] }
  for (let round = -1; round < Rounds; round++) {
    for (const [kind, room] of Object.entries(rooms)) {
      const sample = await joinOnce(room, { url, name: `${kind}-${round}` })
      // The first of each loads what the host loads once.
      if (round >= 0) samples[kind].push(sample)
    }
  }
  const of = (kind, figure) => median(samples[kind].map((sample) => sample[figure]))
  const [bare, whole] = [of('open', 'joinMs'), of('password', 'joinMs')]
  process.stdout.write(
    `${Rounds} rounds, medians: ${bare.toFixed(0)} ms without, ${whole.toFixed(0)} ms with a password\n`,
  )
  print('the password takes', whole - bare, Limits.loginMs)
  const blocked = of('open', 'blockedMs').toFixed(1)
  print(
    `the host's event loop is blocked (${blocked} ms without)`,
    of('password', 'blockedMs'),
    Limits.loopBlockedMs,
  )
} finally {
  await Promise.all(children.map((child) => child.stop()))
  rmSync(folder, { recursive: true, force: true })
}

async function openRoom(name, url, rules) {
  const host = started(startHost())
  const id = await host.ask('create', { url, folder: join(folder, name), admission: rules })
  return { host, id, admission: rules }
}

async function joinOnce({ host, id, admission: rules }, { url, name }) {
  const guests = started(startGuests())
  await host.ask('watchLoop')
  const { startedAt, joinedAt, failures } = await guests.ask('join', {
    room: id,
    url,
    folder,
    names: [name],
    admission: rules,
  })
  const blockedMs = await host.ask('loopBlockedMs')
  if (failures.length > 0) throw new Error(failures[0])
  await guests.ask('leave')
  await guests.stop()
  return { joinMs: joinedAt[0] - startedAt, blockedMs }
}

function started(child) {
  children.push(child)
  return child
}

/** Prints a figure; more than its limit makes this process fail. */
function print(what, ms, limitMs) {
  process.stdout.write(`${what}: ${ms.toFixed(1)} ms (at most ${limitMs} ms)\n`)
  if (ms > limitMs) {
    process.stdout.write('  MISSED\n')
    process.exitCode = 1
  }
}
