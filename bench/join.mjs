// From typing `gonet join` to the first message at the host, in multiples of a bare node: whole processes,
// a broker of our own on loopback, the host up beforehand.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bareStart, Peer, printRatio, printVersions } from './measure.mjs'

const Rounds = 9
const Limit = 5

printVersions('gonet --json join ROOM, from its start to the host printing its first message')
const folder = mkdtempSync(join(tmpdir(), 'gonet-bench-'))
// The user's own configuration must not lead these peers to other machines.
const own = Object.entries(process.env).filter(([name]) => !/^GONET_/i.test(name))
const options = { cwd: folder, env: { ...Object.fromEntries(own), XDG_CONFIG_HOME: folder } }
const peers = []
const start = (...args) => {
  const peer = new Peer(args, options)
  peers.push(peer)
  return peer
}
try {
  const broker = start('serve', 'mqtt', '--listen', '127.0.0.1:0')
  const { url } = await broker.next(({ event }) => event === 'serving')
  const common = ['--signal', 'mqtt', '--set', `adapters.mqtt.url=${url}`]
  const host = start(...common, '--state', join(folder, 'host'), '--name', 'host', 'create')
  const { room } = await host.next(({ event }) => event === 'room')
  const [times, bare] = [[], []]
  for (let round = -1; round < Rounds; round++) {
    bare.push(bareStart())
    const text = `round ${round}`
    const arrived = host.next((event) => event.event === 'message' && event.text === text)
    const started = performance.now()
    const guest = start(...common, '--state', join(folder, 'guest'), '--name', 'guest', 'join', room)
    guest.child.stdin.end(`${text}\n`)
    await arrived
    times.push(performance.now() - started)
    if ((await guest.ended) !== 0) throw new Error('the guest did not end well')
  }
  // The first round warms the file cache up, and makes the guest's identity.
  printRatio('join', times.slice(1), bare.slice(1), Limit)
} finally {
  await Promise.all(peers.map((peer) => peer.stop()))
  rmSync(folder, { recursive: true, force: true })
}
