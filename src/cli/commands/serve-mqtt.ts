import { formatSocketAddress, type SocketAddress } from '../../core/machine.js'
import { reachableAddresses } from '../../node/reachable-addresses.js'
import type { RunningServer } from '../../node/running-server.js'
import { serveMqtt as startBroker } from '../../node/serve-mqtt.js'

/** @throws UsageError `listen-failed` */
export async function startMqtt(listen: SocketAddress): Promise<RunningServer> {
  const broker = await startBroker(listen)
  const [first, ...others] = reachableAddresses(broker.address)
  const url = urlOf(first)
  return {
    what: `an MQTT broker at ${formatSocketAddress(broker.address)}`,
    details: { url },
    peerOptions: [url, ...others.map(urlOf)].map((each) => `--signal mqtt --set adapters.mqtt.url=${each}`),
    close: () => broker.close(),
  }
}

function urlOf(address: SocketAddress): string {
  return `mqtt://${formatSocketAddress(address)}`
}
