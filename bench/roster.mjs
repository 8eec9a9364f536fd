// What the list of members costs a host while 300 guests join: whole rooms on the simulated internet of the tests,
// with the real encodings. Counted are the datagrams of the roster between the host and its guests, both ways, as
// they are on the wire: with IPv6 and UDP inside the tunnel, WireGuard, and UDP and IPv4 outside.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { printVersions, root } from './measure.mjs'

const Guests = 300
const LimitBytes = 10_000_000
/** How long guests take to come: all at once, and some five a second. */
const SpreadsMs = [0, 60_000]
/** After the last has joined, for what still goes out. */
const SettleMs = 15_000

printVersions(`a roster of ${Guests}`)
// Inside the repository, where the packages that are not bundled are found.
const folder = mkdtempSync(join(root, 'node_modules', '.gonet-bench-'))
try {
  const { measure } = await simulator()
  for (const spreadMs of SpreadsMs) print(spreadMs, measure(Guests, spreadMs, SettleMs))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

function print(spreadMs, { bytes, datagrams, joinedMs }) {
  const when = spreadMs === 0 ? 'at once' : `within ${spreadMs / 1000} s`
  const parts = Object.entries(bytes).map(
    ([type, count]) => `${type} ${megabytes(count)} in ${datagrams[type]}`,
  )
  const total = Object.values(bytes).reduce((sum, count) => sum + count, 0)
  process.stdout.write(`${Guests} guests ${when}, all in after ${(joinedMs / 1000).toFixed(1)} simulated s: `)
  process.stdout.write(
    `${megabytes(total)} (at most ${megabytes(LimitBytes)}): ${parts.join(', ')} datagrams\n`,
  )
  if (total > LimitBytes) process.exitCode = 1
}

function megabytes(bytes) {
  return `${(bytes / 1_000_000).toFixed(2)} MB`
}

async function simulator() {
  const outfile = join(folder, 'roster.mjs')
  const contents = `
    import { Calm } from './test/sim/simulated-internet.ts'
    import { SimulatedRoom } from './test/sim/simulated-room.ts'
    import { writeControl } from './src/room/control.ts'
    import { ControlChannel } from './src/room/control-channel.ts'

    const Counted = new Set(['roster', 'roster-change', 'roster-receipt', 'state'])
    const Overhead = { overlay: 48, wireguard: 32, outside: 28 }

    export function measure(guests, spreadMs, settleMs) {
      const bytes = {}
      const datagrams = {}
      const send = ControlChannel.prototype.send
      ControlChannel.prototype.send = function (now, to, message) {
        if (Counted.has(message.type)) {
          const inner = Math.ceil((writeControl(message).length + Overhead.overlay) / 16) * 16
          const size = inner + Overhead.wireguard + Overhead.outside
          bytes[message.type] = (bytes[message.type] ?? 0) + size
          datagrams[message.type] = (datagrams[message.type] ?? 0) + 1
        }
        return send.call(this, now, to, message)
      }
      try {
        const simulated = new SimulatedRoom('roster traffic', Calm)
        const { internet } = simulated
        const host = simulated.startHost()
        internet.run(1000)
        const startedAt = internet.now
        const all = Array.from({ length: guests }, (_, index) => {
          const guest = simulated.startGuest('guest ' + index)
          if (spreadMs > 0) internet.run(spreadMs / guests)
          return guest
        })
        internet.runUntil('all are in', 120_000, () => all.every((guest) => guest.of('joined').length > 0))
        const joinedMs = internet.now - startedAt
        internet.run(settleMs)
        const complete = [host, ...all].every(({ machine }) => machine.members.length === guests + 1)
        if (!complete) throw new Error('not everybody has the whole roster')
        return { bytes, datagrams, joinedMs }
      } finally {
        ControlChannel.prototype.send = send
      }
    }
  `
  await build({
    stdin: { contents, resolveDir: root, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'error',
  })
  return import(pathToFileURL(outfile).href)
}
