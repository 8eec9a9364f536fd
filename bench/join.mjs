// From typing `gonet join` to the first message at the host, in multiples of a bare node: whole processes,
// a broker of our own on loopback, the host up beforehand. In the same rounds a minimal chat on hyperswarm does
// the same, over a DHT of its own on loopback.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { hyperswarmFile, hyperswarmVersion, startTestnet } from './hyperswarm.mjs'
import { bareStart, gonet, median, Peer, printRatio, printVersions } from './measure.mjs'

const Rounds = 15
const Limit = 4

printVersions('gonet --json join ROOM, from its start to the host printing its first message')
process.stdout.write(`the same with hyperswarm ${hyperswarmVersion()}, a minimal chat on a DHT on loopback\n`)
const folder = mkdtempSync(join(tmpdir(), 'gonet-bench-'))
// The user's own configuration must not lead these peers to other machines.
const own = Object.entries(process.env).filter(([name]) => !/^GONET_/i.test(name))
const options = { cwd: folder, env: { ...Object.fromEntries(own), XDG_CONFIG_HOME: folder } }
const peers = []
const start = (program, ...args) => {
  const peer = new Peer(program, args, options)
  peers.push(peer)
  return peer
}
const startGonet = (...args) => start(gonet, '--json', ...args)
let testnet
try {
  const broker = startGonet('serve', 'mqtt', '--listen', '127.0.0.1:0')
  const { url } = await broker.next(({ event }) => event === 'serving')
  const common = ['--signal', 'mqtt', '--set', `adapters.mqtt.url=${url}`]
  const host = startGonet(...common, '--state', join(folder, 'host'), '--name', 'host', 'create')
  const { room } = await host.next(({ event }) => event === 'room')
  const joinGonet = () =>
    startGonet(...common, '--state', join(folder, 'guest'), '--name', 'guest', 'join', room)

  testnet = await startTestnet()
  const { port, topic } = testnet
  const otherHost = start(hyperswarmFile, 'host', port, topic)
  await otherHost.next(({ event }) => event === 'room')
  const joinHyperswarm = () => start(hyperswarmFile, 'guest', port, topic)

  const [bare, mine, theirs] = [[], [], []]
  for (let round = -1; round < Rounds; round++) {
    bare.push(bareStart())
    mine.push(await timeOfJoin(host, joinGonet, `round ${round}`))
    theirs.push(await timeOfJoin(otherHost, joinHyperswarm, `round ${round}`))
  }
  // The first round warms the file cache up, and makes the guest's identity.
  const [base, gonetTimes, hyperswarmTimes] = [bare, mine, theirs].map((times) => times.slice(1))
  printRatio('gonet join', gonetTimes, base, Limit)
  printRatio('hyperswarm join', hyperswarmTimes, base)
  const share = (median(gonetTimes) / median(hyperswarmTimes)).toFixed(2)
  process.stdout.write(`gonet join against hyperswarm join: ${share}\n`)
} finally {
  await Promise.all(peers.map((peer) => peer.stop()))
  await testnet?.close()
  rmSync(folder, { recursive: true, force: true })
}

/** From starting a guest to the host printing its line, in ms. */
async function timeOfJoin(host, startGuest, text) {
  const arrived = host.next((event) => event.event === 'message' && event.text === text)
  const started = performance.now()
  const guest = startGuest()
  guest.child.stdin.end(`${text}\n`)
  await arrived
  const time = performance.now() - started
  if ((await guest.ended) !== 0) throw new Error('the guest did not end well')
  return time
}
