// How many WireGuard handshakes a host can answer in a second, on one core.
import { randomBytes } from 'node:crypto'
import { nodeNoiseCrypto } from '../dist/lib/node/noise-crypto.js'
import { Device } from '../dist/lib/transports/wireguard/device.js'

const Handshakes = 1000
const StepMs = 100
const Source = { address: '192.0.2.1', port: 51820 }

/** @returns handshakes a second: from an initiation to its response, the host's work alone */
export function handshakesPerSecond() {
  let now = 0
  const wall = { unixMs: () => Date.UTC(2026, 0, 1) + now }
  const make = () =>
    new Device({
      secretKey: new Uint8Array(randomBytes(32)),
      crypto: nodeNoiseCrypto,
      random: { bytes: (length) => new Uint8Array(randomBytes(length)), fraction: Math.random },
      wall,
    })
  const [host, guest] = [make(), make()]
  const presharedKey = new Uint8Array(randomBytes(32))
  const addPeer = (device, peer) =>
    device.addPeer(now, { id: 'peer', publicKey: peer.publicKey, presharedKey, allowedAddresses: [] })
  addPeer(host, guest)
  addPeer(guest, host)
  let spentMs = 0
  for (let done = 0; done < Handshakes; done++) {
    now += StepMs
    guest.initiate(now, 'peer')
    const initiation = guest.pollTransmit().bytes
    const started = performance.now()
    host.handleDatagram(now, Source, initiation)
    const response = host.pollTransmit()
    spentMs += performance.now() - started
    guest.handleDatagram(now, Source, response.bytes)
    for (const device of [host, guest]) {
      while (device.pollEvent() !== undefined);
      while (device.pollTransmit() !== undefined);
    }
  }
  return Handshakes / (spentMs / 1000)
}
