// A minimal chat on hyperswarm, to be held against: hosts and guests as processes on a DHT of their own, on loopback.
//   node bench/hyperswarm.mjs host|guest PORT TOPIC   (PORT: the DHT's bootstrap node on 127.0.0.1)
// Like gonet's, the guest sends the lines of stdin; the host prints an object a line.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const file = fileURLToPath(import.meta.url)

/** A DHT on loopback, of the version that hyperswarm brings. */
export async function startTestnet() {
  const createTestnet = createRequire(require.resolve('hyperswarm'))('hyperdht/testnet')
  const testnet = await createTestnet(4)
  const [{ port }] = testnet.bootstrap
  return { port: String(port), topic: randomBytes(32).toString('hex'), close: () => testnet.destroy() }
}

export function hyperswarmVersion() {
  return JSON.parse(readFileSync(require.resolve('hyperswarm/package.json'), 'utf8')).version
}

export const hyperswarmFile = file

if (process.argv[1] === file) await chat(...process.argv.slice(2))

async function chat(role, port, topicHex) {
  const Hyperswarm = require('hyperswarm')
  const print = (event) => process.stdout.write(`${JSON.stringify(event)}\n`)
  const swarm = new Hyperswarm({ bootstrap: [{ host: '127.0.0.1', port: Number(port) }] })
  const leave = () => swarm.destroy().then(() => process.exit(0))
  process.on('SIGTERM', leave)
  const topic = Buffer.from(topicHex, 'hex')
  if (role === 'host') {
    swarm.on('connection', (connection) => {
      connection.on('error', () => undefined)
      const lines = createInterface({ input: connection })
      lines.on('error', () => undefined)
      lines.on('line', (text) => {
        print({ event: 'message', text })
        connection.write('delivered\n')
      })
    })
    await swarm.join(topic, { server: true, client: false }).flushed()
    print({ event: 'room' })
    return
  }
  swarm.once('connection', (connection) => {
    connection.on('error', () => undefined)
    process.stdin.pipe(connection, { end: false })
    // The host has the line: nothing is left to do.
    connection.once('data', leave)
  })
  swarm.join(topic, { server: false, client: true })
}
