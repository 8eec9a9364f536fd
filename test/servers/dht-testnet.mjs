// A DHT of hyperdht nodes on 127.0.0.1, in a process of its own so that all of them can be killed or stopped at
// once: node dht-testnet.mjs PORT COUNT. Prints a line when all of them know each other.
import HyperDHT from 'hyperdht'

const [port, count] = process.argv.slice(2).map(Number)
const host = '127.0.0.1'
const first = HyperDHT.bootstrapper(port, host)
await first.fullyBootstrapped()
const bootstrap = [{ host, port }]
for (let index = 1; index < count; index++) {
  // Ports that are the same after a restart.
  const options = { bootstrap, host, port: port + index, anyPort: false, ephemeral: false, firewalled: false }
  await new HyperDHT(options).fullyBootstrapped()
}
process.stdout.write('ready\n')
